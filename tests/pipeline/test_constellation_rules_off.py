"""The constellation without one of its rules."""

import pytest

from pipeline.policies.constellation.looks import Adaptive, EveryNth
from pipeline.policies.constellation.policy import Constellation
from pipeline.policies.constellation.settings import ConstellationSettings, Rule
from pipeline.records import PromptReason
from tests.hand_made import (
    CUT,
    GONE,
    GRASPER,
    HERE,
    HOOK,
    LEFT,
    LIVER,
    RIGHT,
    followed,
    leave,
    seen,
    sharing,
    start,
    two_tracks,
)


def left_out(labels, rule, *, schedule=None, **settings):
    rules = ConstellationSettings(rules=frozenset(Rule) - {rule}, **settings)
    return Constellation(labels, rules, schedule or EveryNth(1))


@pytest.mark.parametrize("rule", Rule)
def test_without_a_rule_the_policy_still_starts_tracks(labels, rule):
    start(left_out(labels, rule))


def test_without_the_rule_nothing_is_withdrawn(labels):
    policy = left_out(labels, Rule.WITHDRAWN, unsupported_looks=8)
    start(policy)
    alone = seen(), followed((1, LEFT, 1.0))
    assert not any(policy.decide(frame, *alone).withdrawn for frame in range(1, 8))


def test_without_the_rule_contradictions_are_not_waited_for(labels):
    policy = left_out(labels, Rule.DRIFTED, schedule=Adaptive())
    policy.decide(0, seen((LIVER, LEFT, 0.9)), followed())
    looks, tracked = [], followed((1, LEFT, 1.0))
    for frame in range(1, 33):
        if policy.doubts(frame, tracked):
            looks.append(frame)
            policy.decide(frame, seen((LIVER, RIGHT, 0.9)), tracked)
    assert looks == [8, 16, 24, 32]


def test_without_the_rule_nothing_is_outside(labels):
    policy = left_out(labels, Rule.OUT_OF_BODY)
    start(policy)
    assert not policy.decide(1, seen(), followed((1, LEFT, 1.0)), CUT).out_of_body


def test_without_the_rule_nothing_is_followed_back(labels):
    policy = left_out(labels, Rule.BACK_FILLED)
    decision = policy.decide(0, seen((GRASPER, LEFT, 0.9)), followed())
    assert len(decision.prompts) == 1
    assert decision.back_filled == ()


def test_without_the_rule_one_object_may_be_two_classes(labels_with_hook):
    policy = left_out(labels_with_hook, Rule.DISTINCT)
    two = seen((GRASPER, LEFT, 0.9), (HOOK, LEFT, 0.95))
    assert len(policy.decide(0, two, followed()).prompts) == 2


def test_without_the_rule_a_cut_is_like_any_frame(labels):
    policy = left_out(labels, Rule.SCENE_CUT)
    start(policy)
    assert policy.decide(1, *HERE, CUT).prompts == ()


def test_without_the_rule_no_memory_is_renewed(labels):
    policy = left_out(labels, Rule.REFRESHED)
    start(policy)
    assert policy.decide(60, *HERE).prompts == ()


def test_without_the_rule_no_class_is_voted_for(labels):
    policy = left_out(labels, Rule.VOTE)
    start(policy)
    for frame in range(1, 8):
        policy.decide(frame, seen((LIVER, LEFT, 0.9)), followed((1, LEFT, 1.0)))
    assert policy.class_of(1) == GRASPER


def test_without_the_rule_what_returns_is_new(labels):
    policy = left_out(labels, Rule.RETURNED)
    start(policy)
    leave(policy, 1)
    (prompt,) = policy.decide(5, seen((GRASPER, LEFT, 0.9)), followed()).prompts
    assert (prompt.track_id, prompt.reason) == (2, PromptReason.ENTERED)


def test_without_the_rule_twins_stay_two(labels):
    policy = left_out(labels, Rule.MERGED, unsupported_looks=20, withdraw_looks=20)
    two_tracks(policy)
    both = sharing((1, LEFT, 1.0), (2, RIGHT, 1.0))
    ended = [policy.decide(at, seen((GRASPER, LEFT, 0.9)), both).ended for at in range(2, 8)]
    assert not any(ended)


def test_without_the_rule_nothing_ends(labels):
    policy = left_out(labels, Rule.GONE)
    start(policy)
    policy.decide(1, *HERE)
    assert not any(policy.decide(frame, *GONE).ended for frame in range(2, 12))
