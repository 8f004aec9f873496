"""Which frames of which tracks corrections can change."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from math import inf
from types import MappingProxyType

from pipeline.masks import RLE, rle_area, rle_iou_matrix, same_mask
from pipeline.records import FrameAnnotation, Origin, TrackAnnotation

# A mask that covers another track's so well, where that track was changed, was that track's.
_SAME_OBJECT_IOU = 0.5

DRAWN_ALONE = "drawn_alone"
"""The flag of a frame that a human drew on without its masks before him, as where CVAT interpolates
a polygon between frames that were exported: a track that was not drawn there was not left there."""

# By track id and by the frame on which a human deleted the track: where that holds.
Deletions = Mapping[int, Mapping[int, range]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackPlan:
    """What becomes of one corrected track; spans of frames are half-open.

    Attributes:
        track_id: the track.
        class_id: its class from now on, in all frames.
        drawn: the masks that a human drew, by frame index; the tracker is prompted with them.
        absent: where it is not, by the frame on which a human said so, now or before.
        followed: where it is tracked anew, each from a drawn mask on.
        before: where it may be followed back, each up to a drawn mask.
        named_prompts: the prompts that masks name which stay as they are.
    """

    track_id: int
    class_id: int
    drawn: Mapping[int, RLE] = field(default_factory=dict)
    absent: Mapping[int, range] = field(default_factory=dict)
    followed: tuple[range, ...] = ()
    before: tuple[range, ...] = ()
    named_prompts: AbstractSet[int] = frozenset()

    def is_followed(self, frame_index: int) -> bool:
        """Return whether the track is tracked anew in a frame."""
        return any(frame_index in span for span in self.followed)

    def is_absent(self, frame_index: int) -> bool:
        """Return whether a human said that the track is not in a frame."""
        return any(frame_index in span for span in self.absent.values())

    def span_before(self, frame_index: int) -> range:
        """Return the frames that a mask drawn on a frame may be followed back to."""
        empty = range(frame_index, frame_index)
        return next((span for span in self.before if span.stop == frame_index), empty)


def plan_corrections(
    corrected: Iterable[FrameAnnotation],
    changes: Iterable[FrameAnnotation],
    look_back: int,
    deletions: Deletions = MappingProxyType({}),
) -> dict[int, TrackPlan]:
    """Say what corrections can change.

    A drawn mask is followed on to the next one that a human drew (now or before), to where the
    track is absent, to its end in the corrected set, or to a cut; and back to the same, but only
    half-way to a mask of a human, and not further than the tracker looks back. Where a track was
    drawn after its end, or is new, the video's end bounds it. A deletion holds half-way to the
    next frame that the human saw and left the track in, or for which a human drew it (now or
    before). A mask that was another track's in the corrected set, as where the human divides or
    exchanges tracks, is followed back no further than half-way to the last frame that the human
    saw and left that track in; and on likewise to the next such frame, if it follows on another
    mask that the track was given so. A new class is the track's in all frames; the last one
    counts, and a mask that keeps the class that the track had does not change it back. What was
    drawn on a frame without a picture is kept there, and not followed.

    Args:
        corrected: the frames of the corrected set.
        changes: the frames of the set of corrections; those that are `DRAWN_ALONE` say nothing of
            the tracks that were left on them.
        look_back: frames that the tracker can follow a track back.
        deletions: those of earlier corrections, which hold but for what is drawn now.

    Returns:
        A plan for each track that was changed.
    """
    seen: dict[int, Sequence[TrackAnnotation]] = {}
    shown: set[int] = set()
    for frame in changes:
        seen[frame.index] = frame.tracks
        if DRAWN_ALONE not in frame.flags:
            shown.add(frame.index)
    histories: dict[int, _History] = {}
    for index, tracks in seen.items():
        for track in tracks:
            number = track.track_id
            if number not in histories:
                histories[number] = _History(number, deletions.get(number, {}))
            histories[number].change(index, track)
    cuts, undecodable, count = [], set(), 0
    for frame in corrected:
        count = frame.index + 1
        if "cut" in frame.flags:
            cuts.append(frame.index)
        if "undecodable" in frame.flags:
            undecodable.add(frame.index)
        for track in frame.tracks:
            if track.track_id in histories:
                histories[track.track_id].meet(frame.index, track, shown=frame.index in shown)
        for taker, owner in _taken_over(seen.get(frame.index, ()), frame.tracks):
            histories[taker].take_over(frame.index, histories[owner])
    return {
        track_id: history.plan([0, *cuts, count], undecodable, look_back)
        for track_id, history in sorted(histories.items())
    }


def _taken_over(
    changed: Sequence[TrackAnnotation], tracks: Sequence[TrackAnnotation]
) -> Iterator[tuple[int, int]]:
    """Yield each track of a frame that was given another one's mask, and that other one.

    Args:
        changed: the tracks of the frame that a human changed.
        tracks: those of the corrected set.
    """
    numbers = {track.track_id for track in changed}
    before = [track for track in tracks if track.track_id in numbers]
    drawn = [track for track in changed if rle_area(track.rle)]
    iou = rle_iou_matrix([track.rle for track in drawn], [track.rle for track in before])
    for row, track in enumerate(drawn):
        best = max(range(len(before)), key=lambda column: iou[row, column], default=None)
        if best is not None and iou[row, best] >= _SAME_OBJECT_IOU:
            owner = before[best].track_id
            if owner != track.track_id:
                yield track.track_id, owner


def deletions_after(deletions: Deletions, plans: Mapping[int, TrackPlan]) -> Deletions:
    """Return the deletions that hold when corrections have been taken over."""
    changed = {track_id: plan.absent for track_id, plan in plans.items()}
    return {track_id: spans for track_id, spans in {**deletions, **changed}.items() if spans}


class _History:
    """What is known of one corrected track."""

    def __init__(self, track_id: int, deletions: Mapping[int, range]) -> None:
        self._track_id = track_id
        self._class_before: int | None = None
        self._classes_drawn: list[int] = []
        self._drawn: dict[int, RLE] = {}
        self._deleted_before = deletions
        self._deleted: list[int] = []
        self._left: list[int] = []
        self._human: list[int] = []
        # Whose mask it was, by the frame that it was drawn on, and where the one before was drawn.
        self._ceded: dict[int, tuple[_History, int]] = {}
        self._first = self._last = -1
        # The prompt that the mask of each frame names.
        self._named: dict[int, int] = {}

    def change(self, frame_index: int, track: TrackAnnotation) -> None:
        """Take a correction; they come in order."""
        if rle_area(track.rle):
            self._drawn[frame_index] = track.rle
            self._classes_drawn.append(track.class_id)
        else:
            self._deleted.append(frame_index)

    def meet(self, frame_index: int, track: TrackAnnotation, *, shown: bool) -> None:
        """Take what the corrected set has; it comes in order, after all corrections."""
        self._first = frame_index if self._first < 0 else self._first
        self._last = frame_index
        self._named[frame_index] = track.prompt_id
        self._class_before = track.class_id
        if frame_index in self._drawn and same_mask(self._drawn[frame_index], track.rle):
            # The class alone was changed: there is nothing to track again.
            del self._drawn[frame_index]
        if frame_index in self._drawn or frame_index in self._deleted:
            return
        if shown:
            self._left.append(frame_index)
        if track.origin is Origin.HUMAN:
            self._human.append(frame_index)

    def take_over(self, frame_index: int, owner: "_History") -> None:
        """Note whose mask it was that a human drew for the track on a frame; they come in order."""
        self._ceded[frame_index] = owner, next(reversed(self._ceded), -1)

    def plan(self, scenes: list[int], undecodable: AbstractSet[int], look_back: int) -> TrackPlan:
        """Return the plan; `scenes` are the first frames of the scenes, and the video's end."""
        prompted = [index for index in self._drawn if index not in undecodable]
        absent = self._absent(scenes[-1])
        stops = [*scenes, *self._drawn, *self._human, *(span.start for span in absent.values())]
        followed = tuple(self._followed_from(index, stops) for index in prompted)
        # The way from one drawn mask to the next is halved between them, see `_before`.
        ends = {span.stop for span in followed} - self._drawn.keys()
        starts = [*scenes, *ends, *(span.stop for span in absent.values())]
        before = tuple(self._before(index, starts, look_back) for index in prompted)
        plan = TrackPlan(
            track_id=self._track_id,
            class_id=self._class_id(),
            drawn=self._drawn,
            absent=absent,
            followed=followed,
            before=before,
        )
        return replace(plan, named_prompts=self._still_named(plan))

    def _still_named(self, plan: TrackPlan) -> frozenset[int]:
        """Return the prompts that masks name where the plan leaves them as they are."""
        return frozenset(
            prompt_id
            for index, prompt_id in self._named.items()
            if not (index in plan.drawn or plan.is_followed(index) or plan.is_absent(index))
        )

    def _class_id(self) -> int:
        """Return the class from now on: a mask of the class that the track had renames nothing."""
        renamed = [number for number in self._classes_drawn if number != self._class_before]
        if renamed:
            return renamed[-1]
        # A track that is nowhere in the set any more can only be deleted once more.
        return -1 if self._class_before is None else self._class_before

    def _absent(self, count: int) -> dict[int, range]:
        """Return where each deletion holds, the earlier ones not beyond where they held before."""
        held = {**self._deleted_before, **dict.fromkeys(self._deleted, range(count))}
        there = sorted([*self._drawn, *self._left, *self._human])
        return {
            deleted: _half_way(deleted, span, there)
            for deleted, span in sorted(held.items())
            if deleted not in self._drawn
        }

    def _followed_from(self, drawn: int, stops: list[int]) -> range:
        stop = min(frame_index for frame_index in stops if frame_index > drawn)
        stop = int(min(stop, self._start_and_stop(drawn)[1]))
        return range(drawn, min(stop, self._last + 1) if drawn <= self._last else stop)

    def _before(self, drawn: int, starts: list[int], look_back: int) -> range:
        start = max(frame_index for frame_index in starts if frame_index <= drawn)
        # What was tracked on from an earlier mask of a human is better near that one.
        earlier = [index for index in (*self._human, *self._drawn) if index < drawn]
        human = [(index + drawn + 1) // 2 for index in earlier]
        start = max([start, drawn - look_back, self._start_and_stop(drawn)[0], *human])
        return range(max(start, self._first) if drawn >= self._first else start, drawn)

    def _start_and_stop(self, drawn: int) -> tuple[int, float]:
        """Return where a mask may be followed from and to that was another track's."""
        if drawn not in self._ceded:
            return 0, inf
        owner, previous = self._ceded[drawn]
        place = bisect_left(owner._left, drawn)
        before, after = owner._left[:place][-1:], owner._left[place : place + 1]
        start = (before[0] + drawn + 1) // 2 if before else 0
        # One frame alone does not say how long it holds: the rest follows, as after any mask.
        goes_on = previous >= start and self._ceded[previous][0] is owner
        return start, (drawn + after[0] + 1) // 2 if after and goes_on else inf


def _half_way(deleted: int, held: range, there: list[int]) -> range:
    """Return the part of a span around a deletion that is nearer to it than to where a track is."""
    earlier = [index for index in there if index < deleted]
    later = [index for index in there if index > deleted]
    start = (earlier[-1] + deleted + 1) // 2 if earlier else held.start
    stop = (deleted + later[0] + 1) // 2 if later else held.stop
    return range(max(start, held.start), min(stop, held.stop))
