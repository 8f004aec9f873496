"""Masks as single polygons, for formats that know nothing else."""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

Ring = NDArray[np.int32]


def outlines(mask: NDArray[np.bool_]) -> list[Ring]:
    """Return the outlines of a mask's parts and holes, int32[P, 2] each, the longest first."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    rings = [np.asarray(ring[:, 0], np.int32) for ring in contours]
    return sorted(rings, key=len, reverse=True)


def one_polygon(rings: list[Ring]) -> Ring:
    """Tie outlines to one polygon, which holds all parts of a mask and leaves its holes out.

    The cuts between them have no width. Filled by the even-odd rule, edges included, as
    `cv2.fillPoly` does, it is the mask again, but for the pixels under a cut between two parts.

    Args:
        rings: what `outlines` returns of a mask that is not empty.

    Returns:
        int32[P, 2], x and y of pixels on the outline; three points at least.
    """
    polygon = rings[0]
    for ring in rings[1:]:
        polygon = _tie(polygon, ring)
    missing = max(3 - len(polygon), 0)
    return np.concatenate([polygon, np.repeat(polygon[-1:], missing, axis=0)])


def filled(polygon: Ring, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask bool[H, W] of a polygon, as training code fills it."""
    canvas = np.zeros(size, np.uint8)
    cv2.fillPoly(canvas, [polygon], 1)
    return canvas.astype(np.bool_)


def _tie(polygon: Ring, ring: Ring) -> Ring:
    """Insert a ring into a polygon where the two are nearest, there and back."""
    distances, places = KDTree(polygon).query(ring)
    there = int(distances.argmin())
    here = int(places[there])
    around = np.concatenate([ring[there:], ring[: there + 1]])
    return np.concatenate([polygon[: here + 1], around, polygon[here:]])
