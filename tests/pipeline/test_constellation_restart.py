"""What the constellation still knows when it goes on in another process."""

import json

from pipeline.policies.constellation.looks import Adaptive
from pipeline.policies.constellation.policy import Constellation
from pipeline.records import PromptReason
from tests.hand_made import (
    CUT,
    GRASPER,
    HERE,
    LEFT,
    NOTHING,
    RIGHT,
    followed,
    leave,
    seen,
    sharing,
    start,
    two_tracks,
)


def restarted(policy):
    """The policy as it goes on in another process."""
    again = Constellation(policy.label_set, policy.settings, type(policy.schedule)())
    again.restore(json.loads(json.dumps(policy.state())))
    return again


def test_a_restart_forgets_no_candidate(policy):
    policy.decide(0, seen((GRASPER, LEFT, 0.5)), followed())
    assert len(restarted(policy).decide(1, seen((GRASPER, LEFT, 0.5)), followed()).prompts) == 1


def test_a_restart_forgets_no_twins(policy):
    two_tracks(policy)
    both = sharing((1, NOTHING, 1.0), (2, RIGHT, 1.0))
    assert policy.decide(2, seen((GRASPER, RIGHT, 0.9)), both).ended == ()
    assert restarted(policy).decide(3, seen((GRASPER, RIGHT, 0.9)), both).ended == (2,)


def test_a_restart_forgets_no_track_that_left(policy):
    start(policy)
    leave(policy, 1)
    (prompt,) = restarted(policy).decide(9, seen((GRASPER, LEFT, 0.9)), followed()).prompts
    assert (prompt.track_id, prompt.reason) == (1, PromptReason.RETURNED)


def test_a_restart_outside_the_body_is_outside(policy):
    start(policy)
    assert policy.decide(1, seen(), followed((1, LEFT, 1.0)), CUT).out_of_body
    assert restarted(policy).decide(2, None, followed((1, LEFT, 1.0))).out_of_body


def test_a_restart_does_not_change_when_the_overseer_looks(labels):
    policy = Constellation(labels, schedule=Adaptive())
    start(policy)
    policy.decide(3, *HERE)
    tracked = followed((1, LEFT, 1.0))
    assert not policy.doubts(4, tracked)
    assert [at for at in range(5, 12) if restarted(policy).doubts(at, tracked)] == [11]
