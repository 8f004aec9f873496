"""Which parts of a SAM-2 network a fine-tuning trains, and the small parts that it adds.

The package peft was looked at: it brings transformers and accelerate along for what torch's own
parametrizations do, and has no bottleneck adapters.
"""

from collections.abc import Iterator
from typing import Any

import torch
from sam2.modeling.backbones.hieradet import MultiScaleBlock
from sam2.modeling.memory_attention import MemoryAttentionLayer
from sam2.modeling.sam.transformer import TwoWayAttentionBlock
from sam2.modeling.sam2_base import SAM2Base
from sam2.modeling.sam2_utils import MLP
from timm.models._efficientnet_blocks import InvertedResidual
from torch import Tensor, nn
from torch.nn.utils import parametrize

from tracking.model_folders import Adaptation, Method

# With these, both train under 5 % of the network that ships.
DEFAULT_RANKS: dict[Method, int] = {
    "decoder": 0,
    "lora": 4,
    "adapter": 24,
    "full": 0,
    "first-mask": 0,
}

# What sees the picture and what is prompted; everything else decodes or remembers.
_NOT_OF_THE_DECODER = ("image_encoder.", "sam_prompt_encoder.")
# What lies between the trunk's features of a frame and the mask of a box or points in it.
_OF_THE_FIRST_MASK = (
    "image_encoder.neck.",
    "sam_prompt_encoder.",
    "sam_mask_decoder.",
    "no_mem_embed",
)
# Parts of the network whose layers are given low-rank changes.
_LOW_RANK_PARTS = ("image_encoder.", "memory_attention.", "sam_mask_decoder.")


class LowRankChange(nn.Module):
    """Adds the product of two thin matrices to a layer's weight; at first it adds nothing.

    Args:
        weight: of a linear layer or a convolution, [out, in, ...].
        rank: of the product.
    """

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        outputs, inputs = weight.shape[0], weight[0].numel()
        self.down = nn.Parameter(torch.randn(rank, inputs) / inputs**0.5)
        self.up = nn.Parameter(torch.zeros(outputs, rank))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the changed weight."""
        change = self.up @ self.down
        return weight + change.view_as(weight)


class Bottleneck(nn.Module):
    """A layer, and after it a narrow detour that adds to what it returns; at first nothing.

    Args:
        layer: returns float[..., C], or float[N, C, H, W] where `channel_axis` is 1.
        channels: C.
        width: channels of the detour.
        channel_axis: 1 or -1.
    """

    def __init__(self, layer: nn.Module, channels: int, width: int, channel_axis: int) -> None:
        super().__init__()
        self.layer = layer
        self.down = nn.Linear(channels, width)
        self.up = nn.Linear(width, channels)
        self._channel_axis = channel_axis
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return what the layer returns, changed a little."""
        output: Tensor = self.layer(inputs)
        last = output.movedim(self._channel_axis, -1)
        change: Tensor = self.up(nn.functional.relu(self.down(last)))
        return output + change.movedim(-1, self._channel_axis)


def default_adaptation(method: Method) -> Adaptation:
    """Return an adaptation of the rank that suits the network that ships."""
    return Adaptation(method=method, rank=DEFAULT_RANKS[method])


def prepare_to_adapt(network: SAM2Base, adaptation: Adaptation) -> None:
    """Add what the adaptation adds, and let only what it trains require gradients.

    Args:
        network: is changed in place; computes the same as before.
        adaptation: method and rank.
    """
    network.requires_grad_(adaptation.method == "full")
    if adaptation.method == "decoder":
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(not name.startswith(_NOT_OF_THE_DECODER))
    elif adaptation.method == "first-mask":
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(name.startswith(_OF_THE_FIRST_MASK))
    elif adaptation.method == "lora":
        for layer in list(_low_rank_layers(network)):
            change = LowRankChange(layer.weight, adaptation.rank)
            parametrize.register_parametrization(layer, "weight", change)
    elif adaptation.method == "adapter":
        for parent, name, channels, axis in list(_blocks(network)):
            layer = getattr(parent, name)
            setattr(parent, name, Bottleneck(layer, channels, adaptation.rank, axis))


def adapted_weights(network: SAM2Base) -> dict[str, Tensor]:
    """Return what the adaptation has trained, by name; nothing of what stayed as it was."""
    return {
        name: parameter.detach()
        for name, parameter in network.named_parameters()
        if parameter.requires_grad
    }


def merge_low_rank(network: SAM2Base) -> None:
    """Put low-rank changes into the weights, so that they cost nothing from here on."""
    for module in network.modules():
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)


def _low_rank_layers(network: SAM2Base) -> Iterator[nn.Linear | nn.Conv2d]:
    for name, module in network.named_modules():
        dense = isinstance(module, nn.Linear) or (
            isinstance(module, nn.Conv2d) and module.groups == 1 and module.kernel_size == (1, 1)
        )
        if dense and name.startswith(_LOW_RANK_PARTS):
            yield module


def _blocks(network: SAM2Base) -> Iterator[tuple[nn.Module, str, int, int]]:
    """Yield (parent, name, channels, channel axis) of the layers that bottlenecks follow."""
    for parent in network.modules():
        for name, block in parent.named_children():
            if isinstance(block, InvertedResidual):
                yield parent, name, block.conv_pwl.out_channels, 1
            elif isinstance(block, MultiScaleBlock):
                yield parent, name, block.dim_out, -1
            elif isinstance(block, MemoryAttentionLayer):
                yield block, "linear2", _channels_of(block.linear2), -1
            elif isinstance(block, TwoWayAttentionBlock):
                yield block, "mlp", _channels_of(block.mlp), -1


def _channels_of(layer: Any) -> int:
    """Return how many channels a linear layer, several, or one with a bottleneck gives out."""
    if isinstance(layer, Bottleneck):
        return layer.up.out_features
    last: nn.Linear = layer.layers[-1] if isinstance(layer, MLP) else layer
    return last.out_features
