"""Optical flow, and what is moved along it."""

import numpy as np

from pipeline.optical_flow import (
    Fetcher,
    FlowEstimator,
    scale_flow,
    shrunk_size,
    small_grey,
    warp,
)
from tests.conftest import rectangle

SIZE = (96, 128)


def square(left):
    return rectangle(left, 30, left + 40, 70, SIZE)


def textured(shift):
    """A grey picture with a pattern that has moved to the right by `shift` pixels."""
    pattern = np.random.default_rng(0).integers(0, 255, (24, 48)).astype(np.uint8)
    return np.kron(pattern, np.ones((4, 4), np.uint8))[:, 40 - shift : 168 - shift]


def test_the_way_leads_to_where_a_pixel_is_in_the_other_frame():
    way = FlowEstimator().between(textured(6), textured(0))
    inner = way[20:-20, 20:-20]
    assert np.allclose(np.median(inner, (0, 1)), (-6, 0), atol=0.3)


def test_masks_and_values_are_fetched_from_where_the_flow_says():
    flow = np.zeros((*SIZE, 2), np.float32)
    flow[..., 0] = -7
    assert np.array_equal(warp(square(40), flow), square(47))
    values = np.tile(np.arange(128, dtype=np.float32), (96, 1))
    assert np.array_equal(Fetcher(flow).fetch(values)[:, 7:], values[:, :-7])


def test_a_flow_grows_with_the_picture():
    flow = np.full((24, 32, 2), (1.0, 2.0), np.float32)
    grown = scale_flow(flow, (96, 64))
    assert grown.shape == (96, 64, 2)
    assert np.allclose(grown, (2.0, 8.0))


def test_large_frames_are_made_small_and_small_ones_left():
    assert shrunk_size((1080, 1920), 480) == (270, 480)
    assert shrunk_size((96, 128), 480) == (96, 128)
    assert small_grey(np.zeros((1080, 1920, 3), np.uint8), (270, 480)).shape == (270, 480)
