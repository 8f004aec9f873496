"""Outlines averaged with their neighbours in time, on shapes worked by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from pipeline.steady_outlines import mixed, moved_along, signed_distance
from tests.conftest import rectangle

SIZE = (60, 80)
STILL = np.zeros((*SIZE, 2), np.float32)


def square(left):
    return rectangle(left, 20, left + 30, 45, SIZE)


@given(arrays(np.bool_, (12, 17)))
@settings(deadline=None)
def test_the_distance_is_positive_exactly_inside(mask):
    assert np.array_equal(signed_distance(mask) > 0, mask)


def test_the_distance_counts_from_the_outline():
    distance = signed_distance(square(20))
    assert distance[30, 20] == pytest.approx(0.5) and distance[30, 19] == pytest.approx(-0.5)
    assert distance[30, 22] == pytest.approx(2.5, abs=0.1)
    assert distance.max() == 12 and distance.min() == -12


def test_an_outline_moves_half_way_towards_a_neighbour_of_equal_weight():
    seen = {1: signed_distance(square(20))}
    neighbour = {1: signed_distance(square(26))}
    (average,) = mixed(seen, [neighbour], 0.5).values()
    assert np.array_equal(average[32] > 0, square(23)[32])


def test_a_neighbour_that_lacks_a_track_leaves_its_share_to_the_frame():
    seen = {1: signed_distance(square(20)), 2: signed_distance(square(45))}
    both = mixed(seen, [seen, seen], 0.6)
    alone = mixed(seen, [{}, {1: seen[1]}], 0.6)
    for track_id in seen:
        assert np.allclose(both[track_id], alone[track_id], atol=1e-4)


def test_what_the_flow_has_lost_does_not_count():
    seen = {1: signed_distance(square(5)), 2: signed_distance(square(30))}
    neighbour = {1: signed_distance(square(45)), 2: signed_distance(square(33)), 3: seen[1]}
    assert moved_along(neighbour, STILL, seen).keys() == {2}
    followed = STILL.copy()
    followed[..., 0] = 40
    assert moved_along(neighbour, followed, seen).keys() == {1}
