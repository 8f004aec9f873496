"""SASVi's loop (Sivakumar et al., arXiv 2502.09653) on our models: the baseline to compare with.

One object for each class; the overseer looks at every frame; whenever it sees a new class, and
anyway after a while, the tracker forgets everything and is prompted with what the overseer sees.
Where the paper leaves it open: on the first frame every object is prompted with its mask, and a
class counts as new while the tracker shows nothing of it.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.annotate import Overseer, Tracker
from pipeline.drafts import Draft, PromptJournal, origins_of, undecodable_draft
from pipeline.loop_state import LoopState
from pipeline.masks import clicks_on, intersections
from pipeline.records import Detections, FrameAnnotation, FrameBatch, Prompt, PromptReason

# Track ids begin at 1, class ids at 0.
_FIRST_TRACK = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SasviSettings:
    """The published settings.

    Attributes:
        look_ahead: frames in which the overseer votes between two classes of one object.
        confirm_frames: a new class is taken when the next frames, this many, show it too.
        duplicate_overlap: two masks that cover this share of each other are one object.
        restart_every: frames until the tracker begins anew in any case.
        points: on a new object; others are prompted with the overseer's mask.
        score: detections below it are not seen, 0..1.
    """

    look_ahead: int = 10
    confirm_frames: int = 3
    duplicate_overlap: float = 0.70
    restart_every: int = 25
    points: int = 20
    score: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class _SeenFrame:
    """A frame with what the overseer sees in it: one mask bool[H, W] for each class."""

    index: int
    time_s: float
    image: NDArray[np.uint8]
    masks: dict[int, NDArray[np.bool_]]
    scores: dict[int, float]
    undecodable: bool = False


class Sasvi:
    """Annotates a video as SASVi does.

    Args:
        overseer: looks at every frame.
        tracker: follows one track for each class; the track id is the class id + 1.
        settings: the published ones, if none are given.
    """

    def __init__(
        self, *, overseer: Overseer, tracker: Tracker, settings: SasviSettings | None = None
    ) -> None:
        self._overseer = overseer
        self._tracker = tracker
        self._settings = settings or SasviSettings()
        self._restarts = _Restarts(tracker, self._settings)
        self._window: deque[_SeenFrame] = deque()
        self._next_frame = 0

    @property
    def past_frames(self) -> int:
        """How many frames before a state `restore` must see again."""
        return self._settings.look_ahead + self._tracker.look_back + 1

    def step(self, batch: FrameBatch) -> list[FrameAnnotation]:
        """Take the next batch; returns the frames, in order, whose look-ahead is complete."""
        done = []
        for seen in _look(batch, self._overseer, self._settings.score):
            self._window.append(seen)
            self._next_frame = seen.index + 1
            if len(self._window) > self._settings.look_ahead:
                done.append(self._restarts.annotate(self._window.popleft(), list(self._window)))
        return done

    def finish(self) -> list[FrameAnnotation]:
        """Return the frames that are left when no batch follows."""
        done = []
        while self._window:
            done.append(self._restarts.annotate(self._window.popleft(), list(self._window)))
        return done

    def withdrawn(self) -> Mapping[int, int]:
        """Return nothing: no track is taken back."""
        return {}

    def class_of(self, track_id: int) -> int | None:
        """Return None: no track's class ever turns."""
        del track_id
        return None

    def state(self) -> LoopState:
        """Return where the annotation stands, between two batches."""
        values = {"restarts": self._restarts.state(), "window": len(self._window)}
        return LoopState(next_frame=self._next_frame, values=values, arrays=self._tracker.state())

    def restore(self, state: LoopState, past: Iterable[FrameBatch]) -> None:
        """Go on from a state, given the batches before it; the overseer looks at them again."""
        self._next_frame = state.next_frame
        self._restarts.restore(state.values["restarts"])
        first = state.next_frame - state.values["window"]
        batches = list(past)
        self._window = deque(
            seen
            for batch in batches
            if batch.indices[-1] >= first
            for seen in _look(batch, self._overseer, self._settings.score)
            if seen.index >= first
        )
        self._tracker.restore(state.arrays, batches)


def _look(batch: FrameBatch, overseer: Overseer, score: float) -> Iterator[_SeenFrame]:
    for row, detections in enumerate(overseer.detect(batch.images)):
        masks, scores = _one_mask_per_class(detections, score)
        yield _SeenFrame(
            index=int(batch.indices[row]),
            time_s=float(batch.times[row]),
            image=batch.images[row],
            masks=masks,
            scores=scores,
            undecodable=int(batch.indices[row]) in batch.undecodable,
        )


def _one_mask_per_class(
    detections: Detections, score: float
) -> tuple[dict[int, NDArray[np.bool_]], dict[int, float]]:
    masks: dict[int, NDArray[np.bool_]] = {}
    scores: dict[int, float] = {}
    for number in np.flatnonzero(detections.scores >= score).tolist():
        class_id, mask = int(detections.class_ids[number]), detections.masks[number]
        if mask.any():
            masks[class_id] = masks[class_id] | mask if class_id in masks else mask
            scores[class_id] = max(scores.get(class_id, 0.0), float(detections.scores[number]))
    return masks, scores


def without_duplicates(
    masks: dict[int, NDArray[np.bool_]], classes_ahead: Sequence[set[int]], overlap: float
) -> set[int]:
    """Return the classes of a frame, of two on one object the one that is seen more often.

    Args:
        masks: bool[H, W] of each class.
        classes_ahead: the classes that the overseer sees in each of the next frames.
        overlap: two masks that cover this share of each other are one object.
    """
    kept = set(masks)
    votes = {c: sum(c in classes for classes in classes_ahead) for c in masks}
    # The most seen first; of equals the lower id, so that the result is always the same.
    ranked = sorted(masks, key=lambda class_id: (-votes[class_id], class_id))
    for place, winner in enumerate(ranked):
        for loser in ranked[place + 1 :]:
            both = winner in kept and loser in kept
            if both and _cover_each_other(masks[winner], masks[loser], overlap):
                kept.discard(loser)
    return kept


def _cover_each_other(first: NDArray[np.bool_], second: NDArray[np.bool_], overlap: float) -> bool:
    common = float(intersections(first[None], second[None])[0, 0])
    return bool(common >= overlap * max(np.count_nonzero(first), np.count_nonzero(second)))


class _Restarts:
    """Goes from frame to frame, and knows when the tracker last began anew."""

    def __init__(self, tracker: Tracker, settings: SasviSettings) -> None:
        self._tracker = tracker
        self._settings = settings
        self._journal = PromptJournal()
        self._last_restart: int | None = None

    def annotate(self, now: _SeenFrame, ahead: Sequence[_SeenFrame]) -> FrameAnnotation:
        """Annotate a frame, given what the overseer sees in it and in the next ones."""
        if now.undecodable:
            return undecodable_draft(now.index, now.time_s).finish(lambda track_id: track_id)
        self._tracker.track(now.index, now.image)
        restart = self._prompts(now, ahead)
        prompts = restart or []
        if restart is not None:
            self._tracker.end(self._tracker.result().track_ids.tolist())
            self._tracker.prompt(prompts)
            self._last_restart = now.index
        draft = Draft(
            index=now.index,
            time_s=now.time_s,
            overseer_ran=True,
            prompts=self._journal.record(prompts),
        )
        draft.take(self._tracker.result(), origins_of(prompts), self._journal.last)
        return draft.finish(lambda track_id: track_id - _FIRST_TRACK)

    def state(self) -> dict[str, Any]:
        return {"journal": self._journal.state(), "last_restart": self._last_restart}

    def restore(self, values: dict[str, Any]) -> None:
        self._journal.restore(values["journal"])
        self._last_restart = values["last_restart"]

    def _prompts(self, now: _SeenFrame, ahead: Sequence[_SeenFrame]) -> list[Prompt] | None:
        """Return what the tracker begins anew with, which may be nothing; None if it goes on."""
        rules = self._settings
        classes = without_duplicates(
            now.masks, [set(frame.masks) for frame in ahead], rules.duplicate_overlap
        )
        if self._last_restart is None:
            begun = [self._prompt(now, class_id, PromptReason.ENTERED) for class_id in classes]
            return begun or None
        new = self._confirmed(classes - self._shown(), ahead)
        due = now.index - self._last_restart >= rules.restart_every
        if not new and not due:
            return None
        return [
            self._point_prompt(now, class_id)
            if class_id in new
            else self._prompt(now, class_id, PromptReason.REFRESHED)
            for class_id in sorted(classes)
        ]

    def _shown(self) -> set[int]:
        tracked = self._tracker.result()
        visible = tracked.masks.any((1, 2))
        return {int(track_id) - _FIRST_TRACK for track_id in tracked.track_ids[visible]}

    def _confirmed(self, classes: set[int], ahead: Sequence[_SeenFrame]) -> set[int]:
        following = list(ahead)[: self._settings.confirm_frames]
        if len(following) < self._settings.confirm_frames:
            return set()
        return {c for c in classes if all(c in frame.masks for frame in following)}

    def _prompt(self, frame: _SeenFrame, class_id: int, reason: PromptReason) -> Prompt:
        return Prompt(
            frame_index=frame.index,
            track_id=class_id + _FIRST_TRACK,
            class_id=class_id,
            reason=reason,
            mask=frame.masks[class_id],
            score=frame.scores[class_id],
        )

    def _point_prompt(self, frame: _SeenFrame, class_id: int) -> Prompt:
        return Prompt(
            frame_index=frame.index,
            track_id=class_id + _FIRST_TRACK,
            class_id=class_id,
            reason=PromptReason.ENTERED,
            points=clicks_on(frame.masks[class_id], self._settings.points),
            score=frame.scores[class_id],
        )
