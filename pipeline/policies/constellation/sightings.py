"""What a look of the overseer says of one object that the tracker follows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from pipeline.masks import iou_matrix
from pipeline.outlines import midway_mask
from pipeline.policies.constellation.matching import Matches
from pipeline.policies.constellation.settings import ConstellationSettings
from pipeline.policy import prompt_from
from pipeline.records import Detections, Prompt, PromptReason, TrackedMasks


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """A detection and the track that it is, in one frame.

    Attributes:
        frame_index: the frame.
        detections: all that the overseer sees in it.
        number: the detection.
        tracked: all that the tracker follows into it.
        row: the track.
    """

    frame_index: int
    detections: Detections
    number: int
    tracked: TrackedMasks
    row: int

    @property
    def track_id(self) -> int:
        """The track."""
        return int(self.tracked.track_ids[self.row])

    @property
    def class_id(self) -> int:
        """The class that the overseer sees."""
        return int(self.detections.class_ids[self.number])

    @property
    def score(self) -> float:
        """How sure the overseer is, 0 .. 1."""
        return float(self.detections.scores[self.number])

    @property
    def is_followed(self) -> bool:
        """Whether the tracker sees any of it."""
        return bool(self.tracked.masks[self.row].any())

    @cached_property
    def agreement(self) -> float:
        """The IoU of the detection's and the track's masks."""
        seen = self.detections.masks[self.number], self.tracked.masks[self.row]
        return float(iou_matrix(seen[0][None], seen[1][None])[0, 0])

    def as_detected(self, class_id: int, reason: PromptReason) -> Prompt:
        """Prompt the track, which has this class, with the detection."""
        prompt = prompt_from(self.detections, self.number, self.frame_index, self.track_id, reason)
        return replace(prompt, class_id=class_id)

    def half_way(self, class_id: int, reason: PromptReason) -> Prompt:
        """Prompt the track with an outline half-way between its own and the detection's.

        Each errs in its own way: their mean is nearer to the truth than either.
        """
        mask = midway_mask(self.detections.masks[self.number], self.tracked.masks[self.row])
        return replace(self.as_detected(class_id, reason), mask=mask)

    def as_followed(self, class_id: int, reason: PromptReason) -> Prompt:
        """Prompt the track with its own mask, whose outline is finer than the overseer's."""
        return Prompt(
            frame_index=self.frame_index,
            track_id=self.track_id,
            class_id=class_id,
            reason=reason,
            mask=self.tracked.masks[self.row],
            score=float(self.tracked.quality[self.row]),
        )


def sightings(
    frame_index: int, detections: Detections, tracked: TrackedMasks, matches: Matches
) -> list[Sighting]:
    """Return the detections of a frame that are tracks, as `matching` matches them."""
    return [
        Sighting(
            frame_index=frame_index, detections=detections, number=number, tracked=tracked, row=row
        )
        for number, row in matches.items()
    ]


def are_astray(seen: Sequence[Sighting], settings: ConstellationSettings) -> bool:
    """Return whether half of what the overseer is very sure of contradicts the tracks."""
    agreements = [sighting.agreement for sighting in seen if sighting.score >= settings.trust_score]
    contradictions = sum(agreement < settings.drift_iou for agreement in agreements)
    return bool(agreements) and 2 * contradictions >= len(agreements)
