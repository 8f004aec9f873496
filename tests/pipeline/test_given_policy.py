"""Given prompts, alone and beside another policy, on hand-made detections and tracks."""

import json
from dataclasses import replace

import numpy as np
import pytest

from pipeline.policies.constellation.looks import Adaptive, EveryNth
from pipeline.policies.constellation.policy import Constellation
from pipeline.policies.first_frame import FirstFrame
from pipeline.policies.given import Given, GivenParts, WithGivenPrompts
from pipeline.records import Prompt, PromptReason
from pipeline.scene_changes import FrameSigns
from tests.conftest import rectangle
from tests.hand_made import FAR, GRASPER, LEFT, LIVER, MIDDLE, NOTHING, RIGHT, followed, seen


def test_given_prompts_on_its_frames_only():
    prompt = Prompt(frame_index=3, track_id=7, class_id=LIVER, reason=PromptReason.HUMAN, mask=LEFT)
    policy = Given({3: (prompt,)})
    assert not policy.wants_overseer(3)
    assert policy.decide(0, None, followed()).prompts == ()
    assert policy.decide(3, None, followed()).prompts == (prompt,)
    assert policy.class_of(7) == LIVER


def given(frame_index, *track_ids):
    return tuple(
        Prompt(
            frame_index=frame_index,
            track_id=track_id,
            class_id=LIVER,
            reason=PromptReason.HUMAN,
            mask=LEFT,
        )
        for track_id in track_ids
    )


def test_of_two_given_masks_the_nearer_one_says_most():
    policy = Given({0: given(0, 7), 10: given(10, 7, 8), 30: given(30, 7)})
    assert policy.decide(0, None, followed()).revised_since == {}
    # What is new may have been there before or not: nothing says so.
    assert policy.decide(10, None, followed()).revised_since == {7: 6}
    assert policy.decide(20, None, followed()).revised_since == {}
    again = Given({30: given(30, 7)})
    again.restore(policy.state())
    assert again.decide(30, None, followed()).revised_since == {7: 21}


def test_what_was_given_in_between_stays_as_it_was_given():
    policy = Given({0: given(0, 7), 14: given(14, 8), 20: given(20, 7)})
    for index in (0, 14):
        policy.decide(index, None, followed())
    assert policy.decide(20, None, followed()).revised_since == {7: 15}


def test_what_is_new_among_all_that_is_there_came_since_they_were_given_before():
    policy = Given({0: given(0, 7), 30: given(30, 8)}, whole_frames=(0, 30))
    policy.decide(0, None, followed())
    assert policy.decide(30, None, followed()).revised_since == {8: 1}


def part(mask, class_id=GRASPER):
    return Prompt(
        frame_index=0, track_id=99, class_id=class_id, reason=PromptReason.HUMAN, mask=mask
    )


def test_parts_without_identity_start_tracks_of_their_own():
    policy = GivenParts({0: (part(LEFT), part(RIGHT))})
    assert not policy.wants_overseer(0)
    decision = policy.decide(0, None, followed())
    assert [prompt.track_id for prompt in decision.prompts] == [1, 2]
    assert policy.class_of(2) == GRASPER
    assert policy.decide(1, None, followed((1, LEFT, 1.0))).prompts == ()


def test_a_part_goes_to_the_track_that_it_overlaps():
    policy = GivenParts({0: (part(LEFT), part(RIGHT)), 30: (part(RIGHT), part(MIDDLE))}, (0, 30))
    policy.decide(0, None, followed())
    near_right = np.roll(RIGHT, 2, 1)
    decision = policy.decide(30, None, followed((1, LEFT, 1.0), (2, near_right, 1.0)))
    assert [(p.track_id, p.mask is RIGHT) for p in decision.prompts] == [(2, True), (3, False)]
    assert decision.ended == (1,)
    # What was there before is followed back half-way, what is new to the frame without it.
    assert decision.revised_since == {2: 16, 3: 1}


def test_parts_never_go_to_a_track_of_another_class():
    policy = GivenParts({0: (part(LEFT),), 30: (part(LEFT, LIVER),)})
    policy.decide(0, None, followed())
    decision = policy.decide(30, None, followed((1, LEFT, 1.0)))
    assert [prompt.track_id for prompt in decision.prompts] == [2]
    assert decision.ended == (1,)


def test_a_region_of_stuff_that_comes_back_elsewhere_is_the_track_that_it_was():
    away = {0: (part(LEFT, LIVER),), 10: (), 40: (part(RIGHT, LIVER), part(FAR))}
    policy = GivenParts(away, whole_frames=tuple(away), stuff=(LIVER,))
    policy.decide(0, None, followed())
    policy.decide(10, None, followed((1, LEFT, 1.0)))
    decision = policy.decide(40, None, followed())
    assert [(p.track_id, p.class_id) for p in decision.prompts] == [(1, LIVER), (2, GRASPER)]
    # Both were not there on the given frame before.
    assert decision.revised_since == {1: 11, 2: 11}


def test_a_region_of_stuff_that_the_tracker_has_lost_keeps_its_track():
    policy = GivenParts({0: (part(LEFT, LIVER),), 30: (part(RIGHT, LIVER),)}, stuff=(LIVER,))
    policy.decide(0, None, followed())
    decision = policy.decide(30, None, followed((1, LEFT, 1.0)))
    assert ([prompt.track_id for prompt in decision.prompts], decision.ended) == ([1], ())


def test_a_given_frame_without_parts_ends_all_tracks():
    policy = GivenParts({0: (part(LEFT),), 30: ()})
    policy.decide(0, None, followed())
    assert policy.decide(30, None, followed((1, LEFT, 1.0))).ended == (1,)


def test_beside_another_policy_parts_end_only_their_own_tracks(labels):
    policy = Constellation(labels, schedule=EveryNth(1))
    both = WithGivenPrompts(policy, GivenParts({0: (part(LEFT),), 30: ()}))
    both.decide(0, None, followed())
    (liver,) = both.decide(1, seen((LIVER, RIGHT, 0.9)), followed((1, LEFT, 1.0))).prompts
    assert liver.track_id == 2
    decision = both.decide(30, None, followed((1, LEFT, 1.0), (2, RIGHT, 1.0)))
    assert decision.ended == (1,)


def test_a_track_that_a_given_frame_has_ended_may_come_back(labels):
    policy = Constellation(labels, schedule=EveryNth(1))
    both = WithGivenPrompts(policy, GivenParts({0: (part(LEFT),), 5: ()}))
    both.decide(0, None, followed())
    both.decide(4, seen((GRASPER, LEFT, 0.9)), followed((1, LEFT, 1.0)))
    assert both.decide(5, None, followed((1, LEFT, 1.0))).ended == (1,)
    (back,) = both.decide(9, seen((GRASPER, LEFT, 0.9)), followed()).prompts
    assert (back.track_id, back.reason) == (1, PromptReason.RETURNED)


def test_a_class_of_stuff_that_a_given_frame_has_ended_can_be_voted_for(labels):
    policy = Constellation(labels, schedule=EveryNth(1))
    both = WithGivenPrompts(policy, GivenParts({0: (part(LEFT, LIVER),), 5: ()}))
    both.decide(0, None, followed())
    assert both.decide(5, None, followed((1, LEFT, 1.0))).ended == (1,)
    (new,) = both.decide(6, seen((GRASPER, RIGHT, 0.9)), followed()).prompts
    for frame in range(7, 12):
        both.decide(frame, seen((LIVER, RIGHT, 0.95)), followed((new.track_id, RIGHT, 1.0)))
    assert both.class_of(new.track_id) == LIVER


@pytest.mark.parametrize("name", ["first-frame", "constellation"])
def test_ids_that_are_given_later_are_left_to_them(labels, name):
    policy = FirstFrame() if name == "first-frame" else Constellation(labels, schedule=EveryNth(1))
    both = WithGivenPrompts(policy, Given({30: given(30, 1)}))
    (grasper,) = both.decide(0, seen((GRASPER, LEFT, 0.9)), followed()).prompts
    assert grasper.track_id == 2
    assert [prompt.track_id for prompt in both.decide(30, None, followed()).prompts] == [1]
    assert (both.class_of(1), both.class_of(2)) == (LIVER, GRASPER)


def test_a_part_never_gets_the_id_of_a_track_that_has_ended(labels):
    policy = GivenParts({0: (part(LEFT),), 30: (part(RIGHT),)})
    policy.decide(0, None, followed())
    policy.decide(5, None, followed((1, LEFT, 1.0), (7, MIDDLE, 1.0)))
    again = GivenParts({30: (part(RIGHT),)})
    again.restore(policy.state())
    for resumed in (policy, again):
        (prompt,) = resumed.decide(30, None, followed((1, LEFT, 1.0))).prompts
        assert prompt.track_id == 8


def test_a_track_that_is_given_again_has_not_left(labels):
    policy = Constellation(labels, schedule=EveryNth(1))
    grasper = {at: (replace(given(at, 3)[0], class_id=GRASPER),) for at in (0, 30)}
    both = WithGivenPrompts(policy, Given(grasper))
    both.decide(0, None, followed())
    gone = [both.decide(at, seen(), followed((3, NOTHING, 0.1))).ended for at in range(1, 4)]
    assert gone == [(), (), (3,)]
    both.decide(30, None, followed())
    detections = seen((GRASPER, LEFT, 0.9), (GRASPER, RIGHT, 0.9))
    (other,) = both.decide(31, detections, followed((3, LEFT, 1.0))).prompts
    assert other.track_id == 4


def test_a_cut_on_a_frame_with_a_given_mask_is_one_for_the_policy_a_frame_later(labels):
    policy = Constellation(labels, schedule=EveryNth(8))
    both = WithGivenPrompts(policy, Given({9: given(9, 7)}))
    (grasper,) = both.decide(0, seen((GRASPER, LEFT, 0.9)), followed()).prompts
    tracked = followed((grasper.track_id, LEFT, 1.0))
    both.decide(8, seen((GRASPER, LEFT, 0.9)), tracked)
    both.decide(9, seen((GRASPER, RIGHT, 0.9)), tracked, FrameSigns(cut=True))
    again = WithGivenPrompts(Constellation(labels, schedule=EveryNth(8)), Given({9: given(9, 7)}))
    again.restore(both.state())
    for resumed in (both, again):
        assert resumed.doubts(10, tracked)
        decision = resumed.decide(10, seen((GRASPER, RIGHT, 0.9)), tracked)
        assert [p.reason for p in decision.prompts] == [PromptReason.SCENE_CUT]
        assert not resumed.doubts(11, tracked)


def test_what_is_drawn_behind_a_cut_is_not_drawn_over_by_the_overseer(labels):
    policy = Constellation(labels, schedule=EveryNth(8))
    both = WithGivenPrompts(policy, Given({9: given(9, 1), 10: given(10, 1)}))
    cut = FrameSigns(cut=True)
    both.decide(0, seen((LIVER, LEFT, 0.9)), followed())
    both.decide(9, None, followed((1, LEFT, 1.0)), cut)
    assert not both.doubts(10, followed((1, LEFT, 1.0)))
    both.decide(10, None, followed((1, LEFT, 1.0)))
    assert both.doubts(11, followed((1, LEFT, 1.0)))
    detections = seen((LIVER, RIGHT, 0.6), (GRASPER, MIDDLE, 0.9))
    decision = both.decide(11, detections, followed((1, LEFT, 1.0)))
    assert [p.class_id for p in decision.prompts] == [GRASPER]


def test_a_part_on_two_tracks_goes_to_the_one_that_it_overlaps_most():
    policy = GivenParts({0: (part(LEFT), part(RIGHT)), 30: (part(RIGHT),)})
    policy.decide(0, None, followed())
    decision = policy.decide(30, None, followed((1, np.roll(RIGHT, 8, 1), 1.0), (2, RIGHT, 1.0)))
    assert [prompt.track_id for prompt in decision.prompts] == [2]
    assert decision.ended == (1,)


def test_a_track_goes_to_one_part_alone():
    halves = part(rectangle(4, 4, 8, 14)), part(rectangle(9, 4, 14, 14))
    policy = GivenParts({0: (part(LEFT),), 30: halves})
    policy.decide(0, None, followed())
    decision = policy.decide(30, None, followed((1, LEFT, 1.0)))
    assert [prompt.track_id for prompt in decision.prompts] == [2, 1]


def test_parts_know_their_tracks_after_a_restart():
    prompts = {0: (part(LEFT), part(RIGHT)), 30: (part(LEFT),)}
    policy, again = GivenParts(prompts), GivenParts(prompts)
    policy.decide(0, None, followed())
    again.restore(json.loads(json.dumps(policy.state())))
    decision = again.decide(30, None, followed((1, LEFT, 1.0), (2, RIGHT, 1.0)))
    assert [prompt.track_id for prompt in decision.prompts] == [1]
    assert decision.ended == (2,)
    assert again.class_of(2) == GRASPER


def test_between_given_frames_the_policy_doubts_as_without_them(labels):
    both = WithGivenPrompts(Constellation(labels, schedule=Adaptive()), Given({0: given(0, 7)}))
    both.decide(0, None, followed())
    tracked = followed((7, LEFT, 1.0))
    both.decide(1, seen((LIVER, LEFT, 0.9)), tracked)
    assert [frame for frame in range(2, 10) if both.doubts(frame, tracked)] == [9]


def test_a_cut_between_given_frames_is_the_policys(labels):
    policy = Constellation(labels, schedule=EveryNth(8))
    both = WithGivenPrompts(policy, Given({30: given(30, 7)}))
    (grasper,) = both.decide(0, seen((GRASPER, LEFT, 0.9)), followed()).prompts
    tracked = followed((grasper.track_id, NOTHING, 0.1))
    decision = both.decide(9, seen((GRASPER, RIGHT, 0.9)), tracked, FrameSigns(cut=True))
    assert [prompt.reason for prompt in decision.prompts] == [PromptReason.SCENE_CUT]


def test_a_cut_on_a_given_frame_waits_for_the_next_look(labels):
    policy = Constellation(labels, schedule=EveryNth(8))
    both = WithGivenPrompts(policy, Given({9: given(9, 7)}))
    (grasper,) = both.decide(0, seen((GRASPER, LEFT, 0.9)), followed()).prompts
    tracked = followed((grasper.track_id, NOTHING, 0.1))
    both.decide(9, None, tracked, FrameSigns(cut=True))
    both.decide(10, None, tracked, FrameSigns(blurred=True))
    assert both.doubts(11, tracked)
    decision = both.decide(11, seen((GRASPER, RIGHT, 0.9)), tracked)
    assert [prompt.reason for prompt in decision.prompts] == [PromptReason.SCENE_CUT]


def test_what_was_given_before_a_cut_is_found_again_behind_it(labels):
    policy = Constellation(labels, schedule=EveryNth(8))
    grasper = tuple(replace(prompt, class_id=GRASPER) for prompt in given(0, 1))
    both = WithGivenPrompts(policy, Given({0: grasper, 9: given(9, 7)}))
    both.decide(0, None, followed())
    tracked = followed((1, LEFT, 1.0))
    both.decide(9, None, tracked, FrameSigns(cut=True))
    tracked = followed((1, NOTHING, 0.1), (7, LEFT, 1.0))
    decision = both.decide(10, seen((GRASPER, RIGHT, 0.9)), tracked)
    assert [(p.track_id, p.reason) for p in decision.prompts] == [(1, PromptReason.SCENE_CUT)]


def test_what_was_given_is_known_after_a_restart(labels):
    def make():
        prompts = Given({9: given(9, 1), 30: given(30, 1)})
        return WithGivenPrompts(Constellation(labels, schedule=EveryNth(8)), prompts)

    both, again = make(), make()
    both.decide(0, seen(), followed())
    both.decide(9, None, followed(), FrameSigns(cut=True))
    again.restore(json.loads(json.dumps(both.state())))
    # What was drawn in the new picture is not drawn over by the overseer.
    detections = seen((LIVER, RIGHT, 0.6), (GRASPER, MIDDLE, 0.9))
    decision = again.decide(10, detections, followed((1, LEFT, 1.0)))
    assert [prompt.class_id for prompt in decision.prompts] == [GRASPER]
    assert again.decide(30, None, followed((1, LEFT, 1.0))).revised_since == {1: 20}
