"""When to prompt: a policy looks at what overseer and tracker see, and decides."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from pipeline.masks import iou_matrix
from pipeline.records import Detections, Prompt, PromptReason, TrackedMasks
from pipeline.scene_changes import NO_SIGNS, FrameSigns


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do on a frame.

    Attributes:
        prompts: hints to give to the tracker.
        ended: tracks to stop following.
        withdrawn: tracks to stop following that were none, and to take out of the frames that
            may still change.
        back_filled: prompted tracks to follow back into the frames before that they are not in.
        revised_since: prompted tracks to follow back in place of what was tracked, and the first
            frame of each that may change.
        out_of_body: the frame shows no body, so it gets no masks; tracks go on unseen.
        unusable: likewise for a frame in which nothing can be outlined.
        hidden: tracks that the tracker has found on another's object: they are not visible here.
    """

    prompts: tuple[Prompt, ...] = ()
    ended: tuple[int, ...] = ()
    withdrawn: tuple[int, ...] = ()
    back_filled: tuple[int, ...] = ()
    revised_since: Mapping[int, int] = field(default_factory=dict)
    out_of_body: bool = False
    unusable: bool = False
    hidden: tuple[int, ...] = ()


class Policy(Protocol):
    """Decides when the tracker is prompted."""

    def wants_overseer(self, frame_index: int, signs: FrameSigns = NO_SIGNS) -> bool:
        """Return whether the overseer should look at a frame."""

    def doubts(self, frame_index: int, tracked: TrackedMasks) -> bool:
        """Return whether what the tracker sees asks for a look of the overseer after all."""

    def decide(
        self,
        frame_index: int,
        detections: Detections | None,
        tracked: TrackedMasks,
        signs: FrameSigns = NO_SIGNS,
    ) -> Decision:
        """Decide what to do, from what overseer (if it ran) and tracker see in a frame."""

    def class_of(self, track_id: int) -> int:
        """Return the class of a track that the policy started."""

    def state(self) -> dict[str, Any]:
        """Return what it remembers, as JSON can hold it."""

    def restore(self, values: dict[str, Any]) -> None:
        """Go on from a state."""


class AdoptingPolicy(Policy, Protocol):
    """A policy that can take over tracks that somebody else started."""

    def reserve(self, track_ids: Collection[int]) -> None:
        """Leave ids to tracks that somebody else is going to start."""

    def adopt(self, track_id: int, class_id: int, frame_index: int) -> None:
        """Take over a track."""

    def release(self, track_ids: Collection[int]) -> None:
        """Follow tracks no longer, which somebody else has ended."""


class FirstFrame:
    """Prompt once, on the first frame in which the overseer sees anything; then only track."""

    def __init__(self, score: float = 0.5, explain_iou: float = 0.3) -> None:
        self._score = score
        self._explain_iou = explain_iou
        self._started = False
        self._classes: dict[int, int] = {}
        self._reserved: frozenset[int] = frozenset()

    def wants_overseer(self, frame_index: int, signs: FrameSigns = NO_SIGNS) -> bool:
        """Return True until the tracks have started."""
        del frame_index, signs
        return not self._started

    def doubts(self, frame_index: int, tracked: TrackedMasks) -> bool:
        """Return False: the tracker is believed."""
        del frame_index, tracked
        return False

    def class_of(self, track_id: int) -> int:
        """Return the class of a track."""
        return self._classes[track_id]

    def decide(
        self,
        frame_index: int,
        detections: Detections | None,
        tracked: TrackedMasks,
        signs: FrameSigns = NO_SIGNS,
    ) -> Decision:
        """Start a track for each confident detection that is not followed yet, once."""
        del signs
        if self._started or detections is None:
            return Decision()
        overlap = iou_matrix(detections.masks, tracked.masks).max(1, initial=0.0)
        prompts = []
        for number in np.flatnonzero(
            (detections.scores >= self._score) & (overlap < self._explain_iou)
        ):
            track_id = next_track_id({*self._classes, *self._reserved})
            self.adopt(track_id, int(detections.class_ids[number]), frame_index)
            prompts.append(
                prompt_from(detections, int(number), frame_index, track_id, PromptReason.ENTERED)
            )
        self._started = bool(prompts)
        return Decision(prompts=tuple(prompts))

    def reserve(self, track_ids: Collection[int]) -> None:
        """Leave ids to tracks that somebody else is going to start."""
        self._reserved = frozenset(track_ids)

    def adopt(self, track_id: int, class_id: int, frame_index: int) -> None:
        """Take over a track that somebody else started."""
        del frame_index
        self._classes[track_id] = class_id

    def release(self, track_ids: Collection[int]) -> None:
        """Do nothing: a track that has ended has its class still."""
        del track_ids

    def state(self) -> dict[str, Any]:
        """Return what it remembers, as JSON can hold it."""
        return {"started": self._started, "classes": list(self._classes.items())}

    def restore(self, values: dict[str, Any]) -> None:
        """Go on from a state."""
        self._started = values["started"]
        self._classes = dict(values["classes"])


def next_track_id(known: Collection[int]) -> int:
    """Return an id above all known ones, which may have been given from outside."""
    return max(known, default=0) + 1


def prompt_from(
    detections: Detections, number: int, frame_index: int, track_id: int, reason: PromptReason
) -> Prompt:
    """Make a mask prompt from one detection."""
    return Prompt(
        frame_index=frame_index,
        track_id=track_id,
        class_id=int(detections.class_ids[number]),
        reason=reason,
        mask=detections.masks[number],
        score=float(detections.scores[number]),
    )
