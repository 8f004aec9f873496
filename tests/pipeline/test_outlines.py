"""Signed distances to outlines, and masks half-way between two."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from pipeline.outlines import midway_mask, signed_distance
from tests.conftest import rectangle

SIZE = (60, 80)
masks = arrays(np.bool_, (12, 17))


def square(left):
    return rectangle(left, 20, left + 30, 45, SIZE)


@given(masks)
@settings(deadline=None)
def test_the_distance_is_positive_exactly_inside(mask):
    assert np.array_equal(signed_distance(mask, 12) > 0, mask)


def test_the_distance_counts_from_the_outline_as_far_as_asked():
    distance = signed_distance(square(20), 9)
    assert distance[30, 20] == pytest.approx(0.5) and distance[30, 19] == pytest.approx(-0.5)
    assert distance[30, 22] == pytest.approx(2.5, abs=0.1)
    assert distance.max() == 9 and distance.min() == -9


def test_the_outline_half_way_between_two_squares_is_a_square_between_them():
    assert np.array_equal(midway_mask(square(20), square(22))[32], square(21)[32])


@given(masks)
@settings(deadline=None)
def test_half_way_between_a_mask_and_itself_is_the_mask(mask):
    assert np.array_equal(midway_mask(mask, mask), mask)


@given(masks, masks)
@settings(deadline=None)
def test_the_half_way_mask_holds_what_both_hold_and_nothing_that_neither_does(first, second):
    between = midway_mask(first, second)
    assert not (first & second & ~between).any()
    assert not (between & ~first & ~second).any()
