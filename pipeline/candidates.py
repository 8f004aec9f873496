"""Detections that no track explains, until another look confirms that they are objects."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.constellation_settings import ConstellationSettings
from pipeline.masks import RLE, decode_mask, encode_mask, iou_matrix
from pipeline.records import Detections


class Candidates:
    """What may be a new object: it is one if it is sure, or if two looks in a row show it.

    Args:
        settings: how sure, and how much alike.
    """

    def __init__(self, settings: ConstellationSettings) -> None:
        self._settings = settings
        self._waiting: list[tuple[int, NDArray[np.bool_]]] = []
        self._are_likely = False

    def __bool__(self) -> bool:
        """Return whether anything waits for another look, and is sure enough to be worth one."""
        return self._are_likely

    def forget(self) -> None:
        """Let nothing wait any longer: what is seen next is another picture."""
        self._waiting, self._are_likely = [], False

    def confirmed(self, detections: Detections, numbers: Sequence[int]) -> list[int]:
        """Return which detections are new objects; the others wait for the next look.

        Args:
            detections: what the overseer sees.
            numbers: of those that no track explains.
        """
        confirmed = [number for number in numbers if self._is_object(detections, number)]
        left = [number for number in numbers if number not in confirmed]
        self._waiting = [
            (int(detections.class_ids[number]), detections.masks[number]) for number in left
        ]
        self._are_likely = bool((detections.scores[left] >= self._settings.confirm_score).any())
        return confirmed

    def _is_object(self, detections: Detections, number: int) -> bool:
        score = detections.scores[number]
        if score >= self._settings.enter_score:
            return True
        return bool(score >= self._settings.confirm_score) and self._was_seen(detections, number)

    def _was_seen(self, detections: Detections, number: int) -> bool:
        class_id, mask = int(detections.class_ids[number]), detections.masks[number]
        return any(
            class_id == earlier
            and iou_matrix(mask[None], shape[None])[0, 0] > self._settings.confirm_iou
            for earlier, shape in self._waiting
        )

    def state(self) -> dict[str, Any]:
        """Return what JSON can hold of them."""
        waiting = [[class_id, encode_mask(mask).to_json()] for class_id, mask in self._waiting]
        return {"waiting": waiting, "are likely": self._are_likely}

    def restore(self, values: dict[str, Any]) -> None:
        """Go on from a state."""
        self._waiting = [(c, decode_mask(RLE.from_json(mask))) for c, mask in values["waiting"]]
        self._are_likely = values["are likely"]
