"""The loop: frames in, annotations out; overseer and tracker are behind two Protocols."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.drafts import (
    Draft,
    PromptJournal,
    drafts_state,
    origins_of,
    restored_drafts,
    undecodable_draft,
)
from pipeline.errors import InputError
from pipeline.labels import LabelSet
from pipeline.loop_state import LoopState
from pipeline.policy import Decision, Policy
from pipeline.records import (
    ChangedFrame,
    Detections,
    FrameAnnotation,
    FrameBatch,
    Origin,
    Prompt,
    TrackedMasks,
)
from pipeline.scene_changes import NO_SIGNS, FrameSigns, SceneWatch


class Overseer(Protocol):
    """Sees objects in single frames.

    Attributes:
        label_set: the classes that it knows.
    """

    label_set: LabelSet

    def detect(self, images: NDArray[np.uint8]) -> list[Detections]:
        """Find objects in frames.

        Args:
            images: uint8[N, H, W, 3], RGB.

        Returns:
            One record for each frame. No mask is empty, and a class of stuff is detected once,
            with all its parts: policies rely on both.
        """


class Tracker(Protocol):
    """Carries masks through time.

    Attributes:
        look_back: how many frames before the current one may change.
    """

    look_back: int

    def encode_ahead(self, frame_indices: Sequence[int], images: NDArray[np.uint8]) -> None:
        """Encode the images uint8[N, H, W, 3] of the next frames in one batch, if that helps."""

    def track(self, frame_index: int, image: NDArray[np.uint8]) -> None:
        """Take the next frame uint8[H, W, 3], RGB, and follow all tracks into it."""

    def prompt(self, prompts: Sequence[Prompt]) -> None:
        """Start or correct tracks on the current frame."""

    def back_fill(
        self, track_ids: Sequence[int], revised_since: Mapping[int, int]
    ) -> Sequence[ChangedFrame]:
        """Follow tracks prompted on the current frame back through the frames before.

        Args:
            track_ids: tracks to follow back into frames that they are not in.
            revised_since: others to follow back in place of what was tracked, and the first frame
                of each that may change.

        Returns:
            The frames that changed.
        """

    def appearances(self, masks: NDArray[np.bool_]) -> NDArray[np.float32] | None:
        """Return how what lies under masks bool[N, H, W] of the current frame looks, if it can.

        Returns:
            float32[N, C], at unit length; None if the tracker has no features.
        """

    def hide(self, track_ids: Sequence[int]) -> None:
        """Let tracks not be visible in the current frame, and not be remembered as seen in it."""

    def forget_past(self) -> None:
        """Let no track be followed back beyond the next frame: another picture begins."""

    def end(self, track_ids: Sequence[int]) -> None:
        """Stop following tracks; they stay in the frames before."""

    def withdraw(self, track_ids: Sequence[int]) -> Sequence[ChangedFrame]:
        """Stop following tracks that were none, and take them out of the frames before.

        Returns:
            The frames that changed.
        """

    def result(self) -> TrackedMasks:
        """Return the masks of all tracks in the current frame."""

    def reset(self) -> None:
        """Forget everything, to begin another video."""

    def state(self) -> dict[str, NDArray[Any]]:
        """Return what is remembered, as arrays by name; none of it is a picture."""

    def restore(self, state: Mapping[str, NDArray[Any]], past: Iterable[FrameBatch]) -> None:
        """Go on from a state.

        Args:
            state: from `state`.
            past: the batches before, which hold at least the current frame and `look_back`
                frames before it.
        """


class AnnotationLoop(Protocol):
    """Turns batches of frames into annotations, and can go on from where it once stood.

    Attributes:
        past_frames: how many frames before a state `restore` must see again.
    """

    @property
    def past_frames(self) -> int:
        """How many frames before a state `restore` must see again."""

    def step(self, batch: FrameBatch) -> list[FrameAnnotation]:
        """Take the next batch; returns the frames, in order, that nothing can change any more."""

    def finish(self) -> list[FrameAnnotation]:
        """Return the frames that are left when no batch follows."""

    def class_of(self, track_id: int) -> int | None:
        """Return the class of a track if it may have turned since its first frames were given."""

    def withdrawn(self) -> Mapping[int, int]:
        """Return which tracks turned out to be none, with the last frame that each may be in."""

    def state(self) -> LoopState:
        """Return where the annotation stands, between two batches."""

    def restore(self, state: LoopState, past: Iterable[FrameBatch]) -> None:
        """Go on from a state, given the batches before it."""


def run(loop: AnnotationLoop, batches: Iterable[FrameBatch]) -> Iterator[FrameAnnotation]:
    """Annotate a video frame by frame; each frame is seen once and then dropped.

    Yields:
        One annotation for each frame, in order.

    Raises:
        InputError: the frames end early; the annotations of those before come first.
    """
    failure: InputError | None = None
    try:
        for batch in batches:
            yield from loop.step(batch)
    except InputError as error:
        # The frames before a damaged one are as good as ever.
        failure = error
    yield from loop.finish()
    if failure is not None:
        raise failure


class PromptedTracking:
    """The tracker follows, the overseer looks, the policy prompts.

    A frame is given out once nothing can change it: a track that starts is followed back for
    as many frames as the tracker keeps.

    Args:
        overseer: looks at the frames that the policy wants seen; None if it wants none.
        tracker: follows the tracks.
        policy: decides when to prompt.
    """

    def __init__(self, *, overseer: Overseer | None, tracker: Tracker, policy: Policy) -> None:
        self._overseer = overseer
        self._tracker = tracker
        self._policy = policy
        self._waiting: deque[Draft] = deque()
        self._journal = PromptJournal()
        self._watch = SceneWatch()
        self._next_frame = 0
        self._withdrawn: dict[int, int] = {}

    @property
    def past_frames(self) -> int:
        """How many frames before a state `restore` must see again."""
        return self._tracker.look_back + 1

    def step(self, batch: FrameBatch) -> list[FrameAnnotation]:
        """Take the next batch; returns the frames, in order, that nothing can change any more."""
        signs = [
            # In place of a frame that cannot be decoded stands another one.
            NO_SIGNS if index in batch.undecodable else self._watch.look(image)
            for index, image in zip(batch.indices.tolist(), batch.images, strict=True)
        ]
        seen = _look(batch, signs, self._overseer, self._policy)
        self._tracker.encode_ahead(batch.indices.tolist(), batch.images)
        done = []
        for row, index in enumerate(batch.indices.tolist()):
            if index in batch.undecodable:
                self._waiting.append(undecodable_draft(index, float(batch.times[row])))
            else:
                self._take(batch, row, signs[row], seen.get(index))
            if len(self._waiting) > self._tracker.look_back:
                done.append(self._waiting.popleft().finish(self._policy.class_of))
            self._next_frame = index + 1
        return done

    def finish(self) -> list[FrameAnnotation]:
        """Return the frames that are left when no batch follows."""
        done = [draft.finish(self._policy.class_of) for draft in self._waiting]
        self._waiting.clear()
        return done

    def class_of(self, track_id: int) -> int:
        """Return the class of a track, whose vote may have turned since its first frames."""
        return self._policy.class_of(track_id)

    def withdrawn(self) -> Mapping[int, int]:
        """Return which tracks turned out to be none, with the last frame that each may be in."""
        return self._withdrawn

    def state(self) -> LoopState:
        """Return where the annotation stands, between two batches."""
        return LoopState(
            next_frame=self._next_frame,
            values={
                "policy": self._policy.state(),
                "waiting": drafts_state(self._waiting),
                "journal": self._journal.state(),
                "watch": self._watch.state(),
                "withdrawn": list(self._withdrawn.items()),
            },
            arrays=self._tracker.state(),
        )

    def restore(self, state: LoopState, past: Iterable[FrameBatch]) -> None:
        """Go on from a state, given the batches before it."""
        self._next_frame = state.next_frame
        self._policy.restore(state.values["policy"])
        self._waiting = deque(restored_drafts(state.values["waiting"]))
        self._journal.restore(state.values["journal"])
        self._watch.restore(state.values["watch"])
        # Earlier versions noted none.
        self._withdrawn = dict(state.values.get("withdrawn", ()))
        self._tracker.restore(state.arrays, self._encoded_ahead(past))

    def _encoded_ahead(self, batches: Iterable[FrameBatch]) -> Iterator[FrameBatch]:
        """Yield batches whose images the tracker has encoded: together, as they were before."""
        for batch in batches:
            self._tracker.encode_ahead(batch.indices.tolist(), batch.images)
            yield batch

    def _take(
        self, batch: FrameBatch, row: int, signs: FrameSigns, detections: Detections | None
    ) -> None:
        """Take a frame into the queue of those that may still change."""
        tracker, policy = self._tracker, self._policy
        index, image = int(batch.indices[row]), batch.images[row]
        if signs.cut:
            tracker.forget_past()
        tracker.track(index, image)
        tracked = tracker.result()
        if self._overseer is not None and detections is None and not signs.unusable:
            detections = _look_closer(index, image, self._overseer, policy, tracked)
        if detections is not None:
            detections = replace(detections, appearances=tracker.appearances(detections.masks))
            tracked = replace(tracked, appearances=tracker.appearances(tracked.masks))
        decision = policy.decide(index, detections, tracked, signs)
        if decision.prompts or decision.ended or decision.withdrawn or decision.hidden:
            tracker.hide(decision.hidden)
            tracker.end(decision.ended)
            self._withdraw(index, decision.withdrawn)
            tracker.prompt(decision.prompts)
            tracked = tracker.result()
        draft = Draft(
            index=index,
            time_s=float(batch.times[row]),
            overseer_ran=detections is not None,
            prompts=self._journal.record(decision.prompts),
            flags=_flags(signs, decision),
            is_blank=decision.out_of_body or decision.unusable,
        )
        draft.take(tracked, origins_of(decision.prompts), self._journal.last)
        self._waiting.append(draft)
        if decision.back_filled or decision.revised_since:
            self._change_earlier(tracker.back_fill(decision.back_filled, decision.revised_since))

    def _withdraw(self, index: int, track_ids: Sequence[int]) -> None:
        """Take what was no object out of the waiting frames, and note it for those before."""
        if track_ids:
            # If it comes back, it may be followed back into the waiting frames, and stays there.
            first = self._waiting[0].index if self._waiting else index
            self._withdrawn |= dict.fromkeys(track_ids, first - 1)
            for draft in self._waiting:
                draft.withdraw(track_ids)
            self._change_earlier(self._tracker.withdraw(track_ids))

    def _change_earlier(self, changed: Sequence[ChangedFrame]) -> None:
        """Take over what the tracker has changed in the waiting frames.

        It keeps no undecodable frames, so it may reach further back than they do.
        """
        drafts = {draft.index: draft for draft in self._waiting}
        for frame in changed:
            if frame.frame_index in drafts:
                origins = dict.fromkeys(frame.followed, Origin.BACK_FILLED)
                drafts[frame.frame_index].take(frame.tracked, origins, self._journal.last)


def _flags(signs: FrameSigns, decision: Decision) -> tuple[str, ...]:
    named = {
        "cut": signs.cut,
        "black": signs.black,
        "blurred": signs.blurred,
        "out_of_body": decision.out_of_body,
    }
    return tuple(name for name, holds in named.items() if holds)


def _look_closer(
    index: int,
    image: NDArray[np.uint8],
    overseer: Overseer,
    policy: Policy,
    tracked: TrackedMasks,
) -> Detections | None:
    """Let the overseer look at a frame in which the policy doubts the tracker."""
    return overseer.detect(image[None])[0] if policy.doubts(index, tracked) else None


def _look(
    batch: FrameBatch, signs: Sequence[FrameSigns], overseer: Overseer | None, policy: Policy
) -> dict[int, Detections]:
    """Let the overseer look at the wanted frames of a batch, all at once."""
    if overseer is None:
        return {}
    rows = [
        row
        for row, index in enumerate(batch.indices)
        if int(index) not in batch.undecodable and policy.wants_overseer(int(index), signs[row])
    ]
    if not rows:
        return {}
    seen = overseer.detect(batch.images[rows])
    return {int(batch.indices[row]): found for row, found in zip(rows, seen, strict=True)}
