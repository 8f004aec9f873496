"""Export an overlay video."""

from fractions import Fraction
from pathlib import Path

from pipeline.decoding.packet_times import LONGEST_STEP_S
from pipeline.errors import InputError
from pipeline.exports.selection import Selection
from pipeline.overlay import OverlayPainter
from pipeline.video_writer import VideoWriter

# The clock of MPEG, by which frames of all usual rates have whole times.
_TICK = Fraction(1, 90_000)


def export_mp4(selection: Selection, path: Path) -> None:
    """Write the annotated video with outlines, class colours, names and prompt marks (`*`).

    It begins with the first frame, and goes on at the pace of the annotated video.

    Raises:
        InputError: the annotated video is gone or has changed, or there is no frame to show.
        OutputError: the file exists already or cannot be written.
    """
    if next(selection.frames(), None) is None:
        raise InputError(f"{selection.annotation_set.path} has no frame to show; annotate it first")
    entry = selection.annotation_set.manifest.video
    painter = OverlayPainter(selection.annotation_set.label_set, entry.height)
    rate = entry.rate / selection.every
    size = {"width": entry.width, "height": entry.height}
    shown_s, last_s = 0.0, None
    with VideoWriter(path, rate=rate, tick=_TICK, **size) as writer:
        for frame, image in selection.frames_with_pictures():
            if last_s is not None:
                step_s = frame.time_s - last_s
                # Chosen frames follow each other as the pages of a book.
                is_paced = selection.only is None and _is_of_one_recording(step_s)
                shown_s += step_s if is_paced else 1 / rate
            writer.add(painter.paint(image, frame), shown_s)
            last_s = frame.time_s


def _is_of_one_recording(step_s: float) -> bool:
    """Return whether times run on from one frame to the next, as they do within one recording."""
    return _TICK < step_s < LONGEST_STEP_S
