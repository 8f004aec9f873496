"""Temporal consistency, on cases worked by hand."""

import numpy as np
import pytest

from pipeline.temporal import (
    contour_distance,
    count_flicker,
    temporal_consistency,
)
from tests.conftest import annotated_frame, rectangle

SIZE = (96, 128)


def textured(shift):
    """A picture with a fine pattern that has moved to the right by `shift` pixels."""
    pattern = np.random.default_rng(0).integers(0, 255, (24, 48)).astype(np.uint8)
    wide = np.kron(pattern, np.ones((4, 4), np.uint8))
    return np.repeat(wide[:, 40 - shift : 168 - shift, None], 3, -1)


def square(left):
    return rectangle(left, 30, left + 40, 70, SIZE)


def frames(*squares, class_id=5):
    return [
        annotated_frame(index, **({} if left is None else {f"t1_c{class_id}": square(left)}))
        for index, left in enumerate(squares)
    ]


def steadiness(annotated, images, cuts=frozenset()):
    return temporal_consistency({"only": annotated}, images, cuts)["only"]


def measure(*squares, shifts=None, cuts=()):
    images = [textured(shift) for shift in shifts or [0] * len(squares)]
    return steadiness(frames(*squares), images, frozenset(cuts))


def test_what_stands_still_is_steady():
    result = measure(40, 40, 40)
    assert result.temporal_iou == result.sasvi_temporal_iou == 1
    assert result.contour_distance == result.flicker == 0
    assert result.warped_temporal_iou > 0.98


def test_a_jump_lowers_the_iou():
    # Squares of 40 that are 10 apart: 30 / 50 columns in common.
    assert measure(40, 50).temporal_iou == pytest.approx(0.6)


def test_motion_that_the_picture_shares_is_not_held_against_it():
    moving = measure(40, 44, 48, shifts=[0, 4, 8])
    assert moving.temporal_iou == pytest.approx(36 / 44)
    assert moving.warped_temporal_iou > 0.95
    assert moving.warped_contour_distance < 0.5 < moving.contour_distance
    against = measure(48, 44, 40, shifts=[0, 4, 8])
    assert against.warped_temporal_iou < moving.temporal_iou


def test_a_cut_is_not_compared():
    assert measure(10, 10, 60, 60, cuts=[2]).temporal_iou == 1
    assert measure(10, 10, 60, 60).temporal_iou < 0.7


def test_only_sasvis_figure_counts_a_class_that_is_in_one_frame():
    result = measure(40, None, None, 40)
    assert result.temporal_iou == 0
    assert result.sasvi_temporal_iou == 0
    steady = [
        annotated_frame(i, t1_c5=square(40), t2_c2=rectangle(0, 0, 9, 9, SIZE)) for i in (0, 1)
    ]
    steady[1] = annotated_frame(1, t1_c5=square(40))
    result = steadiness(steady, [textured(0)] * 2)
    assert result.temporal_iou == 1
    assert result.sasvi_temporal_iou == 0.5


def test_flicker_counts_short_absences_only():
    gone = [{1}, set(), {1}, {1}, set(), set(), {1}]
    assert count_flicker(gone) == 2
    assert count_flicker([{1}] + [set()] * 5 + [{1}]) == 1
    assert count_flicker([{1}] + [set()] * 6 + [{1}]) == 0
    assert count_flicker([set(), {1}, {1}, set()]) == 0
    assert count_flicker([]) == 0
    assert measure(40, None, 40, 40).flicker == 250


def test_two_tracks_of_a_class_are_one_region():
    both = [
        annotated_frame(0, t1_c5=square(10), t2_c5=square(80)),
        annotated_frame(1, t3_c5=square(10), t4_c5=square(80)),
    ]
    assert steadiness(both, [textured(0)] * 2).temporal_iou == 1


def test_several_annotations_of_a_video_are_measured_at_once():
    steady, jumping = frames(40, 40, 40), frames(40, 60, None)
    images = [textured(0)] * 3
    together = temporal_consistency({"steady": steady, "jumping": jumping}, images)
    assert together == {
        "steady": steadiness(steady, images), "jumping": steadiness(jumping, images)
    }  # fmt: skip


def test_contours_that_are_apart_by_a_shift():
    first, second = rectangle(10, 10, 50, 50, SIZE), rectangle(10, 10, 50, 53, SIZE)
    # The first one's lower edge: 34 pixels are 3 away, the others 1 and 2; it has 156 pixels.
    # The second one's: 40 are 3 away, and 4 on the sides 1 and 2; it has 162.
    expected = (34 * 3 + 2 * (1 + 2) + 40 * 3 + 2 * (1 + 2)) / (156 + 162)
    assert contour_distance(first, second) == pytest.approx(expected, abs=1e-4)
    assert contour_distance(first, first) == 0
    assert contour_distance(np.ones(SIZE, bool), np.ones(SIZE, bool)) == 0


def test_two_objects_of_a_class_are_one_region():
    both = {"t1_c5": square(0), "t2_c5": square(80)}
    annotated = [annotated_frame(0, **both), annotated_frame(1, t2_c5=square(80))]
    result = steadiness(annotated, [textured(0)] * 2)
    assert result.temporal_iou == 0.5
