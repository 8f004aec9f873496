"""A SAM-2 network whose image encoder is computed by OpenVINO."""

import torch
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor, nn

from pipeline.networks.openvino_networks import use_openvino


def encode_with_openvino(network: SAM2Base) -> None:
    """Let OpenVINO compute a network's features of pictures on the CPU from now on.

    Raises:
        UsageError: the package `openvino` is not installed, or the network is not on a CPU.
    """
    levels = _Levels(network)
    use_openvino(levels)
    place = network.image_encoder.neck.position_encoding

    def forward_image(images: Tensor) -> dict[str, Tensor | list[Tensor]]:
        maps = levels(images)["backbone_fpn"]
        return {
            "vision_features": maps[-1],
            # The same for every picture, and larger than the features: one is enough.
            "vision_pos_enc": [_laid_out_as(level, place(level[:1])) for level in maps],
            "backbone_fpn": maps,
        }

    network.forward_image = forward_image


def _laid_out_as(level: Tensor, encoding: Tensor) -> Tensor:
    """Return the encoding of a level's places with its channels beside each other, as there."""
    return encoding.to(level.dtype).contiguous(memory_format=torch.channels_last)


class _Levels(nn.Module):
    """The feature maps that a network makes of pictures."""

    def __init__(self, network: SAM2Base) -> None:
        super().__init__()
        self.network = network
        self._forward_image = network.forward_image

    def forward(self, images: Tensor) -> dict[str, list[Tensor]]:
        return {"backbone_fpn": self._forward_image(images)["backbone_fpn"]}
