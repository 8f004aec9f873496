"""What a human changed: a corrected file against the set that it was exported from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from pycocotools import mask as coco_mask

from pipeline.annotation_set import AnnotationSet
from pipeline.corrections.corrected_set import deletions_of
from pipeline.corrections.plan import DRAWN_ALONE
from pipeline.errors import InputError
from pipeline.exports.selection import Selection
from pipeline.imports.drawing import Drawing, DrawnObject, Tracks, outline_rle
from pipeline.masks import RLE, decode_mask, encode_mask, rle_area, rle_iou_matrix, same_mask
from pipeline.pairs import best_pairs
from pipeline.records import FrameAnnotation, Origin, TrackAnnotation

# An object without an id is a track of another class that was renamed only if it covers it well.
_SAME_OBJECT_IOU = 0.5
_NEVER = 2.0


class _Outlined(Protocol):
    """What has a class and a mask."""

    @property
    def class_id(self) -> int:
        """Its class."""

    @property
    def rle(self) -> RLE:
        """Its mask."""


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
        were drawn, with an empty mask where they were deleted. All are of human origin. A frame
        that was drawn on and not shown has the flag `DRAWN_ALONE`.

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
        known = drawn.keys() | {track.track_id for track in changed}
        changed += [
            _human(track_id, thing)
            for track_id, thing in identities.away(frame.index).items()
            if track_id not in known
        ]
        tracks = tuple(sorted(changed, key=lambda track: track.track_id))
        flags = frame.flags if frame.index in drawing.shown else (*frame.flags, DRAWN_ALONE)
        yield replace(frame, tracks=tracks, prompts=(), overseer_ran=False, flags=flags)
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
        # Others encode the same pixels otherwise; of most masks nobody changes any.
        rle=encode_mask(decode_mask(drawn.rle)),
        quality=1.0,
        presence=float(rle_area(drawn.rle) > 0),
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
        known = _ids_ever_used(everything.annotation_set)
        self._next = max({number for number in given if number} | known, default=0) + 1
        self._entries: dict[str, int] = {}
        # Where each new track was drawn last.
        self._new: dict[int, DrawnObject] = {}

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
        free = {track.track_id: track for track in tracks if track.track_id not in named}
        new = self._put_matching(nameless, free, named, frame_index, _SAME_OBJECT_IOU)
        goes_on = {
            track_id: thing for track_id, thing in self._new.items() if track_id not in named
        }
        for thing in self._put_matching(new, goes_on, named, frame_index, _NEVER):
            track_id = self._entries.get(thing.entry or "", self._next)
            self._next = max(self._next, track_id + 1)
            self._put(named, track_id, thing, frame_index)
            self._new[track_id] = thing
        self._new.update({number: named[number] for number in self._new if number in named})
        return named

    def away(self, frame_index: int) -> dict[int, DrawnObject]:
        """Return what is said not to be there, by tracks that were drawn on frames before."""
        return {
            self._entries[thing.entry]: thing
            for thing in self._drawing.objects.get(frame_index, ())
            if thing.entry in self._entries and not rle_area(thing.rle)
        }

    def _put_matching(
        self,
        things: Sequence[DrawnObject],
        tracks: Mapping[int, _Outlined],
        named: dict[int, DrawnObject],
        frame_index: int,
        renamed_iou: float,
    ) -> list[DrawnObject]:
        """Take objects as the tracks that they overlap; returns those that overlap none."""
        matched = _matches(things, list(tracks.values()), renamed_iou)
        track_ids = list(tracks)
        for row, column in matched.items():
            self._put(named, track_ids[column], things[row], frame_index)
        return [thing for row, thing in enumerate(things) if row not in matched]

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


def _ids_ever_used(annotated: AnnotationSet) -> set[int]:
    """Return the ids of all tracks that a set has or had; one that is gone is not given again."""
    parts = range(annotated.manifest.parts)
    rows = (row for part in parts for row in annotated.rows("masks", part, ["track_id"]))
    shown = {row["track_id"] for row in rows}
    prompted = {prompt.track_id for _, prompt in annotated.prompts()}
    return shown | prompted | deletions_of(annotated).keys()


def _matches(
    things: Sequence[DrawnObject], tracks: Sequence[_Outlined], renamed_iou: float
) -> dict[int, int]:
    """Return the number of the track that each object is, the best pair first.

    Args:
        things: drawn objects.
        tracks: what they may be.
        renamed_iou: an object is a track of another class if it overlaps it so well.
    """
    iou = rle_iou_matrix([thing.rle for thing in things], [track.rle for track in tracks])
    same_class = np.equal.outer(
        [thing.class_id for thing in things], [track.class_id for track in tracks]
    )
    return best_pairs(iou, np.where(same_class, iou > 0, iou >= renamed_iou))
