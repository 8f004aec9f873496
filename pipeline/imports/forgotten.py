"""Whether an import would delete so much that rather an option of the export was forgotten."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.exports.selection import Selection
from pipeline.masks import rle_area
from pipeline.records import FrameAnnotation


@dataclass(frozen=True, slots=True, kw_only=True)
class MassDeletions:
    """What an import deletes as a whole.

    Attributes:
        in_words: such as `every mask of Liver`: of classes that were not drawn again, and on half
            of the frames or more; nothing if it is what humans do.
        emptied_frames: those on which it deletes each mask, and draws none.
    """

    in_words: list[str]
    emptied_frames: list[int]


def mass_deletions(changed: Sequence[FrameAnnotation], selection: Selection) -> MassDeletions:
    """Return what an import deletes as a whole.

    Args:
        changed: each frame that the human saw, with its changed tracks, from `read_changes`.
        selection: what was compared.
    """
    changes = {frame.index: frame.tracks for frame in changed}
    before: Counter[int] = Counter()
    deleted: Counter[int] = Counter()
    drawn: set[int] = set()
    emptied: list[int] = []
    filled = 0
    for frame in selection.frames():
        if frame.index not in changes or not frame.tracks:
            continue
        there = {track.track_id for track in frame.tracks}
        new = [track for track in changes[frame.index] if rle_area(track.rle)]
        gone = [
            track
            for track in changes[frame.index]
            if track.track_id in there and not rle_area(track.rle)
        ]
        before.update(track.class_id for track in frame.tracks)
        deleted.update(track.class_id for track in gone)
        drawn.update(track.class_id for track in new)
        filled += 1
        if len(gone) == len(frame.tracks) and not new:
            emptied.append(frame.index)
    names = {label.id: label.name for label in selection.labels}
    whole = [
        names[number]
        for number in sorted(before)
        if before[number] == deleted[number] and number not in drawn
    ]
    in_words = [f"every mask of {', '.join(whole)}"] if whole else []
    if 2 * len(emptied) >= max(filled, 1):
        in_words.append(f"every mask on {len(emptied)} of {filled} frames")
    return MassDeletions(in_words=in_words, emptied_frames=emptied)
