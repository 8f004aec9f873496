"""Detections and tracks made by hand, to test decisions on."""

from dataclasses import replace

import numpy as np

from pipeline.labels import CHOLECSEG8K
from pipeline.records import Detections, TrackedMasks
from pipeline.scene_changes import FrameSigns
from tests.conftest import rectangle

LEFT = rectangle(4, 4, 14, 14)
RIGHT = rectangle(24, 4, 34, 14)
MIDDLE = rectangle(16, 20, 22, 30)
FAR = rectangle(38, 22, 46, 30)
NOTHING = np.zeros_like(LEFT)
GRASPER, LIVER, HOOK = 1, 2, 3
CUT = FrameSigns(cut=True)


def seen(*objects):
    """Detections from (class id, mask, score)."""
    return Detections.from_masks(
        class_ids=np.array([class_id for class_id, _, _ in objects], np.int64),
        scores=np.array([score for _, _, score in objects], np.float32),
        masks=np.stack([mask for _, mask, _ in objects])
        if objects
        else np.zeros((0, 32, 48), bool),
    )


class SeesTheSame:
    """An overseer without a network, that sees a mask of class 1 in each frame."""

    label_set = CHOLECSEG8K

    def __init__(self, mask):
        self._seen = seen((1, mask, 0.9))

    def detect(self, images):
        return [self._seen] * len(images)


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


# What overseer and tracker see of a grasper, track 1, that is there, and that nobody sees.
HERE = seen((GRASPER, LEFT, 0.9)), followed((1, LEFT, 1.0))
GONE = seen(), followed((1, NOTHING, 0.1))


def start(policy, class_id=GRASPER, mask=LEFT):
    decision = policy.decide(0, seen((class_id, mask, 0.9)), followed())
    assert [prompt.track_id for prompt in decision.prompts] == [1]


def sharing(*tracks):
    """Tracks of which each two claim the same pixels."""
    return replace(followed(*tracks), claims=np.ones((len(tracks), len(tracks)), np.float32))


def two_tracks(policy):
    policy.decide(0, seen((GRASPER, LEFT, 0.9)), followed())
    policy.decide(1, seen((GRASPER, LEFT, 0.9), (GRASPER, RIGHT, 0.9)), followed((1, LEFT, 1.0)))
    assert policy.class_of(2) == GRASPER


def leave(policy, frame):
    """Let track 1 be seen once more, and then go in the third of three looks."""
    policy.decide(frame, *HERE)
    ended = [policy.decide(frame + later, *GONE).ended for later in (1, 2, 3)]
    assert ended == [(), (), (1,)]
