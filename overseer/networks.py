"""torchvision's Mask R-CNN networks, from a small and fast one to the published ones."""

import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torchvision.models import get_model
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import (
    FastRCNNConvFCHead,
    FastRCNNPredictor,
    TwoMLPHead,
)
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool
from torchvision.ops.misc import FrozenBatchNorm2d

from overseer.losses import IgnoringProposals
from pipeline.backbones import EFFICIENTNET_LITE0_CHANNELS, EfficientNetLite0
from pipeline.errors import ModelError

BACKBONES = ("efficientnet_lite0", "resnet18", "resnet34", "resnet50", "resnet50_v2")
_ASPECT_RATIOS = (0.5, 1.0, 2.0)
_LEVELS = 5
# Names before torchvision 0.12, which its COCO checkpoint of 2019 still has.
_OLD_NAMES = (
    (r"(fpn\.(?:inner|layer)_blocks\.\d)\.(weight|bias)", r"\1.0.\2"),
    (r"(rpn\.head\.conv)\.(weight|bias)", r"\1.0.0.\2"),
    (r"mask_head\.mask_fcn1\.", "mask_head.0.0."),
    (r"mask_head\.mask_fcn2\.", "mask_head.1.0."),
    (r"mask_head\.mask_fcn3\.", "mask_head.2.0."),
    (r"mask_head\.mask_fcn4\.", "mask_head.3.0."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OverseerConfig:
    """What a Mask R-CNN overseer is built from.

    Attributes:
        backbone: one of `BACKBONES`, each with a feature pyramid; resnet50_v2 is torchvision's
            R50-FPN-v2, with deeper heads that are normalised (Li et al., arXiv 2111.11429).
        image_size: longer side of the network's input in pixels.
        aspect: a frame is shrunk in proportion, or squeezed into a square.
        channels: of the feature pyramid and the heads; the published networks have 256.
        mask_channels: of the layer before the masks; None for as many as `channels`.
        smallest_anchor: side of the smallest anchor boxes in pixels; each level doubles it.
        proposals: kept for each image; torchvision's default of 1000 costs five times as
            much on a CPU and finds hardly more in scenes of a dozen objects.
        detections: at most this many for each image.
        score_threshold: detections below it are dropped, 0..1.
    """

    backbone: str = "efficientnet_lite0"
    image_size: int = 320
    aspect: Literal["kept", "square"] = "kept"
    channels: int = 128
    mask_channels: int | None = None
    smallest_anchor: int = 16
    proposals: int = 100
    detections: int = 24
    score_threshold: float = 0.3


def training_config(backbone: str) -> OverseerConfig:
    """Return the network that is trained for a backbone.

    A ResNet has the sizes of torchvision's published networks, so that it can start from them.
    """
    channels = 128 if backbone == "efficientnet_lite0" else 256
    return OverseerConfig(backbone=backbone, channels=channels)


def build_network(config: OverseerConfig, class_count: int) -> MaskRCNN:
    """Build a Mask R-CNN (He et al., arXiv 1703.06870) with random weights.

    Args:
        config: sizes and limits.
        class_count: foreground classes; the network adds the background.

    Raises:
        ModelError: the backbone is not known.
    """
    channels, hidden = config.channels, 4 * config.channels
    sizes = tuple((config.smallest_anchor * 2**level,) for level in range(_LEVELS))
    normalised = config.backbone == "resnet50_v2"
    network = MaskRCNN(
        _build_backbone(config),
        min_size=config.image_size if config.aspect == "square" else int(0.75 * config.image_size),
        max_size=config.image_size,
        rpn_anchor_generator=AnchorGenerator(sizes, (_ASPECT_RATIOS,) * _LEVELS),
        rpn_head=RPNHead(channels, len(_ASPECT_RATIOS), conv_depth=2 if normalised else 1),
        rpn_pre_nms_top_n_train=600,
        rpn_post_nms_top_n_train=300,
        rpn_pre_nms_top_n_test=min(3 * config.proposals, 1000),
        rpn_post_nms_top_n_test=config.proposals,
        rpn_batch_size_per_image=128,
        box_head=_box_head(channels, hidden, normalised=normalised),
        box_predictor=FastRCNNPredictor(hidden, class_count + 1),
        box_batch_size_per_image=64,
        box_detections_per_img=config.detections,
        box_score_thresh=config.score_threshold,
        mask_head=MaskRCNNHeads(
            channels, (channels,) * 4, 1, norm_layer=nn.BatchNorm2d if normalised else None
        ),
        mask_predictor=MaskRCNNPredictor(
            channels, config.mask_channels or channels, class_count + 1
        ),
    )
    network.rpn = IgnoringProposals(network.rpn)
    return network


def _box_head(channels: int, hidden: int, *, normalised: bool) -> nn.Module:
    head: nn.Module = (
        FastRCNNConvFCHead((channels, 7, 7), [channels] * 4, [hidden], norm_layer=nn.BatchNorm2d)
        if normalised
        else TwoMLPHead(channels * 49, hidden)
    )
    return head


def _build_backbone(config: OverseerConfig) -> nn.Module:
    if config.backbone == "efficientnet_lite0":
        return _LitePyramid(config.channels)
    if config.backbone not in BACKBONES:
        raise ModelError(
            f"unknown backbone {config.backbone}; choose one of {', '.join(BACKBONES)}"
        )
    normalised = config.backbone == "resnet50_v2"
    body = get_model(
        config.backbone.removesuffix("_v2"),
        weights=None,
        norm_layer=nn.BatchNorm2d if normalised else FrozenBatchNorm2d,
    )
    layers = {f"layer{level}": str(level - 1) for level in range(1, 5)}
    widths = [body.inplanes // 8 * 2**level for level in range(4)]
    backbone: nn.Module = BackboneWithFPN(
        body, layers, widths, config.channels, norm_layer=nn.BatchNorm2d if normalised else None
    )
    return backbone


def torchvision_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give the tensors of one of torchvision's checkpoints the names that they have here.

    Those of a classifier become the backbone's; older names of a Mask R-CNN's become today's.
    """
    if "conv1.weight" in state:
        return {f"backbone.body.{name}": value for name, value in state.items()}
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        current = name
        for pattern, replacement in _OLD_NAMES:
            current = re.sub(pattern, replacement, current)
        renamed[current] = value
    return renamed


def is_counter(name: str) -> bool:
    """Return whether a tensor only counts the batches that a batch norm has seen."""
    return name.endswith("num_batches_tracked")


class _LitePyramid(nn.Module):
    """EfficientNet-Lite0 under a feature pyramid, as torchvision's detectors want it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = EfficientNetLite0()
        self.fpn = FeaturePyramidNetwork(
            list(EFFICIENTNET_LITE0_CHANNELS), channels, extra_blocks=LastLevelMaxPool()
        )
        self.out_channels = channels

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = OrderedDict(
            (str(level), values) for level, values in enumerate(self.body(images))
        )
        pyramid: dict[str, Tensor] = self.fpn(features)
        return pyramid
