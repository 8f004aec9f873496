"""Detections that no track explains, until another look confirms that they are objects."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.masks import RLE, decode_mask, encode_mask, iou_matrix
from pipeline.policies.constellation.settings import ConstellationSettings
from pipeline.records import Detections


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A detection that waits for another look.

    Attributes:
        class_id: of the detection.
        mask: bool[H, W].
        looks: how many in a row have shown it.
    """

    class_id: int
    mask: NDArray[np.bool_]
    looks: int


class Candidates:
    """What may be a new object: it is one if it is sure, or if two looks in a row show it.

    Args:
        settings: how sure, and how much alike.
    """

    def __init__(self, settings: ConstellationSettings) -> None:
        self._settings = settings
        self._waiting: list[_Candidate] = []

    def __bool__(self) -> bool:
        """Return whether anything waits for another look that has not waited for long."""
        most = self._settings.candidate_looks
        return any(candidate.looks <= most for candidate in self._waiting)

    def forget(self) -> None:
        """Let nothing wait any longer: what is seen next is another picture."""
        self._waiting = []

    def confirmed(self, detections: Detections, numbers: Sequence[int]) -> list[int]:
        """Return which detections are new objects; the others wait for the next look.

        Args:
            detections: what the overseer sees.
            numbers: of those that no track explains.
        """
        confirmed: list[int] = []
        waiting: list[_Candidate] = []
        for number in numbers:
            looks = self._looks_before(detections, number) + 1
            if self._is_object(float(detections.scores[number]), looks):
                confirmed.append(number)
            else:
                class_id = int(detections.class_ids[number])
                waiting.append(_Candidate(class_id, detections.masks[number], looks))
        self._waiting = waiting
        return confirmed

    def _is_object(self, score: float, looks: int) -> bool:
        least = self._settings.enter_score if looks == 1 else self._settings.confirm_score
        return score >= least

    def _looks_before(self, detections: Detections, number: int) -> int:
        """Return how many looks in a row have shown a detection before."""
        class_id, mask = int(detections.class_ids[number]), detections.masks[number]
        return max(
            (
                candidate.looks
                for candidate in self._waiting
                if candidate.class_id == class_id
                and iou_matrix(mask[None], candidate.mask[None])[0, 0] > self._settings.confirm_iou
            ),
            default=0,
        )

    def state(self) -> list[Any]:
        """Return what JSON can hold of them."""
        return [
            [candidate.class_id, encode_mask(candidate.mask).to_json(), candidate.looks]
            for candidate in self._waiting
        ]

    def restore(self, values: Sequence[Any]) -> None:
        """Go on from a state."""
        self._waiting = [
            _Candidate(class_id, decode_mask(RLE.from_json(mask)), looks)
            for class_id, mask, looks in values
        ]
