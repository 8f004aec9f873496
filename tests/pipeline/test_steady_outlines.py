"""Outlines averaged with their neighbours in time, on shapes worked by hand."""

import numpy as np
import pytest

from pipeline.outlines import signed_distance
from pipeline.steadying.steady_outlines import (
    FARTHEST_PX,
    mixed,
    moved_along,
    on_their_objects,
    without_flashes,
)
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
    assert on_their_objects(moved_along(neighbour, STILL, seen), seen).keys() == {2}
    followed = STILL.copy()
    followed[..., 0] = 40
    assert on_their_objects(moved_along(neighbour, followed, seen), seen).keys() == {1}


def test_a_mask_that_is_elsewhere_for_one_frame_is_what_its_neighbours_say():
    seen = {1: outline(45), 2: outline(5)}
    corrected = without_flashes(seen, {1: outline(20), 2: outline(5)}, {1: outline(22)})
    assert np.array_equal(corrected[1][32] > 0, square(21)[32])
    assert corrected[2] is seen[2]


@pytest.mark.parametrize("later", [{1: outline(45)}, {1: outline(40)}, {}])
def test_an_object_that_moves_on_or_ends_is_no_flash(later):
    seen = {1: outline(45)}
    assert without_flashes(seen, {1: outline(20)}, later)[1] is seen[1]


def test_a_little_trembling_is_no_flash():
    seen = {1: outline(22)}
    assert without_flashes(seen, {1: outline(20)}, {1: outline(20)})[1] is seen[1]


def test_what_replaces_a_flash_is_the_mean_of_its_neighbours():
    before, after = outline(20), outline(22)
    corrected = without_flashes({1: outline(45)}, {1: before}, {1: after})
    assert np.allclose(corrected[1], (before + after) / 2)


def test_what_agrees_with_one_neighbour_is_no_flash():
    # Of squares 30 wide: 0.71, 0.36 and 0.58 in common.
    seen = {1: outline(20)}
    assert without_flashes(seen, {1: outline(25)}, {1: outline(34)})[1] is seen[1]
