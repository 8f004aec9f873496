"""Scores of a training: what is perfect scores 1, what is blind scores 0."""

from dataclasses import replace

import numpy as np
import pytest

from overseer.validation import judge, mask_precision
from pipeline.labelled_clip import IGNORED, LabelledClip
from pipeline.labels import CHOLECSEG8K
from pipeline.records import Detections
from tracking.baselines import HeldMasks
from tracking.training.validation import first_mask_similarity, region_similarity

GRASPER, LIVER = 5, 2


def clip(step_px=0):
    """Four frames of a square of 20 pixels that moves, over an organ that stays."""
    track_maps = np.zeros((4, 64, 96), np.uint8)
    track_maps[:, 40:, :] = LIVER
    for frame, track_map in enumerate(track_maps):
        track_map[10:30, 10 + step_px * frame : 30 + step_px * frame] = 101
    images = np.repeat(track_maps[..., None], 3, -1)
    return LabelledClip(
        images=images, track_maps=track_maps, class_of_track={101: GRASPER, LIVER: LIVER}
    )


class Reads:
    """An overseer that reads the class from the picture, and may miss a class."""

    label_set = CHOLECSEG8K

    def __init__(self, *track_ids):
        self._track_ids = track_ids

    def detect(self, images):
        classes = {101: GRASPER, LIVER: LIVER}
        return [
            Detections.from_masks(
                class_ids=np.array([classes[t] for t in self._track_ids], np.int64),
                scores=np.full(len(self._track_ids), 0.9, np.float32),
                masks=np.stack([image[..., 0] == t for t in self._track_ids]),
            )
            for image in images
        ]


@pytest.mark.parametrize(("count", "expected"), [(1, [2]), (2, [0, 3]), (9, [0, 1, 2, 3])])
def test_a_single_frame_of_a_clip_is_the_middle_one(count, expected):
    judged = judge(Reads(101), [clip(step_px=3)], count)
    assert [frame.frame for frame in judged] == expected


def test_masks_that_stay_right_score_one():
    assert region_similarity(HeldMasks(), [clip(), clip()]) == 1


def test_a_mask_left_behind_scores_by_hand():
    # Common columns 15, 10, 5 of 25, 30, 35; the organ is right throughout.
    moved = np.mean([15 / 25, 10 / 30, 5 / 35])
    assert region_similarity(HeldMasks(), [clip(step_px=5)]) == pytest.approx((1 + moved) / 2)


class FillsBoxes(HeldMasks):
    """A tracker that takes an object for all of its box."""

    def prompt(self, prompts):
        masks = [np.zeros((64, 96), bool) for _ in prompts]
        for mask, prompt in zip(masks, prompts, strict=True):
            left, top, right, bottom = prompt.box.astype(int)
            mask[top:bottom, left:right] = True
        filled = [
            replace(prompt, mask=mask, box=None)
            for mask, prompt in zip(masks, prompts, strict=True)
        ]
        super().prompt(filled)


def test_first_masks_are_compared_with_the_truth_by_hand():
    square = clip()
    half = square.track_maps.copy()
    # What is left of the square fills three quarters of its box.
    half[0, 10:20, 10:20] = 0
    # The organ fills its own box.
    clips = [replace(square, track_maps=half)]
    assert first_mask_similarity(FillsBoxes(), clips) == pytest.approx((1 + 3 / 4) / 2)


def test_an_overseer_that_sees_all_is_precise():
    scores = mask_precision(Reads(101, LIVER), [clip(step_px=3)], 3)
    assert scores == {"map": pytest.approx(1), "ap50": pytest.approx(1)}


def test_an_overseer_that_misses_a_class_is_half_as_precise():
    scores = mask_precision(Reads(LIVER), [clip()], 2)
    assert scores == {"map": pytest.approx(0.5), "ap50": pytest.approx(0.5)}


def test_what_is_found_where_the_labels_leave_open_what_is_there_does_not_count():
    known, found = clip(), Reads(LIVER, 101)
    unlabelled = LabelledClip(
        images=known.images, track_maps=known.track_maps, class_of_track={LIVER: LIVER}
    )
    assert mask_precision(found, [unlabelled, known], 2)["map"] < 0.8
    track_maps = np.where(known.track_maps == 101, IGNORED, known.track_maps)
    ignored = LabelledClip(
        images=known.images, track_maps=track_maps, class_of_track={LIVER: LIVER}
    )
    assert mask_precision(found, [ignored, known], 2)["map"] == pytest.approx(1)
