"""Outlines averaged with their neighbours in time, on shapes worked by hand."""

import numpy as np

from pipeline.outlines import signed_distance
from pipeline.steady_outlines import FARTHEST_PX, mixed, moved_along
from tests.conftest import rectangle

SIZE = (60, 80)
STILL = np.zeros((*SIZE, 2), np.float32)


def square(left):
    return rectangle(left, 20, left + 30, 45, SIZE)


def outline(left):
    return signed_distance(square(left), FARTHEST_PX)


def test_an_outline_moves_half_way_towards_a_neighbour_of_equal_weight():
    seen = {1: outline(20)}
    neighbour = {1: outline(24)}
    (average,) = mixed(seen, [neighbour], 0.5).values()
    assert np.array_equal(average[32] > 0, square(22)[32])


def test_a_neighbour_that_says_something_else_entirely_is_not_believed():
    seen = {1: outline(20)}
    neighbour = {1: outline(32)}
    (average,) = mixed(seen, [neighbour], 0.9).values()
    assert np.array_equal(average[32] > 0, square(20)[32])


def test_a_neighbour_that_lacks_a_track_leaves_its_share_to_the_frame():
    seen = {1: outline(20), 2: outline(45)}
    both = mixed(seen, [seen, seen], 0.6)
    alone = mixed(seen, [{}, {1: seen[1]}], 0.6)
    for track_id in seen:
        assert np.allclose(both[track_id], alone[track_id], atol=1e-4)


def test_what_the_flow_has_lost_does_not_count():
    seen = {1: outline(5), 2: outline(30)}
    neighbour = {1: outline(45), 2: outline(33), 3: seen[1]}
    assert moved_along(neighbour, STILL, seen).keys() == {2}
    followed = STILL.copy()
    followed[..., 0] = 40
    assert moved_along(neighbour, followed, seen).keys() == {1}
