"""Prompts to train with: true masks, masks as rough as a detector's, boxes and points."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Most often as many as `--prompt-kind points` makes of a mask.
_POINT_COUNTS = (1, 3, 5, 5)
# How far the sides of a box are off, in the object's sides: some people draw carefully.
_BOX_ERRORS = (0.0, 0.015, 0.04)


def degrade_mask(random: np.random.Generator, mask: NDArray[np.float32]) -> NDArray[np.float32]:
    """Make a mask as rough as a detector's: coarse grid in its box, grown, shrunk or shifted.

    Args:
        random: source of randomness.
        mask: float32[S, S], 0 or 1.

    Returns:
        float32[S, S], 0 or 1; never empty where the mask is not.
    """
    size = mask.shape[0]
    ys, xs = np.nonzero(mask)
    if len(xs) < 16:
        return mask
    y0, y1, x0, x1 = ys.min(), ys.max() + 1, xs.min(), xs.max() + 1
    grid = int(random.choice([14, 28, 28, 56]))
    shrunk = cv2.resize(mask[y0:y1, x0:x1], (grid, grid), interpolation=cv2.INTER_AREA)
    coarse = np.asarray(shrunk + random.normal(0, 0.12, shrunk.shape), np.float32)
    shift = random.integers(-2, 3, 2)
    rough = np.zeros_like(mask)
    box = cv2.resize(coarse, (int(x1 - x0), int(y1 - y0)), interpolation=cv2.INTER_LINEAR)
    rough[y0:y1, x0:x1] = box
    rough = np.roll(rough, shift, (0, 1))
    reach = int(random.integers(0, max(size // 80, 2)))
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    change = cv2.dilate if random.random() < 0.5 else cv2.erode
    changed = (np.asarray(change(rough, kernel)) > 0.5).astype(np.float32)
    return changed if changed.any() else mask


def make_prompts(
    random: np.random.Generator, targets: Tensor, kind: str | None
) -> dict[str, dict[str, Tensor] | Tensor | None]:
    """Make prompts of one kind for a frame.

    Args:
        random: source of randomness.
        targets: float32[B, S, S], true masks, none of them empty.
        kind: mask, rough-mask, box or points; None for no prompt.

    Returns:
        The arguments `point_inputs` and `mask_inputs` of SAM-2's `track_step`.
    """
    if kind is None:
        return {"point_inputs": None, "mask_inputs": None}
    masks = targets.numpy()
    if kind == "mask":
        return {"point_inputs": None, "mask_inputs": targets[:, None]}
    if kind == "rough-mask":
        rough = np.stack([degrade_mask(random, mask) for mask in masks])
        return {"point_inputs": None, "mask_inputs": torch.from_numpy(rough)[:, None]}
    if kind == "box":
        places = [_box_corners(random, mask) for mask in masks]
    else:
        count = int(random.choice(_POINT_COUNTS))
        places = [_inner_points(random, mask, count) for mask in masks]
    coordinates = np.stack(places).astype(np.float32)
    labels = np.array([[2, 3]] if kind == "box" else [[1] * coordinates.shape[1]], np.int32)
    return {
        "point_inputs": {
            "point_coords": torch.from_numpy(coordinates),
            "point_labels": torch.from_numpy(np.repeat(labels, len(masks), 0)),
        },
        "mask_inputs": None,
    }


def _box_corners(random: np.random.Generator, mask: NDArray[np.float32]) -> NDArray[np.float64]:
    ys, xs = np.nonzero(mask)
    box = np.array([[xs.min(), ys.min()], [xs.max() + 1, ys.max() + 1]], np.float64)
    error = float(random.choice(_BOX_ERRORS))
    jitter = random.normal(0, error, (2, 2)) * np.maximum(box[1] - box[0], 4)
    return np.asarray(box + jitter, np.float64)


def _inner_points(
    random: np.random.Generator, mask: NDArray[np.float32], count: int
) -> NDArray[np.float64]:
    ys, xs = np.nonzero(mask)
    chosen = random.integers(0, len(xs), count)
    return np.stack([xs[chosen], ys[chosen]], 1).astype(np.float64) + 0.5
