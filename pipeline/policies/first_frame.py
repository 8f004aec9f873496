"""The policy `first-frame`: what the overseer sees once is followed, and nothing else."""

from collections.abc import Collection
from typing import Any

import numpy as np

from pipeline.masks import iou_matrix
from pipeline.policy import Decision, next_track_id, prompt_from
from pipeline.records import Detections, PromptReason, TrackedMasks
from pipeline.scene_changes import NO_SIGNS, FrameSigns


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
