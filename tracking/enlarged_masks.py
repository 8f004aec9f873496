"""Masks at the video's size from the network's coarse logits."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


def enlarged_masks(logits: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Enlarge the logits of all tracks bilinearly and give each pixel to the highest above 0.

    Only where a track can be above 0 are its logits enlarged, which at 1080p is a small part of
    the picture for most. It is done with the processor, since coarse logits are a hundredth of
    what masks at the video's size would be to fetch from a GPU.

    Args:
        logits: float32[M, h, w], masks before the sigmoid.
        size: height and width of the video in pixels.

    Returns:
        bool[M, H, W], pairwise disjoint; of equal logits the first track has the pixel.
    """
    height, width = size
    rows = _interpolation(logits.shape[1], height)
    columns = _interpolation(logits.shape[2], width)
    masks = np.zeros((len(logits), height, width), np.bool_)
    best = np.zeros(size, np.float32)
    winner = np.full(size, -1, np.int16)
    windows = [_window(track > 0, rows, columns) for track in logits]
    for number, (track, window) in enumerate(zip(logits, windows, strict=True)):
        part = rows[window[0]] @ track @ columns[window[1]].T
        wins = part > best[window]
        best[window][wins] = part[wins]
        winner[window][wins] = number
    for number, window in enumerate(windows):
        masks[number][window] = winner[window] == number
    return masks


def _window(
    positive: NDArray[np.bool_], rows: NDArray[np.float32], columns: NDArray[np.float32]
) -> tuple[slice, slice]:
    """Return the part of the enlarged picture that has a share of a positive coarse pixel."""
    in_rows, in_columns = np.any(positive, axis=1), np.any(positive, axis=0)
    return _reach(np.asarray(in_rows), rows), _reach(np.asarray(in_columns), columns)


def _reach(coarse: NDArray[np.bool_], weights: NDArray[np.float32]) -> slice:
    fine = np.flatnonzero(weights[:, coarse].any(1))
    return slice(int(fine[0]), int(fine[-1]) + 1) if len(fine) else slice(0, 0)


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
