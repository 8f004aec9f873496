"""Boundary accuracy, on hand-worked cases."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, gaussian_filter

from pipeline.boundaries import boundary_accuracy, boundary_of
from tests.conftest import rectangle


def accuracy(mask, truth):
    return boundary_accuracy(boundary_of(mask), boundary_of(truth))


def test_boundary_accuracy_of_a_shift():
    size = (200, 200)
    mask, near, far = (rectangle(x, 50, x + 60, 110, size) for x in (50, 52, 80))
    assert accuracy(mask, mask) == 1
    assert accuracy(near, mask) == 1  # within 0.8 % of the diagonal, 3 pixels
    assert accuracy(far, mask) < 0.6
    empty = np.zeros(size, bool)
    assert accuracy(empty, empty) == 1
    assert accuracy(mask, empty) == 0


def test_boundary_accuracy_is_as_davis_defines_it():
    """By distances between outlines, whose pixels differ from one to the right or below."""

    def outline(mask):
        edge = np.zeros_like(mask)
        edge[:, :-1] |= mask[:, :-1] != mask[:, 1:]
        edge[:-1] |= mask[:-1] != mask[1:]
        edge[:-1, :-1] |= mask[:-1, :-1] != mask[1:, 1:]
        return edge

    size, reach = (150, 200), 2
    random = np.random.default_rng(3)
    for _ in range(5):
        blobs = [gaussian_filter(random.normal(size=size), 6) > 0.01 for _ in range(2)]
        edge, true_edge = (outline(mask) for mask in blobs)
        precision = (distance_transform_edt(~true_edge)[edge] <= reach).mean()
        recall = (distance_transform_edt(~edge)[true_edge] <= reach).mean()
        expected = 2 * precision * recall / (precision + recall)
        assert accuracy(*blobs) == pytest.approx(expected)


def test_outlines_that_are_nowhere_near_have_no_accuracy():
    size = (200, 200)
    mask, far = rectangle(20, 20, 60, 60, size), rectangle(120, 120, 160, 160, size)
    assert accuracy(mask, far) == 0
    # What fills the picture has no outline in it.
    assert accuracy(np.ones(size, bool), mask) == 0


def test_where_a_mask_is_in_the_picture_does_not_matter_unless_it_leaves_it():
    """The picture's border is no outline, which a window's border could be taken for."""
    size = (200, 200)
    for x, y in ((60, 60), (1, 1), (150, 150), (151, 60)):
        mask, other = (rectangle(x, y, x + side, y + side, size) for side in (40, 48))
        inner = accuracy(rectangle(60, 60, 100, 100, size), rectangle(60, 60, 108, 108, size))
        assert accuracy(mask, other) == inner
    corner, larger = rectangle(0, 0, 40, 40, size), rectangle(0, 0, 48, 48, size)
    # Two sides of each have an outline, of which only the ends on the border are near.
    assert boundary_of(corner).length == 2 * 40 - 1
    assert accuracy(corner, larger) == 0
