"""Coarse logits at the video's size, against torch."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.enlarged_masks import enlarged_masks


def by_torch(logits, size):
    """Enlarge everything, then let the highest above 0 win; returns also the enlarged logits."""
    enlarged = torch.nn.functional.interpolate(
        torch.from_numpy(logits)[None], size, mode="bilinear", align_corners=False
    )[0].numpy()
    best = enlarged.argmax(0)
    masks = (best[None] == np.arange(len(logits))[:, None, None]) & (enlarged.max(0) > 0)
    return masks, enlarged


@given(
    st.integers(0, 10_000),
    st.integers(1, 5),
    st.sampled_from([(33, 57), (16, 16), (7, 90), (108, 192)]),
)
def test_is_what_torch_gives(seed, tracks, size):
    random = np.random.default_rng(seed)
    coarse = random.normal(-1, 2, (tracks, 16, 16)).astype(np.float32)
    expected, enlarged = by_torch(coarse, size)
    found = enlarged_masks(coarse, size)
    # Where two logits, or one and 0, are as good as equal, rounding may decide.
    values = np.sort(np.concatenate([enlarged, np.zeros((1, *size))]), 0)
    clear = values[-1] - values[-2] > 1e-4
    assert np.array_equal(found[:, clear], expected[:, clear])
    assert (found.sum(0) <= 1).all()


def test_the_first_of_equal_tracks_has_the_pixels():
    logits = np.ones((2, 4, 4), np.float32)
    first, second = enlarged_masks(logits, (8, 8))
    assert first.all()
    assert not second.any()


def test_a_track_without_a_positive_logit_is_empty():
    logits = np.stack([np.full((4, 4), -3, np.float32), np.eye(4, dtype=np.float32)])
    nothing, something = enlarged_masks(logits, (9, 9))
    assert not nothing.any()
    assert something.any()
