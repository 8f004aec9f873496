"""What the constellation does behind cuts, outside the body, in the dark and in a blur."""

import numpy as np

from pipeline.policies.constellation.looks import EveryNth
from pipeline.policies.constellation.policy import Constellation
from pipeline.policies.constellation.settings import ConstellationSettings
from pipeline.records import PromptReason
from pipeline.scene_changes import NO_SIGNS, FrameSigns
from tests.hand_made import (
    CUT,
    FAR,
    GONE,
    GRASPER,
    HERE,
    LEFT,
    LIVER,
    MIDDLE,
    NOTHING,
    RIGHT,
    followed,
    looking,
    seen,
    sharing,
    start,
    two_tracks,
)


def reasons(decision):
    return [prompt.reason for prompt in decision.prompts]


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


def test_what_was_seen_before_and_after_a_cut_is_not_withdrawn(policy):
    start(policy)
    policy.decide(1, seen((GRASPER, RIGHT, 0.9)), followed((1, LEFT, 1.0)), CUT)
    alone = seen(), followed((1, RIGHT, 1.0))
    decisions = [policy.decide(frame, *alone) for frame in range(2, 10)]
    assert not any(decision.withdrawn for decision in decisions)
    assert decisions[-1].ended == (1,)


def test_what_waited_before_a_cut_confirms_nothing_behind_it(policy):
    policy.decide(0, seen((GRASPER, LEFT, 0.4)), followed())
    assert not policy.decide(1, seen((GRASPER, LEFT, 0.5)), followed(), CUT).prompts


def test_after_a_cut_each_track_is_where_something_looks_like_it(policy):
    steel, brass = (1, 0), (0, 1)
    both = seen((GRASPER, LEFT, 0.9), (GRASPER, RIGHT, 0.8))
    policy.decide(0, looking(both, steel, brass), followed())
    policy.decide(
        1,
        looking(both, steel, brass),
        looking(followed((1, LEFT, 1.0), (2, RIGHT, 1.0)), steel, brass),
    )
    moved = looking(seen((GRASPER, FAR, 0.9), (GRASPER, MIDDLE, 0.8)), brass, steel)
    lost = looking(followed((1, NOTHING, 0.1), (2, NOTHING, 0.1)), (0, 0), (0, 0))
    prompts = policy.decide(2, moved, lost, CUT).prompts
    places = {prompt.track_id: prompt.mask for prompt in prompts}
    assert np.array_equal(places[1], MIDDLE)
    assert np.array_equal(places[2], FAR)


def test_what_is_found_behind_a_cut_was_not_missed_before(policy):
    start(policy)
    policy.decide(1, *HERE)
    for frame in (2, 3):
        policy.decide(frame, *GONE)
    assert reasons(policy.decide(4, *HERE, CUT)) == [PromptReason.SCENE_CUT]
    assert [policy.decide(frame, *GONE).ended for frame in (5, 6, 7)] == [(), (), (1,)]


def test_a_prompt_behind_a_cut_renews_the_memory(policy):
    start(policy)
    assert reasons(policy.decide(45, *HERE, CUT)) == [PromptReason.SCENE_CUT]
    assert not policy.decide(60, *HERE).prompts


def test_what_is_doubtful_behind_a_cut_prompts_nothing(policy):
    start(policy)
    doubtful = seen((GRASPER, RIGHT, 0.4), (LIVER, MIDDLE, 0.9)), followed((1, NOTHING, 0.1))
    assert reasons(policy.decide(1, *doubtful, CUT)) == [PromptReason.ENTERED]


def test_looks_at_twins_before_a_cut_do_not_count_behind_it(policy):
    two_tracks(policy)
    both = sharing((1, LEFT, 1.0), (2, RIGHT, 1.0))
    one, two = seen((GRASPER, LEFT, 0.9)), seen((GRASPER, LEFT, 0.9), (GRASPER, RIGHT, 0.9))
    policy.decide(2, one, both)
    policy.decide(3, two, both, CUT)
    assert [policy.decide(frame, one, both).ended for frame in (4, 5)] == [(), (2,)]


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


def test_back_in_the_body_without_a_cut_tracks_are_found_again(policy):
    start(policy)
    policy.decide(1, seen(), followed((1, LEFT, 1.0)), CUT)
    back = policy.decide(2, seen((GRASPER, RIGHT, 0.9)), followed((1, NOTHING, 0.1)))
    assert reasons(back) == [PromptReason.SCENE_CUT]


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


def test_a_strange_picture_is_outside_for_who_knows_tissue_and_instruments(policy):
    both = looking(seen((LIVER, LEFT, 0.95), (GRASPER, RIGHT, 0.95)), (1, 0), (1, 0))
    policy.decide(0, both, looking(followed()))
    policy.decide(1, both, looking(followed((1, LEFT, 1.0), (2, RIGHT, 1.0)), (1, 0), (1, 0)))
    assert look_at(policy, 2, LIVER, (0, 1), CUT).out_of_body


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
