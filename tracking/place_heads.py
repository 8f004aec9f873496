"""What a SAM-2 network answers to a box or points."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor

from pipeline.records import Prompt
from tracking.frame_features import FrameFeatures
from tracking.prompt_inputs import point_inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceAnswer:
    """The answer to one prompt.

    Attributes:
        logits: float32[1, 1, h, w], the best mask before the sigmoid.
        quality: its predicted IoU, 0..1.
        pointers: float32[1, C], the object's pointer.
        presence: float32[1, 1], logit of the object being there.
    """

    logits: Tensor
    quality: float
    pointers: Tensor
    presence: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedMasks:
    """The masks that a network offers for one prompt, of which one is meant.

    Attributes:
        logits: float32[M, h, w], before the sigmoid.
        quality: float32[M], their predicted IoUs, 0..1.
    """

    logits: NDArray[np.float32]
    quality: NDArray[np.float32]


def without_memory(network: SAM2Base, features: FrameFeatures) -> Tensor:
    """Return the features float32[1, C, h, w] of a frame on which nothing is remembered yet."""
    conditioned: Tensor = features.coarse(1) + network.no_mem_embed.view(1, -1, 1, 1)
    return conditioned


def place_heads(
    network: SAM2Base,
    prompt: Prompt,
    frame_size: tuple[int, int],
    conditioned: Tensor,
    features: FrameFeatures,
    *,
    is_new: bool,
) -> PlaceAnswer:
    """Ask the mask decoder for the object of a box or points.

    Args:
        network: a SAM-2 network.
        prompt: has a box or points.
        frame_size: height and width of the picture that the prompt is in.
        conditioned: features float32[1, C, h, w], with what is remembered or without.
        features: of the picture.
        is_new: whether nothing is remembered of the object yet.
    """
    heads = _decode(network, prompt, frame_size, conditioned, features, is_new=is_new)
    _, _, ious, low_res, _, pointers, presence = heads
    return PlaceAnswer(
        logits=low_res,
        quality=float(ious.amax().clamp(0, 1)),
        pointers=pointers,
        presence=presence,
    )


def offered_masks(
    network: SAM2Base, prompt: Prompt, frame_size: tuple[int, int], features: FrameFeatures
) -> OfferedMasks:
    """Ask the mask decoder for all that a box or points may mean, of an object yet unknown.

    Args:
        network: a SAM-2 network.
        prompt: has a box or points.
        frame_size: height and width of the picture that the prompt is in.
        features: of the picture.
    """
    conditioned = without_memory(network, features)
    heads = _decode(network, prompt, frame_size, conditioned, features, is_new=True)
    logits, _, ious, *_ = heads
    return OfferedMasks(
        logits=logits[0].float().cpu().numpy(), quality=ious[0].float().clamp(0, 1).cpu().numpy()
    )


def _decode(
    network: SAM2Base,
    prompt: Prompt,
    frame_size: tuple[int, int],
    conditioned: Tensor,
    features: FrameFeatures,
    *,
    is_new: bool,
) -> tuple[Tensor, ...]:
    inputs = point_inputs(prompt, frame_size, network.image_size, conditioned.device)
    heads: tuple[Tensor, ...] = network._forward_sam_heads(
        backbone_features=conditioned,
        point_inputs=inputs,
        high_res_features=features.high_resolution(1),
        multimask_output=network._use_multimask(is_new, inputs),
    )
    return heads
