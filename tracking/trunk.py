"""The image encoder's trunk of Scopeline's small SAM-2."""

from torch import Tensor, nn

from pipeline.networks.backbones import EFFICIENTNET_LITE0_CHANNELS, EfficientNetLite0


class EfficientNetLite0Trunk(nn.Module):
    """EfficientNet-Lite0 in the place where SAM-2 has its Hiera trunk.

    Attributes:
        channel_list: channels of the feature maps, coarsest first, as `FpnNeck` wants them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.backbone = EfficientNetLite0()
        self.channel_list = list(reversed(EFFICIENTNET_LITE0_CHANNELS))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return feature maps of strides 4, 8, 16 and 32 for images float[N, 3, H, W]."""
        features: list[Tensor] = self.backbone(images)
        return features
