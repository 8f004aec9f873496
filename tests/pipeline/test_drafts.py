"""Frames that may still change: what they take over, give back, and how they are stored."""

import json
from dataclasses import replace

import numpy as np

from pipeline.drafts import Draft, PromptJournal, drafts_state, origins_of, restored_drafts
from pipeline.masks import decode_mask
from pipeline.records import Origin, PromptReason
from tests.conftest import place_prompt
from tests.hand_made import LEFT, MIDDLE, NOTHING, RIGHT, followed


def draft(**fields):
    given = {"index": 5, "time_s": 0.2, "overseer_ran": True, "prompts": ()}
    return Draft(**given | fields)


def prompts(*track_ids, reason=PromptReason.ENTERED):
    return [
        replace(place_prompt((0, 0, 4, 4)), track_id=track_id, reason=reason)
        for track_id in track_ids
    ]


def origin_and_prompt(frame, track_id):
    track = frame.tracks[track_id]
    return track.origin, track.prompt_id


def test_masks_have_the_origin_and_the_prompt_that_they_come_from():
    frame = draft()
    frame.take(followed((1, LEFT, 0.8), (2, RIGHT, 1.0)), {2: Origin.PROMPT}, {1: 4, 2: 6})
    assert origin_and_prompt(frame, 1) == (Origin.PROPAGATED, 4)
    assert origin_and_prompt(frame, 2) == (Origin.PROMPT, 6)
    assert np.array_equal(decode_mask(frame.tracks[1].rle), LEFT)
    assert round(frame.tracks[1].presence, 4) == 0.8
    assert round(frame.tracks[1].quality, 4) == 0.9


def test_what_does_not_show_is_not_in_a_frame():
    frame = draft()
    frame.take(followed((1, NOTHING, 0.1), (2, RIGHT, 1.0)), {}, {1: 0, 2: 1})
    assert list(frame.tracks) == [2]


def test_a_blank_frame_takes_no_masks():
    frame = draft(is_blank=True, flags=("black",))
    frame.take(followed((1, LEFT, 1.0)), {}, {1: 0})
    assert frame.tracks == {}


def test_what_is_followed_back_leaves_the_others_what_they_were():
    frame = draft()
    frame.take(followed((1, LEFT, 1.0)), {1: Origin.PROMPT}, {1: 0})
    # Track 2 is new in it, and takes some pixels of track 1.
    less = LEFT.copy()
    less[:, :6] = False
    frame.take(followed((1, less, 1.0), (2, RIGHT, 1.0)), {2: Origin.BACK_FILLED}, {1: 7, 2: 8})
    assert origin_and_prompt(frame, 1) == (Origin.PROMPT, 0)
    assert origin_and_prompt(frame, 2) == (Origin.BACK_FILLED, 8)
    assert np.array_equal(decode_mask(frame.tracks[1].rle), less)


def test_a_track_with_another_mask_is_taken_anew_with_all_beside_it():
    frame = draft()
    frame.take(followed((1, LEFT, 1.0), (2, RIGHT, 1.0)), {}, {1: 0, 2: 1})
    # Both keep their area.
    moved = followed((1, MIDDLE | False, 1.0), (2, np.roll(RIGHT, 2, 1), 1.0))
    frame.take(moved, {1: Origin.BACK_FILLED}, {1: 5, 2: 1})
    assert origin_and_prompt(frame, 1) == (Origin.BACK_FILLED, 5)
    assert np.array_equal(decode_mask(frame.tracks[1].rle), MIDDLE)
    assert np.array_equal(decode_mask(frame.tracks[2].rle), np.roll(RIGHT, 2, 1))


def test_what_is_withdrawn_is_gone_with_its_prompts():
    frame = draft(prompts=PromptJournal().record(prompts(1, 2)))
    frame.take(followed((1, LEFT, 1.0), (2, RIGHT, 1.0)), {}, {1: 0, 2: 1})
    frame.withdraw([1, 9])
    assert list(frame.tracks) == [2]
    assert [prompt.track_id for prompt in frame.prompts] == [2]


def test_a_frame_is_stored_in_the_order_of_its_tracks_with_their_classes():
    frame = draft(flags=("cut",))
    frame.take(followed((7, LEFT, 1.0), (2, RIGHT, 1.0)), {}, {7: 0, 2: 1})
    stored = frame.finish({7: 3, 2: 1}.__getitem__)
    assert [(track.track_id, track.class_id) for track in stored.tracks] == [(2, 1), (7, 3)]
    assert (stored.index, stored.time_s, stored.overseer_ran, stored.flags) == (
        5,
        0.2,
        True,
        ("cut",),
    )


def test_prompts_are_numbered_through_the_video_also_after_a_restart():
    journal, again = PromptJournal(), PromptJournal()
    assert [record.prompt_id for record in journal.record(prompts(3, 1))] == [0, 1]
    again.restore(json.loads(json.dumps(journal.state())))
    assert [record.prompt_id for record in again.record(prompts(1))] == [2]
    assert again.last == {3: 0, 1: 2}


def test_drafts_are_the_same_after_a_restart():
    frame = draft(prompts=PromptJournal().record(prompts(1)), flags=("cut",))
    frame.take(followed((1, LEFT, 1.0)), {1: Origin.PROMPT}, {1: 0})
    assert restored_drafts(json.loads(json.dumps(drafts_state([frame])))) == [frame]


def test_only_a_human_makes_human_masks():
    given = [*prompts(1), *prompts(2, reason=PromptReason.HUMAN)]
    assert origins_of(given) == {1: Origin.PROMPT, 2: Origin.HUMAN}
