"""Export an overlay video."""

from pathlib import Path

from pipeline.annotation_set import AnnotationSet
from pipeline.errors import InputError
from pipeline.frames import open_video
from pipeline.overlay import OverlayPainter
from pipeline.video_writer import VideoWriter


def export_mp4(annotation_set: AnnotationSet, path: Path) -> None:
    """Write the annotated video with outlines, class colours, names and prompt marks (`*`).

    Raises:
        InputError: the annotated video is gone or has changed.
        OutputError: the file cannot be written.
    """
    entry = annotation_set.manifest.video
    video = open_video(Path(entry.path))
    if video.info.sha256 != entry.sha256:
        raise InputError(
            f"{entry.path} is not the video that {annotation_set.path} annotates; put the "
            "original back"
        )
    painter = OverlayPainter(annotation_set.label_set, entry.height)
    frames = annotation_set.frames()
    with VideoWriter(path, rate=entry.rate, width=entry.width, height=entry.height) as writer:
        for batch in video.batches(8, annotation_set.manifest.counts.frames):
            for image in batch.images:
                writer.add(painter.paint(image, next(frames)))
