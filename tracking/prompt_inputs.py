"""Prompts as a SAM-2 network takes them."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.networks.devices import moved
from pipeline.records import Prompt


def require_mask_of(prompt: Prompt, frame_size: tuple[int, int]) -> None:
    """Check that a prompt's mask, if it has one, is of a frame's (height, width).

    It would be stretched to the network's input without a word, and be elsewhere.

    Raises:
        ValueError: it is of another size.
    """
    if prompt.mask is not None and prompt.mask.shape != frame_size:
        (height, width), (own_height, own_width) = frame_size, prompt.mask.shape
        raise ValueError(
            f"the mask that prompts track {prompt.track_id} is {own_width}x{own_height}, frame "
            f"{prompt.frame_index} is {width}x{height}; give the mask at the frame's size"
        )


def mask_input(prompt: Prompt, size: int, device: torch.device) -> Tensor:
    """Return the mask of a prompt as float32[1, size, size] of 0 and 1."""
    # Numbers are made of it on the device: as bytes a fourth has to be moved.
    mask = moved(torch.from_numpy(np.ascontiguousarray(prompt.mask)), device).float()[None, None]
    if mask.shape[-2:] != (size, size):
        mask = F.interpolate(
            mask, (size, size), mode="bilinear", align_corners=False, antialias=True
        )
    return (mask[0] >= 0.5).float()


def point_inputs(
    prompt: Prompt, frame_size: tuple[int, int], size: int, device: torch.device
) -> dict[str, Tensor]:
    """Return the box or points of a prompt in the pixels of the network's input.

    Args:
        prompt: has a box or points.
        frame_size: height and width of the video.
        size: side of the network's input.
        device: where the network runs.
    """
    if prompt.box is not None:
        points = np.asarray(prompt.box, np.float32).reshape(2, 2)
        labels = np.array([2, 3], np.int32)
    else:
        given = np.asarray(prompt.points, np.float32)
        points, labels = given[:, :2], given[:, 2].astype(np.int32)
    height, width = frame_size
    scale = size / np.array([width, height], np.float32)
    return {
        "point_coords": torch.from_numpy(points * scale)[None].float().to(device),
        "point_labels": torch.from_numpy(labels)[None].to(device),
    }
