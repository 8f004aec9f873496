"""Outlines as signed distances, and what lies half-way between two of them."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.masks import boxes_of_masks

# Outlines farther apart than this, as a share of the picture's diagonal, are no longer averaged
# by how far: a part that one mask has and the other lacks counts the same, however large.
_FARTHEST_SHARE = 0.022
_BINOMIAL = np.array([0.25, 0.5, 0.25])


def signed_distance(mask: NDArray[np.bool_], farthest: float) -> NDArray[np.float32]:
    """Return how far inside a mask bool[H, W] each pixel lies, negative outside, float32[H, W].

    Args:
        mask: bool[H, W].
        farthest: distances are clipped here, in pixels; 0 is on the outline.
    """
    result = np.full(mask.shape, -farthest, np.float32)
    if not mask.any():
        return result
    left, top, right, bottom = boxes_of_masks(mask[None])[0].astype(int)
    # Farther away than this from the mask, all is the same.
    margin = math.ceil(farthest) + 1
    rows = slice(max(top - margin, 0), bottom + margin)
    columns = slice(max(left - margin, 0), right + margin)
    inside = mask[rows, columns].astype(np.uint8)
    # Pixel centres lie half a pixel from the outline, on either side.
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_5) - 0.5
    gap = cv2.distanceTransform(1 - inside, cv2.DIST_L2, cv2.DIST_MASK_5) - 0.5
    distance = np.where(inside, np.asarray(depth), -np.asarray(gap))
    result[rows, columns] = distance.clip(-farthest, farthest)
    return result


def smoothed(distance: NDArray[np.float32]) -> NDArray[np.float32]:
    """Take the steps of the pixels out of signed distances float32[H, W] that are to be enlarged.

    Of true masks at 1080p that were shrunk to 480 pixels and are enlarged again, the mean IoU with
    what they were rises from 0.988 to 0.992.
    """
    return np.asarray(cv2.sepFilter2D(distance, -1, _BINOMIAL, _BINOMIAL), np.float32)


def midway_mask(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the mask bool[H, W] whose outline lies half-way between those of two.

    Where one of them is empty, or they have nothing in common, there is no half-way: the result
    may be empty too.

    Args:
        first: bool[H, W].
        second: bool[H, W].
    """
    farthest = _FARTHEST_SHARE * math.hypot(*first.shape)
    distance = signed_distance(first, farthest) + signed_distance(second, farthest)
    return np.asarray(distance > 0, np.bool_)
