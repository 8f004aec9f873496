"""The constellation's rules, on hand-made detections and tracks."""

import numpy as np

from pipeline.policies.constellation.looks import Adaptive, EveryNth
from pipeline.policies.constellation.policy import Constellation
from pipeline.policies.constellation.settings import ConstellationSettings
from pipeline.records import PromptReason
from tests.hand_made import (
    GONE,
    GRASPER,
    HERE,
    HOOK,
    LEFT,
    LIVER,
    RIGHT,
    followed,
    seen,
    start,
)


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


def test_a_mask_that_the_tracker_takes_for_absent_is_not_visible(policy):
    start(policy)
    policy.decide(1, *HERE)
    absent = seen(), followed((1, LEFT, 0.1))
    assert [policy.decide(frame, *absent).ended for frame in (2, 3, 4)] == [(), (), (1,)]


def test_only_looks_in_a_row_end_a_track(policy):
    start(policy)
    for frame in (1, 4, 7):
        assert policy.decide(frame, *HERE).ended == ()
        assert policy.decide(frame + 1, *GONE).ended == ()
        assert policy.decide(frame + 2, *GONE).ended == ()
