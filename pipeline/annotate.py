"""The loop: frames in, annotations out; overseer and tracker are behind two Protocols."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.drafts import Draft, PromptJournal, origins_of, undecodable_draft
from pipeline.errors import InputError
from pipeline.labels import LabelSet
from pipeline.masks import encode_mask, iou_matrix, resolve_overlaps
from pipeline.policy import Decision, Policy
from pipeline.records import (
    Detections,
    FrameAnnotation,
    FrameBatch,
    Origin,
    Prompt,
    TrackAnnotation,
    TrackedMasks,
)
from pipeline.scene_changes import FrameSigns, SceneWatch


class Overseer(Protocol):
    """Sees objects in single frames."""

    label_set: LabelSet

    def detect(self, images: NDArray[np.uint8]) -> list[Detections]:
        """Find objects in frames uint8[N, H, W, 3], RGB; one record for each frame."""


class Tracker(Protocol):
    """Carries masks through time.

    Attributes:
        look_back: how many frames before the current one `back_fill` may change.
    """

    look_back: int

    def encode_ahead(self, frame_indices: Sequence[int], images: NDArray[np.uint8]) -> None:
        """Encode the images uint8[N, H, W, 3] of the next frames in one batch, if that helps."""

    def track(self, frame_index: int, image: NDArray[np.uint8]) -> None:
        """Take the next frame uint8[H, W, 3], RGB, and follow all tracks into it."""

    def prompt(self, prompts: Sequence[Prompt]) -> None:
        """Start or correct tracks on the current frame."""

    def back_fill(self, track_ids: Sequence[int]) -> Sequence[tuple[int, TrackedMasks]]:
        """Follow tracks prompted on the current frame back through the frames before.

        Returns:
            (frame index, masks of all tracks) of each frame that changed.
        """

    def forget_past(self) -> None:
        """Let no track be followed back beyond the next frame: another picture begins."""

    def end(self, track_ids: Sequence[int]) -> None:
        """Stop following tracks."""

    def result(self) -> TrackedMasks:
        """Return the masks of all tracks in the current frame."""

    def reset(self) -> None:
        """Forget everything, to begin another video."""


def annotate(
    batches: Iterable[FrameBatch],
    *,
    overseer: Overseer | None,
    tracker: Tracker,
    policy: Policy,
) -> Generator[FrameAnnotation, None, None]:
    """Annotate a video frame by frame; each frame is seen once and then dropped.

    Frames are given out once nothing can change them: a track that starts is followed back
    for as many frames as the tracker keeps.

    Args:
        batches: the frames in order.
        overseer: looks at the frames that the policy wants seen; None if it wants none.
        tracker: follows the tracks.
        policy: decides when to prompt.

    Yields:
        One annotation for each frame, in order.

    Raises:
        InputError: the frames end early; the annotations of those before come first.
    """
    waiting: deque[Draft] = deque()
    failure: InputError | None = None
    try:
        for _ in _draft_frames(batches, overseer, tracker, policy, waiting):
            if len(waiting) > tracker.look_back:
                yield waiting.popleft().finish(policy.class_of)
    except InputError as error:
        # The frames before a damaged one are as good as ever.
        failure = error
    yield from (draft.finish(policy.class_of) for draft in waiting)
    if failure is not None:
        raise failure


def _draft_frames(
    batches: Iterable[FrameBatch],
    overseer: Overseer | None,
    tracker: Tracker,
    policy: Policy,
    waiting: "deque[Draft]",
) -> Iterator[None]:
    """Take frame after frame into the queue of those that may still change."""
    journal = PromptJournal()
    watch = SceneWatch()
    for batch in batches:
        signs = [watch.look(image) for image in batch.images]
        seen = _look(batch, signs, overseer, policy)
        tracker.encode_ahead(batch.indices.tolist(), batch.images)
        for row, index in enumerate(batch.indices.tolist()):
            if index in batch.undecodable:
                waiting.append(undecodable_draft(index, float(batch.times[row])))
                yield
                continue
            if signs[row].cut:
                tracker.forget_past()
            tracker.track(index, batch.images[row])
            tracked = tracker.result()
            detections = seen.get(index)
            if overseer is not None and detections is None and not signs[row].black:
                detections = _look_closer(index, batch.images[row], overseer, policy, tracked)
            decision = policy.decide(index, detections, tracked, signs[row])
            if decision.prompts or decision.ended or decision.withdrawn:
                tracker.end((*decision.ended, *decision.withdrawn))
                tracker.prompt(decision.prompts)
                tracked = tracker.result()
            draft = Draft(
                index=index,
                time_s=float(batch.times[row]),
                overseer_ran=detections is not None,
                prompts=journal.record(decision.prompts),
                flags=_flags(signs[row], decision),
            )
            if not decision.out_of_body:
                draft.take(tracked, origins_of(decision.prompts), journal.last)
            waiting.append(draft)
            if decision.withdrawn:
                for earlier in waiting:
                    earlier.withdraw(decision.withdrawn)
            if decision.back_filled:
                _back_fill(waiting, tracker.back_fill(decision.back_filled), journal)
            yield


def _back_fill(
    waiting: Sequence[Draft],
    changed: Sequence[tuple[int, TrackedMasks]],
    journal: "PromptJournal",
) -> None:
    drafts = {draft.index: draft for draft in waiting}
    for index, tracked in changed:
        new = set(tracked.track_ids.tolist()) - set(drafts[index].tracks)
        drafts[index].take(tracked, dict.fromkeys(new, Origin.BACK_FILLED), journal.last)


def annotate_framewise(
    batches: Iterable[FrameBatch], overseer: Overseer, score: float = 0.5
) -> Generator[FrameAnnotation, None, None]:
    """Annotate each frame by the overseer alone: the baseline without a tracker.

    A detection keeps the track id of the detection of its class that it overlaps most in
    the frame before.

    Yields:
        One annotation for each frame, in order.
    """
    linker = _FrameLinker()
    for batch in batches:
        for row, detections in enumerate(overseer.detect(batch.images)):
            index, time_s = int(batch.indices[row]), float(batch.times[row])
            if index in batch.undecodable:
                yield undecodable_draft(index, time_s).finish(lambda track_id: track_id)
                continue
            sure = np.flatnonzero(detections.scores >= score)
            masks = resolve_overlaps(detections.masks[sure], detections.scores[sure])
            class_ids = detections.class_ids[sure]
            track_ids = linker.link(class_ids, masks)
            tracks = [
                TrackAnnotation(
                    track_id=track_id,
                    class_id=int(class_ids[number]),
                    rle=encode_mask(masks[number]),
                    quality=float(detections.scores[sure[number]]),
                    presence=1.0,
                    origin=Origin.PROMPT,
                )
                for number, track_id in enumerate(track_ids)
                if masks[number].any()
            ]
            yield FrameAnnotation(
                index=index,
                time_s=time_s,
                tracks=tuple(sorted(tracks, key=lambda track: track.track_id)),
                overseer_ran=True,
            )


class _FrameLinker:
    """Gives detections of consecutive frames the same id where they overlap most."""

    def __init__(self) -> None:
        self._previous: list[tuple[int, int, NDArray[np.bool_]]] = []
        self._next_id = 1

    def link(self, class_ids: NDArray[np.int64], masks: NDArray[np.bool_]) -> list[int]:
        track_ids = [0] * len(masks)
        if self._previous and len(masks):
            iou = iou_matrix(masks, np.stack([mask for _, _, mask in self._previous]))
            taken: set[int] = set()
            for number, other in np.dstack(np.unravel_index(np.argsort(-iou, None), iou.shape))[0]:
                track_id, class_id, _ = self._previous[other]
                free = track_ids[number] == 0 and track_id not in taken
                if iou[number, other] > 0 and free and class_id == class_ids[number]:
                    track_ids[number] = track_id
                    taken.add(track_id)
        for number, track_id in enumerate(track_ids):
            if track_id == 0:
                track_ids[number] = self._next_id
                self._next_id += 1
        self._previous = [
            (track_id, int(class_id), mask)
            for track_id, class_id, mask in zip(track_ids, class_ids, masks, strict=True)
        ]
        return track_ids


def _flags(signs: FrameSigns, decision: Decision) -> tuple[str, ...]:
    named = {"cut": signs.cut, "black": signs.black, "out_of_body": decision.out_of_body}
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
