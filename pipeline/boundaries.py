"""How well outlines of masks agree: DAVIS' boundary accuracy F (Perazzi et al., CVPR 2016)."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

# DAVIS: the boundary may be off by this share of the picture's diagonal.
_TOLERANCE = 0.008


@dataclass(frozen=True, slots=True, eq=False)
class Boundary:
    """The outline of a mask, in the window beyond which nothing is near it.

    Attributes:
        top: row of the window's first pixel.
        left: column of it.
        edge: bool[h, w], the pixels of the outline.
        near: bool[h, w], those within 0.8 % of the picture's diagonal from it.
        length: number of the outline's pixels.
    """

    top: int
    left: int
    edge: NDArray[np.bool_]
    near: NDArray[np.bool_]
    length: int


def boundary_of(mask: NDArray[np.bool_]) -> Boundary:
    """Return the outline of a mask bool[H, W]."""
    reach = int(np.ceil(_TOLERANCE * np.hypot(*mask.shape)))
    x, y, width, height = cv2.boundingRect(np.ascontiguousarray(mask).view(np.uint8))
    # An outline has the pixels to the left of a mask and above it, see `_outline`.
    top, left = max(y - 1 - reach, 0), max(x - 1 - reach, 0)
    edge = _outline(mask[top : y + height + reach, left : x + width + reach])
    away = np.arange(-reach, reach + 1) ** 2
    # Not OpenCV's ellipse, which is larger.
    disk = (away[:, None] + away <= reach**2).astype(np.uint8)
    near = np.asarray(cv2.dilate(edge.view(np.uint8), disk)).view(np.bool_)
    return Boundary(top, left, edge, near, int(np.count_nonzero(edge)))


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels bool[H, W] that differ from one to the right, below or both, as DAVIS."""
    beyond = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    right, below, both = beyond[:-1, 1:], beyond[1:, :-1], beyond[1:, 1:]
    return np.asarray((mask ^ right) | (mask ^ below) | (mask ^ both), np.bool_)


def boundary_accuracy(found: Boundary, true: Boundary) -> float:
    """Return DAVIS' boundary F of two masks of one frame, 0..1; 1 where neither has an outline."""
    if not found.length and not true.length:
        return 1.0
    if not found.length or not true.length:
        return 0.0
    precision = _count_near(found, true) / found.length
    recall = _count_near(true, found) / true.length
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _count_near(first: Boundary, second: Boundary) -> int:
    """Return how many pixels of the first outline are near the second."""
    top, left = max(first.top, second.top), max(first.left, second.left)
    edge = first.edge[top - first.top :, left - first.left :]
    near = second.near[top - second.top :, left - second.left :]
    height, width = (min(sides) for sides in zip(edge.shape, near.shape, strict=True))
    return int(np.count_nonzero(edge[:height, :width] & near[:height, :width]))
