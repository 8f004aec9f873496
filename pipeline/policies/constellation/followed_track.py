"""What the constellation policy knows of one track."""

from dataclasses import dataclass, field

from pydantic import TypeAdapter

from pipeline.policies.constellation.returns import Traces
from pipeline.policies.constellation.settings import ConstellationSettings


@dataclass(slots=True)
class FollowedTrack:
    """What the policy knows of one track.

    Attributes:
        last_prompt: frame of its last prompt.
        votes: sums of the scores of its detections, by class.
        last_seen: frame in which it was last visible.
        traces: where it was then, and how it has looked.
        seen_again: whether a look after the first has seen it.
        contradictions: looks in a row that saw it elsewhere than the tracker.
        looks_unseen: looks in a row that neither overseer nor tracker saw it in.
        looks_unsupported: looks in a row that the overseer did not see it in.
    """

    last_prompt: int
    votes: dict[int, float]
    last_seen: int
    traces: Traces = field(default_factory=Traces)
    seen_again: bool = False
    contradictions: int = 0
    looks_unseen: int = 0
    looks_unsupported: int = 0

    def miss(self, *, visible: bool) -> None:
        """Take note of a look that did not see it, though it may be visible to the tracker."""
        self.looks_unsupported += 1
        self.looks_unseen = 0 if visible else self.looks_unseen + 1

    def is_false(self, settings: ConstellationSettings) -> bool:
        """Return whether one look alone has seen it."""
        return not self.seen_again and self.looks_unsupported >= settings.withdraw_looks

    def is_gone(self, settings: ConstellationSettings) -> bool:
        """Return whether it has left."""
        return (
            self.looks_unseen >= settings.gone_looks
            or self.looks_unsupported >= settings.unsupported_looks
        )


FOLLOWED = TypeAdapter(dict[int, FollowedTrack])
