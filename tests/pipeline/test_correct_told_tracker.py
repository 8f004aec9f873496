"""Corrections taken over by a tracker that sees what it is told: what it is asked, whose a pixel is."""

from dataclasses import replace

import numpy as np

from pipeline.corrections.correct import correct
from pipeline.corrections.plan import TrackPlan, plan_corrections
from pipeline.masks import encode_mask
from pipeline.records import ChangedFrame, Origin, PromptReason, PromptRecord, TrackedMasks
from tests.conftest import annotated_frame, rectangle
from tests.pipeline.test_correct import COUNT, OTHER, SIZE, WRONG, masks_of, square


class Told:
    """A tracker that sees masks which it is told, and notes what it is asked for."""

    look_back = 6

    def __init__(self, masks):
        self._masks = masks
        self._tracks, self._past = [], []
        self.asked = []

    def forget_past(self):
        self.asked.append(("forget past",))
        self._past = []

    def end(self, track_ids):
        if track_ids:
            self.asked.append(("end", *track_ids))
        self._tracks = [t for t in self._tracks if t not in track_ids]

    def track(self, index, image):
        self.asked.append(("track", index))
        self._past.append(index)

    def prompt(self, prompts):
        self._tracks = sorted({*self._tracks, *(prompt.track_id for prompt in prompts)})

    def result(self):
        return self._seen(self._tracks)

    def back_fill(self, track_ids, since):
        return [
            ChangedFrame(frame_index=index, tracked=self._seen(list(since)), followed=tuple(since))
            for index in self._past[:-1]
            if index >= min(since.values())
        ]

    def _seen(self, track_ids):
        return TrackedMasks(
            track_ids=np.array(track_ids, np.int64),
            masks=np.array([self._masks[t] for t in track_ids], bool).reshape(-1, *SIZE),
            quality=np.full(len(track_ids), 0.9, np.float32),
            presence=np.ones(len(track_ids), np.float32),
        )


def run_told(frames, told, *plans):
    pictures = ((index, np.zeros((*SIZE, 3), np.uint8)) for index in range(COUNT))
    plans = {plan.track_id: plan for plan in plans}
    return list(correct(frames, pictures, plans=plans, tracker=told, first_prompt_id=50))


def plan(track_id, **fields):
    given = {"drawn": {5: encode_mask(square(15))}, "followed": (range(5, 8),)}
    return TrackPlan(track_id=track_id, class_id=1, **given | fields)


def test_the_tracker_forgets_what_was_before_a_gap_or_a_cut_and_ends_what_is_followed_no_more():
    frames = [annotated_frame(index) for index in range(COUNT)]
    frames[12] = replace(frames[12], flags=("cut",))
    told = Told({1: square(15), 2: square(60), 3: OTHER})
    second = plan(2, drawn={11: encode_mask(square(60))}, followed=(range(11, 13),))
    third = plan(3, drawn={9: encode_mask(OTHER)}, followed=())
    run_told(frames, told, plan(1), second, third)
    assert told.asked == [
        ("forget past",), ("track", 5), ("track", 6), ("track", 7),
        ("forget past",), ("end", 1), ("track", 9),
        ("forget past",), ("end", 3), ("track", 11), ("forget past",), ("track", 12),
    ]  # fmt: skip


def test_nobody_tracks_into_a_frame_without_a_picture():
    frames = [annotated_frame(index) for index in range(COUNT)]
    frames[6] = replace(frames[6], flags=("undecodable",))
    told = Told({1: square(15)})
    run_told(frames, told, plan(1))
    # Those after it follow on those before it.
    assert told.asked == [("forget past",), ("track", 5), ("track", 7)]


def record(prompt_id, track_id):
    return PromptRecord(
        prompt_id=prompt_id, track_id=track_id, class_id=1, kind="mask",
        reason=PromptReason.ENTERED, score=0.5,
    )  # fmt: skip


def test_prompts_of_tracks_that_were_not_corrected_stay():
    frames = [annotated_frame(index, t1_c1=WRONG, t2_c2=OTHER) for index in range(COUNT)]
    frames[6] = replace(frames[6], prompts=(record(7, 1), record(8, 2)))
    found = run_told(frames, Told({1: square(15)}), plan(1))
    assert found[6].prompts == (record(8, 2),)
    assert [prompt.prompt_id for prompt in found[5].prompts] == [50]


def test_tracks_are_stored_in_their_order():
    frames = [annotated_frame(index, t1_c1=WRONG, t2_c2=OTHER) for index in range(COUNT)]
    found = run_told(frames, Told({2: square(15)}), plan(2))
    assert [[track.track_id for track in found[index].tracks] for index in (5, 6)] == [[1, 2]] * 2


def test_a_pixel_is_of_what_was_drawn_then_tracked_on_then_tracked_back_then_there_before():
    drawn, on = rectangle(0, 0, 20, 20, SIZE), rectangle(10, 0, 30, 20, SIZE)
    back, before = rectangle(20, 0, 40, 20, SIZE), rectangle(5, 0, 50, 20, SIZE)
    frames = [annotated_frame(index, t9_c1=before) for index in range(COUNT)]
    told = Told({1: back, 2: on, 3: drawn})
    found = run_told(
        frames, told,
        plan(1, drawn={8: encode_mask(back)}, followed=(range(8, 9),), before=(range(6, 8),)),
        plan(2, drawn={5: encode_mask(on)}, followed=(range(5, 9),)),
        plan(3, drawn={7: encode_mask(drawn)}, followed=(range(7, 8),)),
    )  # fmt: skip
    masks = masks_of(found[7])
    assert np.array_equal(masks[3], drawn)
    assert np.array_equal(masks[2], on & ~drawn)
    assert np.array_equal(masks[1], back & ~on)
    assert np.array_equal(masks[9], before & ~(drawn | on | back))
    assert found[7].tracks[0].origin is Origin.BACK_FILLED


def test_what_is_tracked_on_hides_what_is_tracked_back_whichever_came_first():
    on, back = rectangle(10, 0, 30, 20, SIZE), rectangle(20, 0, 40, 20, SIZE)
    frames = [annotated_frame(index) for index in range(COUNT)]
    drawn = {5: encode_mask(back), 9: encode_mask(back)}
    found = run_told(
        frames, Told({1: back, 2: on}),
        plan(1, drawn=drawn, followed=(range(5, 9), range(9, 10)), before=(range(5, 5), range(7, 9))),
        plan(2, drawn={5: encode_mask(on)}, followed=(range(5, 10),)),
    )  # fmt: skip
    for index, hidden in ((6, masks_of(found[6])[1]), (8, masks_of(found[8])[2])):
        assert hidden.sum() == 400, index
    assert np.array_equal(masks_of(found[8])[1], back & ~on)


def test_no_sliver_is_left_of_a_mask_that_a_corrected_one_covers():
    """The same object, which the set had as another track; a person's own mask stays."""
    before, on = rectangle(0, 0, 20, 20, SIZE), rectangle(0, 0, 20, 19, SIZE)
    frames = [annotated_frame(index, t1_c1=before) for index in range(COUNT)]
    by_hand = replace(frames[7].tracks[0], origin=Origin.HUMAN)
    frames[7] = replace(frames[7], tracks=(by_hand,))
    found = run_told(frames, Told({2: on}), plan(2, drawn={5: encode_mask(on)}))
    assert {t for index in (5, 6) for t in masks_of(found[index])} == {2}
    assert masks_of(found[7]).keys() == {1}
    covering = plan(2, drawn={5: encode_mask(on), 7: encode_mask(on)}, followed=(range(5, 7),))
    assert masks_of(run_told(frames, Told({2: on}), covering)[7])[1].sum() == 20
    smaller = rectangle(0, 0, 20, 18, SIZE)
    left = run_told(frames, Told({2: smaller}), plan(2, drawn={5: encode_mask(smaller)}))
    assert masks_of(left[6])[1].sum() == 40


def test_a_prompt_stays_for_the_masks_that_came_from_it():
    frames = [annotated_frame(index, t1_c1=WRONG) for index in range(COUNT)]
    entered = PromptRecord(
        prompt_id=0,
        track_id=1,
        class_id=1,
        kind="mask",
        reason=PromptReason.ENTERED,
        score=1.0,
    )
    frames[0] = replace(frames[0], prompts=(entered,))
    # The first masks alone are deleted, and then all of them.
    deleted = annotated_frame(0, t1_c1=WRONG & ~WRONG)
    for seen, left in ((COUNT, [0]), (1, [])):
        changes = [deleted, *(annotated_frame(index) for index in range(1, seen))]
        plans = plan_corrections(frames, changes, look_back=6)
        found = run_told(frames, Told({}), *plans.values())
        assert [prompt.prompt_id for prompt in found[0].prompts] == left
        assert {track.prompt_id for frame in found for track in frame.tracks} == set(left)
