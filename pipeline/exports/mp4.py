"""Export an overlay video."""

from pathlib import Path

from pipeline.errors import InputError
from pipeline.exports.selection import Selection
from pipeline.overlay import OverlayPainter
from pipeline.video_writer import VideoWriter


def export_mp4(selection: Selection, path: Path) -> None:
    """Write the annotated video with outlines, class colours, names and prompt marks (`*`).

    Raises:
        InputError: the annotated video is gone or has changed, or there is no frame to show.
        OutputError: the file exists already or cannot be written.
    """
    if next(selection.frames(), None) is None:
        raise InputError(f"{selection.annotation_set.path} has no frame to show; annotate it first")
    entry = selection.annotation_set.manifest.video
    painter = OverlayPainter(selection.annotation_set.label_set, entry.height)
    rate = entry.rate / selection.every
    with VideoWriter(path, rate=rate, width=entry.width, height=entry.height) as writer:
        for frame, image in selection.frames_with_pictures():
            writer.add(painter.paint(image, frame))
