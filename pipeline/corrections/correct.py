"""Correct a set: its frames in, and out again with what corrections change in them."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.annotate import Tracker
from pipeline.corrections.plan import TrackPlan
from pipeline.drafts import BLANK_FLAGS
from pipeline.masks import decode_mask, encode_mask
from pipeline.records import (
    FrameAnnotation,
    Origin,
    Prompt,
    PromptReason,
    PromptRecord,
    TrackAnnotation,
    TrackedMasks,
)

# What another mask covers but for so little of it was the same object.
_LEAST_LEFT_SHARE = 0.1

Plans = Mapping[int, TrackPlan]
Image = NDArray[np.uint8]


def correct(
    frames: Iterable[FrameAnnotation],
    pictures: Iterator[tuple[int, Image]],
    *,
    plans: Plans,
    tracker: Tracker,
    first_prompt_id: int,
) -> Generator[FrameAnnotation, None, None]:
    """Take corrections over, and track anew where they can change something.

    What a human drew is kept exactly. A pixel goes to a mask of a human first, then to one that
    was tracked on from it, then to one that was tracked back, and last to what was there before.

    Args:
        frames: those of the corrected set, in order.
        pictures: the index and the picture of each frame, in order; none is taken after the last
            frame that is tracked.
        plans: from `plan_corrections`, by track id.
        tracker: a fresh one.
        first_prompt_id: numbers the prompts from here on.

    Yields:
        One annotation for each frame, in order.

    Raises:
        InputError: the video ends early.
    """
    active = _active_frames(plans)
    run = _Run(plans, tracker, first_prompt_id)
    waiting: deque[_Revision] = deque()
    for frame in frames:
        waiting.append(_Revision(frame))
        if frame.index in active:
            image = next(image for index, image in pictures if index == frame.index)
            if "undecodable" in frame.flags:
                run.pass_over(waiting[-1])
            else:
                run.step(waiting, image)
        if len(waiting) > tracker.look_back:
            yield waiting.popleft().finish(plans)
    yield from (revision.finish(plans) for revision in waiting)


def _active_frames(plans: Plans) -> set[int]:
    return {
        frame_index
        for plan in plans.values()
        for span in (*plan.followed, *plan.before, plan.drawn)
        for frame_index in span
    }


class _Run:
    """Tracks corrected tracks through the frames that they can change."""

    def __init__(self, plans: Plans, tracker: Tracker, first_prompt_id: int) -> None:
        self._plans = plans
        self._tracker = tracker
        self._next_prompt_id = first_prompt_id
        self._last_prompt: dict[int, int] = {}
        self._following: set[int] = set()
        self._last_index = -2

    def step(self, waiting: "deque[_Revision]", image: Image) -> None:
        """Track into the last of the waiting frames, and back into those before."""
        revision = waiting[-1]
        index = revision.frame.index
        if index != self._last_index + 1 or "cut" in revision.frame.flags:
            self._tracker.forget_past()
        self._last_index = index
        ended = {t for t in self._following if not self._plans[t].is_followed(index)}
        self._tracker.end(sorted(ended))
        self._following -= ended
        self._tracker.track(index, image)
        drawn = self._prompt(revision)
        self._following.update(drawn)
        revision.take(self._annotations(self._tracker.result(), Origin.PROPAGATED))
        back = [t for t in drawn if len(self._plans[t].span_before(index))]
        if back:
            self._follow_back(back, index, waiting)

    def pass_over(self, revision: "_Revision") -> None:
        """Take a frame without a picture: what was drawn on it is kept, and nobody tracks into it.

        Those after it follow on those before it, as when the video was annotated.
        """
        self._note_drawn(revision)
        self._last_index = revision.frame.index

    def _prompt(self, revision: "_Revision") -> list[int]:
        """Prompt with the masks that were drawn on a frame; returns their tracks."""
        plans = self._note_drawn(revision)
        for plan, prompt in zip(plans, revision.prompts, strict=True):
            self._last_prompt[plan.track_id] = prompt.prompt_id
        self._tracker.prompt([_prompt(plan, revision.frame.index) for plan in plans])
        return [plan.track_id for plan in plans]

    def _note_drawn(self, revision: "_Revision") -> list[TrackPlan]:
        """Note the masks that were drawn on a frame; returns the plans of their tracks."""
        plans = [plan for plan in self._plans.values() if revision.frame.index in plan.drawn]
        for plan in plans:
            revision.prompts.append(_record(plan, self._next_prompt_id))
            self._next_prompt_id += 1
        return plans

    def _follow_back(self, track_ids: list[int], index: int, waiting: "deque[_Revision]") -> None:
        revisions = {revision.frame.index: revision for revision in waiting}
        since = {t: self._plans[t].span_before(index).start for t in track_ids}
        for changed in self._tracker.back_fill([], since):
            found = self._annotations(changed.tracked, Origin.BACK_FILLED)
            revisions[changed.frame_index].revise(
                track for track in found if track.track_id in changed.followed
            )

    def _annotations(self, tracked: TrackedMasks, origin: Origin) -> list[TrackAnnotation]:
        return [
            TrackAnnotation(
                track_id=track_id,
                class_id=self._plans[track_id].class_id,
                rle=encode_mask(tracked.masks[row]),
                quality=float(tracked.quality[row]),
                presence=float(tracked.presence[row]),
                origin=origin,
                prompt_id=self._last_prompt[track_id],
            )
            for row, track_id in enumerate(tracked.track_ids.tolist())
            if tracked.masks[row].any()
        ]


def _prompt(plan: TrackPlan, index: int) -> Prompt:
    return Prompt(
        frame_index=index,
        track_id=plan.track_id,
        class_id=plan.class_id,
        reason=PromptReason.HUMAN,
        mask=decode_mask(plan.drawn[index]),
    )


def _record(plan: TrackPlan, prompt_id: int) -> PromptRecord:
    return PromptRecord(
        prompt_id=prompt_id,
        track_id=plan.track_id,
        class_id=plan.class_id,
        kind="mask",
        reason=PromptReason.HUMAN,
        score=1.0,
    )


@dataclass(slots=True)
class _Revision:
    """A frame of the corrected set, and what becomes of it.

    Attributes:
        frame: as it was.
        tracked: what was tracked anew, by track id.
        prompts: what the tracker was told on it.
    """

    frame: FrameAnnotation
    tracked: dict[int, TrackAnnotation] = field(default_factory=dict)
    prompts: list[PromptRecord] = field(default_factory=list)

    def take(self, tracks: Iterable[TrackAnnotation]) -> None:
        """Take tracked masks over; what the frame has already stays."""
        if not self._is_blank():
            for track in tracks:
                self.tracked.setdefault(track.track_id, track)

    def revise(self, tracks: Iterable[TrackAnnotation]) -> None:
        """Take masks over that were tracked from a nearer one."""
        if not self._is_blank():
            self.tracked.update({track.track_id: track for track in tracks})

    def _is_blank(self) -> bool:
        """Return whether the frame has no masks but those that a human draws."""
        return not BLANK_FLAGS.isdisjoint(self.frame.flags)

    def finish(self, plans: Plans) -> FrameAnnotation:
        """Return the frame as it is stored."""
        drawn = [self._drawn(plan) for plan in plans.values() if self.frame.index in plan.drawn]
        done = {track.track_id for track in drawn}
        tracked = [track for track in self.tracked.values() if track.track_id not in done]
        tracked.sort(key=lambda track: track.origin is Origin.BACK_FILLED)
        done |= {*self.tracked, *(t for t, plan in plans.items() if self._is_settled(plan))}
        kept = [_renamed(track, plans) for track in self.frame.tracks if track.track_id not in done]
        if drawn or tracked:
            human = [track for track in kept if track.origin is Origin.HUMAN]
            machine = [track for track in kept if track.origin is not Origin.HUMAN]
            kept = list(_stacked([drawn, human, *([track] for track in tracked), machine]))
        # A mask of another frame, which stays, may say that it came from a prompt on this one.
        prompts = [
            prompt
            for prompt in self.frame.prompts
            if prompt.track_id not in done
            or prompt.prompt_id in plans[prompt.track_id].named_prompts
        ]
        return replace(
            self.frame,
            tracks=tuple(sorted(kept, key=lambda track: track.track_id)),
            prompts=(*prompts, *self.prompts),
        )

    def _is_settled(self, plan: TrackPlan) -> bool:
        return plan.is_followed(self.frame.index) or plan.is_absent(self.frame.index)

    def _drawn(self, plan: TrackPlan) -> TrackAnnotation:
        (prompt,) = [prompt for prompt in self.prompts if prompt.track_id == plan.track_id]
        return TrackAnnotation(
            track_id=plan.track_id,
            class_id=plan.class_id,
            rle=plan.drawn[self.frame.index],
            quality=1.0,
            presence=1.0,
            origin=Origin.HUMAN,
            prompt_id=prompt.prompt_id,
        )


def _renamed(track: TrackAnnotation, plans: Plans) -> TrackAnnotation:
    plan = plans.get(track.track_id)
    return track if plan is None else replace(track, class_id=plan.class_id)


def _stacked(layers: Iterable[Sequence[TrackAnnotation]]) -> Iterator[TrackAnnotation]:
    """Yield masks without the pixels of the layers before.

    What has hardly any left is dropped, but for what a human drew, which needs to have none left.
    """
    taken: NDArray[np.bool_] | None = None
    for layer in layers:
        masks = [decode_mask(track.rle) for track in layer]
        for track, mask in zip(layer, masks, strict=True):
            free = mask if taken is None else mask & ~taken
            by_hand = track.origin is Origin.HUMAN
            if free.any() and (by_hand or free.sum() >= _LEAST_LEFT_SHARE * mask.sum()):
                yield track if free.sum() == mask.sum() else replace(track, rle=encode_mask(free))
        for mask in masks:
            taken = mask if taken is None else taken | mask
