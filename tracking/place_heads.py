"""What a SAM-2 network answers to a box or points."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor

from pipeline.networks.devices import Precision
from pipeline.records import Prompt
from tracking.frame_features import FrameFeatures, OfferedMasks, PictureEncoder
from tracking.prompt_inputs import point_inputs
from tracking.sam2_internals import decode_prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceAnswer:
    """The answer to one prompt.

    Attributes:
        logits: float32[1, 1, h, w], the best mask before the sigmoid.
        pointers: float32[1, C], the object's pointer.
        presence: float32[1, 1], logit of the object being there.
        all_logits: float32[1, M, h, w], all masks that the network offers.
        all_ious: float32[1, M], their predicted IoUs.
    """

    logits: Tensor
    pointers: Tensor
    presence: Tensor
    all_logits: Tensor
    all_ious: Tensor

    @property
    def quality(self) -> Tensor:
        """The best mask's predicted IoU, float32[1], 0..1."""
        return self.all_ious.amax(1).clamp(0, 1)

    def offered(self) -> OfferedMasks:
        """Return all masks that the network offers."""
        return OfferedMasks(
            logits=self.all_logits[0].float().cpu().numpy(),
            quality=self.all_ious[0].float().clamp(0, 1).cpu().numpy(),
        )


class FirstMasks:
    """Answers boxes and points in pictures of their own; nothing is remembered.

    Args:
        network: a SAM-2 network.
        device: where it is.
        precision: of its image encoder; the answer is computed in float32.
    """

    def __init__(self, network: SAM2Base, device: torch.device, precision: Precision) -> None:
        self._network = network.eval().to(device)
        self._encoder = PictureEncoder(self._network, device, precision)

    @torch.inference_mode()
    def answer(self, image: NDArray[np.uint8], prompt: Prompt) -> OfferedMasks:
        """Return the masks of what a box or points in a picture uint8[H, W, 3], RGB, mean."""
        (features,) = self._encoder.encode(image[None])
        size = (image.shape[0], image.shape[1])
        conditioned = without_memory(self._network, features)
        heads = place_heads(self._network, prompt, size, conditioned, features, is_new=True)
        return heads.offered()


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
    inputs = point_inputs(prompt, frame_size, network.image_size, conditioned.device)
    decoded = decode_prompt(
        network, conditioned, features.high_resolution(1), inputs, is_new=is_new
    )
    return PlaceAnswer(
        logits=decoded.logits,
        pointers=decoded.pointers,
        presence=decoded.presence,
        all_logits=decoded.offered,
        all_ious=decoded.ious,
    )
