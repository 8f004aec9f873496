"""Prompts as a SAM-2 network takes them."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.records import Prompt


def mask_input(prompt: Prompt, size: int, device: torch.device) -> Tensor:
    """Return the mask of a prompt as float32[1, size, size] of 0 and 1."""
    mask = torch.from_numpy(np.asarray(prompt.mask, np.float32)).to(device)[None, None]
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
