"""Who is who: tracks that return, share an object or jump to another one."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.policies.constellation.looks import EveryNth
from pipeline.policies.constellation.policy import Constellation
from pipeline.policies.constellation.settings import ConstellationSettings, Rule
from pipeline.records import PromptReason
from tests.hand_made import (
    FAR,
    GRASPER,
    HOOK,
    LEFT,
    LIVER,
    MIDDLE,
    NOTHING,
    RIGHT,
    followed,
    leave,
    looking,
    seen,
    sharing,
    start,
    two_tracks,
)


def test_two_tracks_on_one_object_become_the_older_one(labels):
    policy = Constellation(labels, ConstellationSettings(drift_looks=1))
    two_tracks(policy)
    both = sharing((1, NOTHING, 1.0), (2, RIGHT, 1.0))
    assert policy.decide(2, seen((GRASPER, RIGHT, 0.9)), both).ended == ()
    decision = policy.decide(3, seen((GRASPER, RIGHT, 0.9)), both)
    assert decision.ended == (2,)
    # What is left of the younger one goes to the older one.
    assert [(p.track_id, p.reason) for p in decision.prompts] == [(1, PromptReason.RETURNED)]


def test_two_tracks_that_the_overseer_tells_apart_stay_two(policy):
    two_tracks(policy)
    both = sharing((1, LEFT, 1.0), (2, RIGHT, 1.0))
    apart = seen((GRASPER, LEFT, 0.9), (GRASPER, RIGHT, 0.9))
    assert not any(policy.decide(frame, apart, both).ended for frame in range(2, 8))


def test_of_three_tracks_on_one_place_two_that_are_seen_stay_two(policy):
    policy.decide(0, seen((GRASPER, LEFT, 0.9)), followed())
    three = seen((GRASPER, LEFT, 0.9), (GRASPER, RIGHT, 0.9), (GRASPER, MIDDLE, 0.9))
    policy.decide(1, three, followed((1, LEFT, 1.0)))
    shared = np.array([[1, 0.9, 0.9], [0.9, 1, 0], [0.9, 0, 1]], np.float32)
    tracked = followed((1, NOTHING, 1.0), (2, RIGHT, 1.0), (3, MIDDLE, 1.0))
    tracked = replace(tracked, claims=shared)
    looks = seen((GRASPER, RIGHT, 0.9), (GRASPER, MIDDLE, 0.9))
    ended = [policy.decide(frame, looks, tracked).ended for frame in (2, 3)]
    assert ended == [(), (2,)]


@pytest.mark.parametrize(
    ("rules", "track_id"), [(frozenset(Rule), 2), (frozenset(Rule) - {Rule.APPEARANCE}, 1)]
)
def test_what_shows_where_something_left_but_looks_different_is_new(labels, rules, track_id):
    policy = Constellation(labels, ConstellationSettings(rules=rules), EveryNth(1))
    steel, brass = (1, 0), (0, 1)
    policy.decide(0, looking(seen((GRASPER, LEFT, 0.9)), steel), followed())
    here = looking(followed((1, LEFT, 1.0)), steel)
    policy.decide(1, looking(seen((GRASPER, LEFT, 0.9)), steel), here)
    for frame in (2, 3, 4):
        policy.decide(frame, looking(seen()), looking(followed((1, NOTHING, 0.1)), (0, 0)))
    (prompt,) = policy.decide(9, looking(seen((GRASPER, LEFT, 0.9)), brass), followed()).prompts
    assert prompt.track_id == track_id


def test_a_thing_that_returns_to_where_it_left_gets_its_id_back(policy):
    start(policy)
    gone = seen(), followed((1, NOTHING, 0.1))
    policy.decide(1, seen((GRASPER, LEFT, 0.9)), followed((1, LEFT, 1.0)))
    assert [policy.decide(frame, *gone).ended for frame in (2, 3, 4)] == [(), (), (1,)]
    decision = policy.decide(30, seen((GRASPER, LEFT, 0.9), (GRASPER, RIGHT, 0.8)), followed())
    assert [(p.track_id, p.reason) for p in decision.prompts] == [
        (1, PromptReason.RETURNED),
        (2, PromptReason.ENTERED),
    ]


def test_what_returned_for_one_look_ends_and_gets_its_id_back_again(policy):
    start(policy)
    leave(policy, 1)
    back = seen((GRASPER, LEFT, 0.9)), followed()
    assert [p.reason for p in policy.decide(5, *back).prompts] == [PromptReason.RETURNED]
    alone = seen(), followed((1, LEFT, 1.0))
    decisions = [policy.decide(frame, *alone) for frame in range(6, 14)]
    assert not any(decision.withdrawn for decision in decisions)
    assert decisions[-1].ended == (1,)
    (prompt,) = policy.decide(14, *back).prompts
    assert (prompt.track_id, prompt.reason) == (1, PromptReason.RETURNED)


def test_a_track_that_returned_is_still_the_older_one(policy):
    start(policy)
    leave(policy, 1)
    policy.decide(5, seen((GRASPER, FAR, 0.9)), followed())
    assert policy.class_of(2) == GRASPER
    both = seen((GRASPER, FAR, 0.9), (GRASPER, LEFT, 0.9))
    policy.decide(6, both, followed((2, FAR, 1.0)))
    claims = sharing((1, LEFT, 1.0), (2, NOTHING, 1.0))
    ended = [policy.decide(frame, seen((GRASPER, LEFT, 0.9)), claims).ended for frame in (7, 8)]
    assert ended == [(), (2,)]


def jumping(tracked, now, before):
    """What two tracks claim now and claimed before, as IoU of the first one with the second."""
    return replace(
        tracked,
        claims=np.array([[1, now], [now, 1]], np.float32),
        claims_before=np.array(before, np.float32),
    )


def test_a_track_that_appears_on_anothers_object_is_hidden(policy):
    two_tracks(policy)
    both = followed((1, LEFT, 1.0), (2, RIGHT, 1.0))
    on_the_first = jumping(both, 0.8, [[0.9, 0], [0.8, 0]])
    assert policy.decide(2, None, on_the_first).hidden == (2,)
    # The second one was on the first one's object before.
    settled = jumping(both, 0.8, [[0.9, 0.9], [0.9, 0.9]])
    assert policy.decide(3, None, settled).hidden == ()
    apart = jumping(both, 0.1, [[0.9, 0], [0.8, 0]])
    assert policy.decide(4, None, apart).hidden == ()


def test_what_the_overseer_sees_goes_to_the_track_that_was_there(policy):
    two_tracks(policy)
    # The pixels went to the one that jumped, the younger one.
    both = followed((1, NOTHING, 1.0), (2, LEFT, 1.0))
    jumped = jumping(both, 0.8, [[0.9, 0], [0.8, 0]])
    decision = policy.decide(2, seen((GRASPER, LEFT, 0.9)), jumped)
    assert decision.hidden == (2,)
    assert [(p.track_id, p.reason) for p in decision.prompts] == [(1, PromptReason.RETURNED)]


def test_a_track_that_jumps_again_and_again_does_not_take_the_object_over(policy):
    two_tracks(policy)
    both = followed((1, NOTHING, 1.0), (2, LEFT, 1.0))
    jumped = jumping(both, 0.8, [[0.9, 0], [0.8, 0]])
    ended = [policy.decide(f, seen((GRASPER, LEFT, 0.9)), jumped).ended for f in (2, 3, 4)]
    assert ended == [(), (), (2,)]


def test_what_the_tracker_has_lost_gets_its_id_back_before_it_has_left(policy):
    start(policy)
    policy.decide(1, seen((GRASPER, LEFT, 0.9)), followed((1, LEFT, 1.0)))
    lost = followed((1, NOTHING, 0.1))
    assert policy.decide(2, seen(), lost).ended == ()
    decision = policy.decide(4, seen((GRASPER, LEFT, 0.9)), lost)
    assert [(p.track_id, p.reason) for p in decision.prompts] == [(1, PromptReason.RETURNED)]
    assert decision.revised_since == {1: 2}
    assert decision.back_filled == ()


def test_stuff_that_returns_is_followed_back_to_when_it_was_last_seen(policy):
    policy.decide(0, seen((LIVER, LEFT, 0.9)), followed())
    policy.decide(1, seen((LIVER, LEFT, 0.9)), followed((1, LEFT, 1.0)))
    lost = followed((1, NOTHING, 0.1))
    returns = [policy.decide(frame, seen((LIVER, RIGHT, 0.9)), lost) for frame in (3, 4)]
    assert returns[1].revised_since == {1: 2}


def test_what_a_track_was_seen_as_counts_when_it_returns(labels_with_hook):
    settings = ConstellationSettings(unsupported_looks=8)
    policy = Constellation(labels_with_hook, settings, EveryNth(1))
    start(policy)
    for frame in range(1, 10):
        policy.decide(frame, seen((GRASPER, LEFT, 0.9)), followed((1, LEFT, 1.0)))
    leave(policy, 10)
    policy.decide(20, seen((GRASPER, LEFT, 0.9)), followed())
    for frame in range(21, 24):
        policy.decide(frame, seen((HOOK, LEFT, 0.9)), followed((1, LEFT, 1.0)))
    assert policy.class_of(1) == GRASPER


def test_twins_that_were_merged_are_told_apart_again_under_their_ids(labels):
    policy = Constellation(labels, ConstellationSettings(drift_looks=1), EveryNth(1))
    two_tracks(policy)
    both = sharing((1, LEFT, 1.0), (2, RIGHT, 1.0))
    ended = [policy.decide(frame, seen((GRASPER, LEFT, 0.9)), both).ended for frame in (2, 3)]
    assert ended == [(), (2,)]
    apart = seen((GRASPER, LEFT, 0.9), (GRASPER, RIGHT, 0.9)), followed((1, LEFT, 1.0))
    (prompt,) = policy.decide(4, *apart).prompts
    assert (prompt.track_id, prompt.reason) == (2, PromptReason.RETURNED)


def test_without_the_rule_a_track_may_jump(labels):
    rules = frozenset(Rule) - {Rule.JUMPED}
    policy = Constellation(labels, ConstellationSettings(rules=rules), EveryNth(1))
    two_tracks(policy)
    both = followed((1, LEFT, 1.0), (2, RIGHT, 1.0))
    assert policy.decide(2, None, jumping(both, 0.8, [[0.9, 0], [0.8, 0]])).hidden == ()
