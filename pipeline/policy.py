"""When to prompt: what a policy is asked, and what it answers; `pipeline.policies` has them all."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

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
