"""The policy that prompts once, on hand-made detections and tracks."""

from pipeline.policies.first_frame import FirstFrame
from pipeline.policy import Decision
from tests.hand_made import GRASPER, LEFT, LIVER, RIGHT, followed, seen


def test_first_frame_prompts_once():
    policy = FirstFrame()
    assert not policy.decide(0, seen((GRASPER, LEFT, 0.3)), followed()).prompts
    assert policy.wants_overseer(1)
    assert len(policy.decide(1, seen((GRASPER, LEFT, 0.9)), followed()).prompts) == 1
    assert not policy.wants_overseer(2)


def test_first_frame_leaves_alone_what_is_followed_already():
    policy = FirstFrame()
    policy.adopt(9, GRASPER, 0)
    assert policy.wants_overseer(0)
    detections = seen((GRASPER, LEFT, 0.9), (LIVER, RIGHT, 0.9))
    (prompt,) = policy.decide(1, detections, followed((9, LEFT, 1.0))).prompts
    assert (prompt.track_id, prompt.class_id) == (10, LIVER)


def test_first_frame_waits_where_nobody_has_looked():
    policy = FirstFrame()
    assert policy.decide(0, None, followed()) == Decision()
    assert policy.wants_overseer(1)
