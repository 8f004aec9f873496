"""Detections and tracks made by hand, to test decisions on."""

from dataclasses import replace

import numpy as np

from pipeline.records import Detections, TrackedMasks
from tests.conftest import rectangle

LEFT = rectangle(4, 4, 14, 14)
RIGHT = rectangle(24, 4, 34, 14)
MIDDLE = rectangle(16, 20, 22, 30)
NOTHING = np.zeros_like(LEFT)
GRASPER, LIVER, HOOK = 1, 2, 3


def seen(*objects):
    """Detections from (class id, mask, score)."""
    return Detections.from_masks(
        class_ids=np.array([class_id for class_id, _, _ in objects], np.int64),
        scores=np.array([score for _, _, score in objects], np.float32),
        masks=np.stack([mask for _, mask, _ in objects])
        if objects
        else np.zeros((0, 32, 48), bool),
    )


def followed(*tracks):
    """Tracks from (track id, mask, presence)."""
    if not tracks:
        return TrackedMasks.empty(32, 48)
    return TrackedMasks(
        track_ids=np.array([track_id for track_id, _, _ in tracks], np.int64),
        masks=np.stack([mask for _, mask, _ in tracks]),
        quality=np.full(len(tracks), 0.9, np.float32),
        presence=np.array([presence for _, _, presence in tracks], np.float32),
    )


def looking(record, *appearances):
    """Detections or tracks with how each looks, in two numbers."""
    return replace(record, appearances=np.array(appearances, np.float32).reshape(-1, 2))


def start(policy, class_id=GRASPER, mask=LEFT):
    decision = policy.decide(0, seen((class_id, mask, 0.9)), followed())
    assert [prompt.track_id for prompt in decision.prompts] == [1]
