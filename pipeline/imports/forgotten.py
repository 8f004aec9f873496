"""Whether an import would delete so much that rather an option of the export was forgotten."""

from collections import Counter
from collections.abc import Iterator, Sequence

from pipeline.exports.selection import Selection
from pipeline.masks import rle_area
from pipeline.records import FrameAnnotation, TrackAnnotation


def mass_deletions(changed: Sequence[FrameAnnotation], selection: Selection) -> list[str]:
    """Return what an import deletes as a whole, in words; nothing if it is what humans do.

    Args:
        changed: each frame that the human saw, with its changed tracks, from `read_changes`.
        selection: what was compared.

    Returns:
        Such as `every mask of Liver`: of classes that were not drawn again, and on half of the
        frames or more.
    """
    before: Counter[int] = Counter()
    deleted: Counter[int] = Counter()
    drawn: set[int] = set()
    filled = emptied = 0
    for frame, gone, new in _changes_by_frame(changed, selection):
        before.update(track.class_id for track in frame.tracks)
        deleted.update(track.class_id for track in gone)
        drawn.update(track.class_id for track in new)
        filled += 1
        emptied += len(gone) == len(frame.tracks) and not new
    names = {label.id: label.name for label in selection.labels}
    whole = [
        names[number]
        for number in sorted(before)
        if before[number] == deleted[number] and number not in drawn
    ]
    found = [f"every mask of {', '.join(whole)}"] if whole else []
    if 2 * emptied >= max(filled, 1):
        found.append(f"every mask on {emptied} of {filled} frames")
    return found


def emptied_frames(changed: Sequence[FrameAnnotation], selection: Selection) -> list[int]:
    """Return the frames on which an import deletes each mask, and draws none.

    Args:
        changed: each frame that the human saw, with its changed tracks, from `read_changes`.
        selection: what was compared.
    """
    return [
        frame.index
        for frame, gone, new in _changes_by_frame(changed, selection)
        if len(gone) == len(frame.tracks) and not new
    ]


def _changes_by_frame(
    changed: Sequence[FrameAnnotation], selection: Selection
) -> Iterator[tuple[FrameAnnotation, list[TrackAnnotation], list[TrackAnnotation]]]:
    """Yield each frame with masks that the human saw, what was deleted there and what was drawn."""
    changes = {frame.index: frame.tracks for frame in changed}
    for frame in selection.frames():
        if frame.index not in changes or not frame.tracks:
            continue
        there = {track.track_id for track in frame.tracks}
        gone = [
            track
            for track in changes[frame.index]
            if track.track_id in there and not rle_area(track.rle)
        ]
        yield frame, gone, [track for track in changes[frame.index] if rle_area(track.rle)]
