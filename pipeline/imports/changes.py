"""What a human changed: a corrected file against the set that it was exported from."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from pipeline.errors import InputError
from pipeline.exports.selection import Selection
from pipeline.imports.drawing import Drawing, DrawnObject, Tracks, outline_rle
from pipeline.masks import RLE, encode_mask, rle_area, same_mask
from pipeline.records import FrameAnnotation, Origin, TrackAnnotation

# An object without an id is a track of another class that was renamed only if it covers it well.
_SAME_OBJECT_IOU = 0.5


def find_changes(drawing: Drawing, selection: Selection) -> Iterator[FrameAnnotation]:
    """Compare a corrected file with its set.

    An object belongs to the track that the file names; without a name to the track of the frame
    that it overlaps most, if that is of its class or is covered by half or more; else it is a
    new track, which goes on from one frame to the next where new objects of a class overlap.

    Args:
        drawing: what the file says.
        selection: what was exported.

    Yields:
        Each frame that was shown or drawn on, with the tracks that were changed alone: as they
        were drawn, with an empty mask where they were deleted. All are of human origin.

    Raises:
        InputError: the file has a frame that the set has not, or a track twice in a frame.
    """
    everything = replace(selection, every=1, only=None)
    identities = _Identities(drawing, everything)
    missing = set(drawing.objects)
    for frame in everything.frames():
        missing.discard(frame.index)
        if frame.index not in drawing.shown and frame.index not in drawing.objects:
            continue
        before = {track.track_id: track for track in drawing.as_exported(frame.tracks)}
        drawn = identities.name(frame.index, tuple(before.values()))
        changed = [
            _human(track_id, thing)
            for track_id, thing in drawn.items()
            if track_id not in before or _differs(thing, before[track_id])
        ]
        if frame.index in drawing.shown:
            changed += [
                _deleted(track)
                for track_id, track in before.items()
                if track_id not in drawn and track.class_id in drawing.class_ids
            ]
        tracks = tuple(sorted(changed, key=lambda track: track.track_id))
        yield replace(frame, tracks=tracks, prompts=(), overseer_ran=False)
    if missing:
        raise InputError(
            f"{drawing.path} has a frame {min(missing)}, which {selection.annotation_set.path} "
            "has not; give the set that it was exported from"
        )


def _differs(drawn: DrawnObject, track: TrackAnnotation) -> bool:
    if drawn.class_id != track.class_id:
        return True
    if same_mask(drawn.rle, track.rle):
        return False
    return not (drawn.outlined and same_mask(drawn.rle, outline_rle(track.rle)))


def _human(track_id: int, drawn: DrawnObject) -> TrackAnnotation:
    return TrackAnnotation(
        track_id=track_id,
        class_id=drawn.class_id,
        rle=drawn.rle,
        quality=1.0,
        presence=1.0,
        origin=Origin.HUMAN,
    )


def _deleted(track: TrackAnnotation) -> TrackAnnotation:
    empty = encode_mask(np.zeros(track.rle.size, np.bool_))
    return replace(track, rle=empty, quality=1.0, presence=0.0, origin=Origin.HUMAN, prompt_id=-1)


class _Identities:
    """Says which track each drawn object is; frames must come in order."""

    def __init__(self, drawing: Drawing, everything: Selection) -> None:
        self._drawing = drawing
        given = {thing.track_id for things in drawing.objects.values() for thing in things}
        known = {
            track.track_id for frame in everything.annotation_set.frames() for track in frame.tracks
        }
        self._next = max({number for number in given if number} | known, default=0) + 1
        self._entries: dict[str, int] = {}
        self._new: list[tuple[int, DrawnObject]] = []

    def name(self, frame_index: int, tracks: Tracks) -> dict[int, DrawnObject]:
        """Return the objects of a frame by their tracks; `tracks` are the set's."""
        drawn = [
            thing for thing in self._drawing.objects.get(frame_index, ()) if rle_area(thing.rle)
        ]
        named: dict[int, DrawnObject] = {}
        nameless = []
        for thing in drawn:
            named_as = thing.track_id or self._entries.get(thing.entry or "")
            if named_as is None:
                nameless.append(thing)
            else:
                self._put(named, named_as, thing, frame_index)
        free = [track for track in tracks if track.track_id not in named]
        new = []
        for thing, matched in self._match(nameless, free):
            if matched is None:
                new.append(thing)
            else:
                self._put(named, matched, thing, frame_index)
        begun = []
        for thing in new:
            track_id = self._continue(thing, named)
            self._put(named, track_id, thing, frame_index)
            begun.append((track_id, thing))
        self._new = begun or self._new
        return named

    def _put(
        self, named: dict[int, DrawnObject], track_id: int, thing: DrawnObject, frame_index: int
    ) -> None:
        """Take an object as a track; two with one name are two parts of it."""
        if thing.entry is not None:
            self._entries.setdefault(thing.entry, track_id)
        other = named.get(track_id)
        if other is None:
            named[track_id] = thing
            return
        if other.class_id != thing.class_id:
            raise InputError(
                f"{self._drawing.path} has track {track_id} twice on frame {frame_index}, as two "
                "classes; give one of them another track_id, or none"
            )
        union = coco_mask.merge([other.rle.to_coco(), thing.rle.to_coco()])
        named[track_id] = replace(other, rle=RLE(other.rle.size, union["counts"]))

    def _match(
        self, things: Sequence[DrawnObject], tracks: Sequence[TrackAnnotation]
    ) -> Iterator[tuple[DrawnObject, int | None]]:
        """Pair objects with the set's tracks that have none, the best pair first."""
        iou = _iou([thing.rle for thing in things], [track.rle for track in tracks])
        found: dict[int, int] = {}
        for flat in np.argsort(-iou, axis=None, kind="stable"):
            row, column = (int(place) for place in np.unravel_index(flat, iou.shape))
            same_class = things[row].class_id == tracks[column].class_id
            enough = iou[row, column] > 0 if same_class else iou[row, column] >= _SAME_OBJECT_IOU
            if enough and row not in found and column not in found.values():
                found[row] = column
        for row, thing in enumerate(things):
            yield thing, tracks[found[row]].track_id if row in found else None

    def _continue(self, thing: DrawnObject, named: dict[int, DrawnObject]) -> int:
        """Return the new track that an object goes on with, or a number that nothing has."""
        if thing.entry is not None and thing.entry in self._entries:
            return self._entries[thing.entry]
        for track_id, earlier in self._new:
            overlaps = thing.class_id == earlier.class_id and _iou([thing.rle], [earlier.rle])[0, 0]
            if overlaps and track_id not in named:
                return track_id
        self._next += 1
        return self._next - 1


def _iou(first: Sequence[RLE], second: Sequence[RLE]) -> NDArray[np.float64]:
    """Return the intersection over union float64[N, M] of each pair of encoded masks."""
    if not first or not second:
        return np.zeros((len(first), len(second)))
    overlaps = coco_mask.iou(
        [rle.to_coco() for rle in first], [rle.to_coco() for rle in second], [0] * len(second)
    )
    return np.asarray(overlaps, np.float64)
