"""The constellation's rules, on hand-made detections and tracks."""

import numpy as np
import pytest

from pipeline.constellation import Constellation
from pipeline.constellation_settings import ConstellationSettings, Rule
from pipeline.looks import Adaptive, EveryNth
from pipeline.records import PromptReason
from pipeline.scene_changes import NO_SIGNS, FrameSigns
from tests.hand_made import (
    GRASPER,
    HOOK,
    LEFT,
    LIVER,
    NOTHING,
    RIGHT,
    followed,
    looking,
    seen,
    start,
)


@pytest.fixture
def policy(labels):
    # Thresholds of their own, so that tuning the defaults does not change what is tested.
    settings = ConstellationSettings(
        enter_score=0.7,
        confirm_score=0.45,
        drift_iou=0.5,
        drift_looks=2,
        drift_score=0.7,
        unsupported_looks=8,
    )
    return Constellation(labels, settings, EveryNth(1))


def test_a_sure_detection_starts_a_track_at_once(policy):
    decision = policy.decide(0, seen((GRASPER, LEFT, 0.9)), followed())
    (prompt,) = decision.prompts
    assert (prompt.reason, prompt.class_id, prompt.kind) == (PromptReason.ENTERED, GRASPER, "mask")
    assert policy.class_of(prompt.track_id) == GRASPER


def test_an_unsure_detection_must_be_seen_twice(policy):
    assert not policy.decide(0, seen((GRASPER, LEFT, 0.5)), followed()).prompts
    assert not policy.decide(1, seen((GRASPER, RIGHT, 0.5)), followed()).prompts
    assert len(policy.decide(2, seen((GRASPER, RIGHT, 0.5)), followed()).prompts) == 1


def test_a_doubtful_detection_never_starts_a_track(policy):
    for frame in range(5):
        assert not policy.decide(frame, seen((GRASPER, LEFT, 0.4)), followed()).prompts


def test_an_explained_detection_starts_nothing(policy):
    start(policy)
    decision = policy.decide(1, seen((GRASPER, LEFT, 0.9)), followed((1, LEFT, 1.0)))
    assert decision.prompts == ()
    assert decision.ended == ()


def test_a_track_takes_the_class_that_prevails(policy):
    start(policy)
    other = seen((LIVER, LEFT, 0.9)), followed((1, LEFT, 1.0))
    assert policy.decide(1, *other).prompts == ()
    assert policy.class_of(1) == GRASPER
    (prompt,) = policy.decide(2, *other).prompts
    assert (prompt.reason, prompt.class_id) == (PromptReason.RECLASSIFIED, LIVER)
    assert policy.class_of(1) == LIVER


def test_a_given_class_is_certain(policy):
    policy.adopt(1, GRASPER, 0)
    for frame in range(1, 6):
        policy.decide(frame, seen((LIVER, LEFT, 0.9)), followed((1, LEFT, 1.0)))
    assert policy.class_of(1) == GRASPER


def test_stuff_never_gets_a_second_track_by_reclassification(policy):
    policy.decide(0, seen((GRASPER, LEFT, 0.9), (LIVER, RIGHT, 0.9)), followed())
    both = followed((1, LEFT, 1.0), (2, RIGHT, 1.0))
    for frame in range(1, 4):
        policy.decide(frame, seen((LIVER, LEFT, 0.9)), both)
    assert policy.class_of(1) == GRASPER


def test_two_instances_are_two_tracks(policy):
    decision = policy.decide(0, seen((GRASPER, LEFT, 0.9), (GRASPER, RIGHT, 0.8)), followed())
    assert [prompt.track_id for prompt in decision.prompts] == [1, 2]


def test_stuff_has_one_track_wherever_it_shows(policy):
    start(policy, LIVER)
    decision = policy.decide(1, seen((LIVER, RIGHT, 0.6)), followed((1, LEFT, 1.0)))
    assert decision.prompts == ()


def test_a_track_that_is_contradicted_twice_is_prompted_again(policy):
    start(policy, LIVER)
    contradiction = seen((LIVER, RIGHT, 0.9)), followed((1, LEFT, 1.0))
    assert not policy.decide(1, *contradiction).prompts
    (prompt,) = policy.decide(2, *contradiction).prompts
    assert (prompt.track_id, prompt.reason) == (1, PromptReason.DRIFTED)
    assert np.array_equal(prompt.mask, RIGHT)


def test_a_track_that_comes_back_keeps_its_id(policy):
    start(policy, LIVER)
    back = seen((LIVER, LEFT, 0.9)), followed((1, np.zeros_like(LEFT), 0.1))
    policy.decide(1, *back)
    (prompt,) = policy.decide(2, *back).prompts
    assert (prompt.track_id, prompt.reason) == (1, PromptReason.RETURNED)


def test_agreement_renews_the_memory_now_and_then(policy):
    start(policy)
    agreement = seen((GRASPER, LEFT, 0.9)), followed((1, LEFT, 1.0))
    assert not policy.decide(10, *agreement).prompts
    (prompt,) = policy.decide(60, *agreement).prompts
    assert prompt.reason is PromptReason.REFRESHED
    assert not policy.decide(61, *agreement).prompts


def test_what_nobody_sees_ends(policy):
    start(policy)
    gone = seen(), followed((1, np.zeros_like(LEFT), 0.1))
    assert policy.decide(1, *gone).ended == ()
    assert policy.decide(2, *gone).ended == ()
    assert policy.decide(3, *gone).ended == (1,)


def test_stuff_that_returns_after_its_end_gets_its_id_back(policy):
    start(policy, LIVER)
    gone = seen(), followed((1, np.zeros_like(LEFT), 0.1))
    assert [policy.decide(frame, *gone).ended for frame in (1, 2, 3)] == [(), (), (1,)]
    (prompt,) = policy.decide(4, seen((LIVER, RIGHT, 0.9)), followed()).prompts
    assert (prompt.track_id, prompt.reason) == (1, PromptReason.RETURNED)


def test_a_track_that_only_the_tracker_sees_ends_later(policy):
    start(policy)
    alone = seen(), followed((1, LEFT, 1.0))
    policy.decide(1, seen((GRASPER, LEFT, 0.9)), followed((1, LEFT, 1.0)))
    ends = [policy.decide(frame, *alone).ended for frame in range(2, 10)]
    assert ends == [()] * 7 + [(1,)]


def test_a_track_that_one_look_alone_has_seen_is_withdrawn(policy):
    start(policy)
    alone = seen(), followed((1, LEFT, 1.0))
    decisions = [policy.decide(frame, *alone) for frame in range(1, 5)]
    assert [decision.withdrawn for decision in decisions] == [(), (), (), (1,)]
    assert all(decision.ended == () for decision in decisions)


def test_a_track_that_somebody_else_started_is_never_withdrawn(policy):
    policy.adopt(1, GRASPER, 0)
    alone = seen(), followed((1, LEFT, 1.0))
    assert not any(policy.decide(frame, *alone).withdrawn for frame in range(1, 8))


def test_one_instrument_seen_as_two_kinds_is_one_track(labels_with_hook):
    policy = Constellation(labels_with_hook)
    detections = seen((GRASPER, LEFT, 0.8), (HOOK, LEFT, 0.9))
    (prompt,) = policy.decide(0, detections, followed()).prompts
    assert prompt.class_id == HOOK


@pytest.mark.parametrize("rule", Rule)
def test_without_a_rule_the_policy_still_starts_tracks(labels, rule):
    settings = ConstellationSettings(rules=frozenset(Rule) - {rule})
    start(Constellation(labels, settings))


def test_without_the_rule_nothing_is_withdrawn(labels):
    rules = frozenset(Rule) - {Rule.WITHDRAWN}
    settings = ConstellationSettings(rules=rules, unsupported_looks=8)
    policy = Constellation(labels, settings)
    start(policy)
    alone = seen(), followed((1, LEFT, 1.0))
    assert not any(policy.decide(frame, *alone).withdrawn for frame in range(1, 8))


def test_frames_without_overseer_decide_nothing(policy):
    start(policy)
    assert policy.decide(1, None, followed((1, LEFT, 1.0))).prompts == ()


def test_the_overseer_looks_at_each_nth_frame(labels):
    policy = Constellation(labels, schedule=EveryNth(5))
    assert [frame for frame in range(12) if policy.wants_overseer(frame)] == [0, 5, 10]


def test_new_tracks_keep_out_of_the_way_of_given_ids(policy):
    policy.adopt(2, GRASPER, 0)
    detections = seen((GRASPER, RIGHT, 0.9), (LIVER, LEFT, 0.9))
    decision = policy.decide(1, detections, followed())
    assert [prompt.track_id for prompt in decision.prompts] == [3, 4]


CUT = FrameSigns(cut=True)


def test_the_overseer_looks_after_a_cut_and_not_into_the_dark(labels):
    policy = Constellation(labels, schedule=EveryNth(5))
    assert policy.wants_overseer(3, CUT)
    assert not policy.wants_overseer(5, FrameSigns(black=True))


def test_after_a_cut_a_track_is_prompted_where_it_is_now(policy):
    start(policy)
    decision = policy.decide(1, seen((GRASPER, RIGHT, 0.9)), followed((1, NOTHING, 0.1)), CUT)
    (prompt,) = decision.prompts
    assert (prompt.track_id, prompt.reason) == (1, PromptReason.SCENE_CUT)
    assert np.array_equal(prompt.mask, RIGHT)
    assert decision.back_filled == ()


def test_after_a_cut_the_track_that_overlaps_comes_before_its_twin(policy):
    policy.decide(0, seen((GRASPER, LEFT, 0.9), (GRASPER, RIGHT, 0.8)), followed())
    both = followed((1, LEFT, 1.0), (2, RIGHT, 1.0))
    decision = policy.decide(1, seen((GRASPER, RIGHT, 0.9)), both, CUT)
    assert [prompt.track_id for prompt in decision.prompts] == [2]


def test_what_is_new_after_a_cut_starts_a_track(policy):
    start(policy)
    detections = seen((GRASPER, LEFT, 0.9), (LIVER, RIGHT, 0.9))
    decision = policy.decide(1, detections, followed((1, LEFT, 1.0)), CUT)
    assert {(p.track_id, p.reason) for p in decision.prompts} == {
        (1, PromptReason.SCENE_CUT),
        (2, PromptReason.ENTERED),
    }
    assert decision.back_filled == (2,)


def test_a_track_that_is_not_seen_after_a_cut_ends_soon(policy):
    start(policy)
    alone = followed((1, LEFT, 1.0))
    policy.decide(1, seen((LIVER, RIGHT, 0.9)), alone, CUT)
    alone = followed((1, LEFT, 1.0), (2, RIGHT, 1.0))
    assert policy.decide(2, seen((LIVER, RIGHT, 0.9)), alone).ended == ()
    assert policy.decide(3, seen((LIVER, RIGHT, 0.9)), alone).ended == (1,)


def test_outside_the_body_there_are_no_masks_and_tracks_wait(policy):
    start(policy)
    hallucinated = followed((1, RIGHT, 0.9))
    decision = policy.decide(1, seen(), hallucinated, CUT)
    assert decision.out_of_body
    for frame in range(2, 20):
        assert policy.decide(frame, seen() if frame % 5 == 0 else None, hallucinated).out_of_body
    back = policy.decide(20, seen((GRASPER, LEFT, 0.9)), hallucinated, CUT)
    assert not back.out_of_body
    assert [(p.track_id, p.reason) for p in back.prompts] == [(1, PromptReason.SCENE_CUT)]


def test_a_scene_without_detections_is_not_outside(policy):
    start(policy)
    assert not policy.decide(1, seen(), followed((1, LEFT, 1.0))).out_of_body


def look_at(policy, frame, class_id, appearance, signs=NO_SIGNS):
    """A look at a picture with one object on the left, which track 1 follows if it is there."""
    tracked = looking(followed((1, LEFT, 1.0)), appearance) if frame else looking(followed())
    return policy.decide(frame, looking(seen((class_id, LEFT, 0.95)), appearance), tracked, signs)


def test_what_the_overseer_makes_of_a_picture_outside_starts_nothing(policy):
    for frame in (0, 1):
        assert not look_at(policy, frame, LIVER, (1, 0)).out_of_body
    for frame, signs in ((2, CUT), (7, NO_SIGNS)):
        decision = look_at(policy, frame, LIVER, (0, 1), signs)
        assert decision.out_of_body
        assert decision.prompts == ()
    back = look_at(policy, 9, LIVER, (0.9, 0.44), CUT)
    assert not back.out_of_body
    assert [(p.track_id, p.reason) for p in back.prompts] == [(1, PromptReason.SCENE_CUT)]


def test_who_knows_no_tissue_takes_another_instrument_for_what_it_is(policy):
    for frame in (0, 1):
        look_at(policy, frame, GRASPER, (1, 0))
    assert not look_at(policy, 2, GRASPER, (0, 1), CUT).out_of_body


def test_a_strange_picture_of_many_classes_is_another_place_in_the_body(labels):
    policy = Constellation(labels, ConstellationSettings(outside_classes=2), EveryNth(1))
    for frame in (0, 1):
        look_at(policy, frame, LIVER, (1, 0))
    elsewhere = seen((LIVER, RIGHT, 0.95), (GRASPER, LEFT, 0.9))
    decision = policy.decide(2, looking(elsewhere, (0, 1), (0, 1)), looking(followed()), CUT)
    assert not decision.out_of_body
    assert len(decision.prompts) == 2


def test_in_the_dark_there_are_no_masks(policy):
    start(policy)
    dark = FrameSigns(black=True)
    assert policy.decide(1, None, followed((1, LEFT, 1.0)), dark).out_of_body
    assert not policy.decide(2, None, followed((1, LEFT, 1.0))).out_of_body


def test_in_a_blurred_frame_there_are_no_masks_and_no_look(policy):
    start(policy)
    blurred = FrameSigns(blurred=True)
    assert not policy.wants_overseer(5, blurred)
    decision = policy.decide(5, None, followed((1, LEFT, 1.0)), blurred)
    assert (decision.unusable, decision.out_of_body, decision.ended) == (True, False, ())
    assert not policy.decide(6, None, followed((1, LEFT, 1.0))).unusable


def test_what_was_seen_before_and_after_a_cut_is_not_withdrawn(policy):
    start(policy)
    policy.decide(1, seen((GRASPER, RIGHT, 0.9)), followed((1, LEFT, 1.0)), CUT)
    alone = seen(), followed((1, RIGHT, 1.0))
    decisions = [policy.decide(frame, *alone) for frame in range(2, 10)]
    assert not any(decision.withdrawn for decision in decisions)
    assert decisions[-1].ended == (1,)


def test_a_class_of_stuff_can_be_voted_for_once_its_track_has_ended(policy):
    policy.decide(0, seen((GRASPER, LEFT, 0.9), (LIVER, RIGHT, 0.9)), followed())
    both = followed((1, LEFT, 1.0), (2, RIGHT, 1.0))
    for frame in range(1, 5):
        decision = policy.decide(frame, seen((GRASPER, LEFT, 0.9)), both)
    assert decision.withdrawn == (2,)
    for frame in range(5, 20):
        policy.decide(frame, seen((LIVER, LEFT, 0.9)), followed((1, LEFT, 1.0)))
    assert policy.class_of(1) == LIVER


def test_what_is_never_sure_is_waited_for_no_longer(labels):
    policy = Constellation(labels, ConstellationSettings(), Adaptive())
    tracked, looks = followed((1, LEFT, 1.0)), []
    policy.decide(0, seen((GRASPER, LEFT, 0.9), (GRASPER, RIGHT, 0.35)), followed())
    for frame in range(1, 36):
        if policy.doubts(frame, tracked):
            looks.append(frame)
            policy.decide(frame, seen((GRASPER, LEFT, 0.9), (GRASPER, RIGHT, 0.35)), tracked)
    assert looks == [3, 6, 9, 17, 25, 33]


def test_what_waited_before_a_cut_confirms_nothing_behind_it(policy):
    policy.decide(0, seen((GRASPER, LEFT, 0.4)), followed())
    assert not policy.decide(1, seen((GRASPER, LEFT, 0.5)), followed(), CUT).prompts


def test_without_the_rule_contradictions_are_not_waited_for(labels):
    rules = frozenset(Rule) - {Rule.DRIFTED}
    policy = Constellation(labels, ConstellationSettings(rules=rules), Adaptive())
    policy.decide(0, seen((LIVER, LEFT, 0.9)), followed())
    looks, tracked = [], followed((1, LEFT, 1.0))
    for frame in range(1, 33):
        if policy.doubts(frame, tracked):
            looks.append(frame)
            policy.decide(frame, seen((LIVER, RIGHT, 0.9)), tracked)
    assert looks == [8, 16, 24, 32]
