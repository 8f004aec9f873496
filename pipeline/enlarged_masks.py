"""Masks at the video's size from the network's coarse logits."""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

# Of so many rows the enlarged logits of a dozen tracks stay in a processor's cache at 1080p.
_STRIP_ROWS = 32
# What is above 0; anything smaller may be taken for 0 where processors flush it.
_LEAST_LOGIT = np.finfo(np.float32).tiny


def enlarged_masks(logits: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Enlarge the logits of all tracks bilinearly and give each pixel to the highest above 0.

    It is done strip by strip, and in each only for the tracks that can be above 0 there. It is
    done with the processor, since coarse logits are a hundredth of what masks at the video's
    size would be to fetch from a GPU.

    Args:
        logits: float32[M, h, w], masks before the sigmoid.
        size: height and width of the video in pixels.

    Returns:
        bool[M, H, W], pairwise disjoint; of equal logits the first track has the pixel.
    """
    height, width = size
    masks = np.zeros((len(logits), height, width), np.bool_)
    if logits.shape[1:] == size:
        _give_pixels(logits, masks, np.arange(len(logits)), slice(None))
        return masks
    rows = _interpolation(logits.shape[1], height)
    wide = _widened(logits, width)
    positive_rows = np.any(logits > 0, axis=2)
    for top in range(0, height, _STRIP_ROWS):
        strip = slice(top, top + _STRIP_ROWS)
        used = np.flatnonzero(rows[strip].any(0))
        coarse = slice(used[0], used[-1] + 1)
        tracks = np.flatnonzero(positive_rows[:, coarse].any(1))
        if len(tracks):
            enlarged = rows[strip, coarse] @ wide[tracks, coarse]
            _give_pixels(enlarged, masks, tracks, strip)
    return masks


def _widened(logits: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Enlarge the rows of logits float32[M, h, w]; returns float32[M, h, W]."""
    tracks, height, coarse = logits.shape
    flat = np.ascontiguousarray(logits).reshape(tracks * height, coarse)
    wide = cv2.resize(flat, (width, tracks * height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(wide, np.float32).reshape(tracks, height, width)


def _give_pixels(
    logits: NDArray[np.float32], masks: NDArray[np.bool_], tracks: NDArray[np.intp], strip: slice
) -> None:
    """Give each pixel of a strip to the track of the highest logit, float32[T, S, W], above 0."""
    best = np.maximum(logits.max(0), _LEAST_LOGIT)
    free = np.ones(best.shape, np.bool_)
    for place, track in enumerate(tracks):
        mask = masks[track, strip]
        np.greater_equal(logits[place], best, out=mask)
        mask &= free
        free ^= mask


@lru_cache(maxsize=8)
def _interpolation(coarse: int, fine: int) -> NDArray[np.float32]:
    """Return float32[fine, coarse]: the share of each coarse pixel in each fine one.

    Pixel centres are aligned and the border is repeated, as in `interpolate` of torch with
    `align_corners=False`.
    """
    places = np.clip((np.arange(fine) + 0.5) * coarse / fine - 0.5, 0, coarse - 1)
    before = np.floor(places).astype(int)
    after = np.minimum(before + 1, coarse - 1)
    weights = np.zeros((fine, coarse), np.float32)
    weights[np.arange(fine), before] += (1 - (places - before)).astype(np.float32)
    weights[np.arange(fine), after] += (places - before).astype(np.float32)
    return weights
