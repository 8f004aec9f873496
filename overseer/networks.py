"""Mask R-CNN networks: a small and fast one, those of the published sizes, and detectron2's."""

import re
from collections import OrderedDict
from dataclasses import replace
from typing import Any

from torch import Tensor, nn
from torchvision.models import get_model
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool
from torchvision.ops.misc import FrozenBatchNorm2d

from overseer.config import Learning, OverseerConfig
from overseer.details import Details, HeadsWithDetails
from overseer.detectron2_install import require_detectron2
from overseer.losses import IgnoringProposals, Target, mask_rcnn_losses
from overseer.model_folders import find_overseer, read_description
from overseer.pasted_masks import PastedOnProcessor
from overseer.precise_boxes import PreciseBoxPredictor, PreciseRPNHead
from pipeline.errors import ModelError
from pipeline.networks.backbones import EFFICIENTNET_LITE0_CHANNELS, EfficientNetLite0

TORCHVISION_BACKBONES = ("efficientnet_lite0", "resnet18", "resnet34", "resnet50", "resnet50_v2")
DETECTRON2_BACKBONES = ("detectron2_resnet50", "detectron2_resnet101")
# torchvision's MaskRCNN or our Detectron2MaskRCNN; neither package has types.
Network = Any
BACKBONES = TORCHVISION_BACKBONES + DETECTRON2_BACKBONES
_ASPECT_RATIOS = (0.5, 1.0, 2.0)
_LEVELS = 5
# The pictures of the theatre that it is trained on are as wide; shrunk to 320 pixels they cost a
# third less, and 5 points of mask precision on scenes that it has never seen.
_LITE_IMAGE_SIZE = 384
_RESNET_IMAGE_SIZE = 320
# What the smallest anchors are for; they grow with larger pictures, as things in those do.
_ANCHORED_IMAGE_SIZE, _SMALLEST_ANCHOR = 384, 16
_DETAIL_CHANNELS = 64
_DETECTRON2_MARK = "proposal_generator.rpn_head.conv.weight"
# Names before torchvision 0.12, which its COCO checkpoint of 2019 still has.
_OLD_NAMES = (
    (r"(fpn\.(?:inner|layer)_blocks\.\d)\.(weight|bias)", r"\1.0.\2"),
    (r"(rpn\.head\.conv)\.(weight|bias)", r"\1.0.0.\2"),
    (r"mask_head\.mask_fcn1\.", "mask_head.0.0."),
    (r"mask_head\.mask_fcn2\.", "mask_head.1.0."),
    (r"mask_head\.mask_fcn3\.", "mask_head.2.0."),
    (r"mask_head\.mask_fcn4\.", "mask_head.3.0."),
)


def training_config(
    backbone: str,
    start_from: str | None = None,
    learning: Learning = "everything",
    image_size: int | None = None,
) -> OverseerConfig:
    """Return the network that is trained for a backbone.

    A ResNet has the sizes of the published networks, so that it can start from them; if it
    starts from nothing, its batch norms learn too. Details are there to be learned, or where the
    start has learned them.

    Args:
        backbone: one of `BACKBONES`.
        start_from: whose weights it starts from, if any.
        learning: what of it learns.
        image_size: longer side of the network's input in pixels; None for that of a model folder
            to start from, or else for what the backbone usually has.

    Raises:
        ModelError: there is no such overseer to start from.
    """
    start = _description_of(start_from)
    is_lite = backbone == "efficientnet_lite0"
    usual_size = _LITE_IMAGE_SIZE if is_lite else _RESNET_IMAGE_SIZE
    size = image_size or (usual_size if start is None else start.image_size)
    anchor = max(_SMALLEST_ANCHOR, round(_SMALLEST_ANCHOR * size / _ANCHORED_IMAGE_SIZE))
    sized = OverseerConfig(backbone=backbone, image_size=size, smallest_anchor=anchor)
    if is_lite:
        known = None if start is None else start.detail_channels
        return replace(sized, detail_channels=_DETAIL_CHANNELS if learning == "details" else known)
    return replace(sized, channels=256, norm="batch" if start_from is None else "frozen")


def _description_of(start_from: str | None) -> OverseerConfig | None:
    """Return what an overseer to start from is built from; of a checkpoint that is not known."""
    folder = None if start_from is None else find_overseer(start_from)
    return read_description(folder)[0] if folder and folder.is_dir() else None


def build_network(config: OverseerConfig, class_count: int) -> Network:
    """Build a Mask R-CNN (He et al., arXiv 1703.06870) with random weights.

    Args:
        config: sizes and limits.
        class_count: foreground classes; the network adds the background.

    Raises:
        ModelError: the backbone is not known, or its backend is not installed.
    """
    if config.backbone not in BACKBONES:
        raise ModelError(
            f"unknown backbone {config.backbone}; choose one of {', '.join(BACKBONES)}"
        )
    if config.backbone in DETECTRON2_BACKBONES:
        return _build_detectron2(config, class_count)
    return _build_torchvision(config, class_count)


def backend_of(config: OverseerConfig) -> str:
    """Return whose network it is: torchvision or detectron2."""
    return "detectron2" if config.backbone in DETECTRON2_BACKBONES else "torchvision"


def backbone_of(network: Network) -> nn.Module:
    """Return what makes a network's feature pyramid, of either backend."""
    backbone: nn.Module = (network if isinstance(network, MaskRCNN) else network.detector).backbone
    return backbone


def training_losses(
    network: Network, images: list[Tensor], targets: list[Target]
) -> dict[str, Tensor]:
    """Compute the losses of a network of either backend, see `losses.mask_rcnn_losses`."""
    if isinstance(network, MaskRCNN):
        return mask_rcnn_losses(network, images, targets)
    losses: dict[str, Tensor] = network.training_losses(images, targets)
    return losses


def has_details(network: Network) -> bool:
    """Return whether a network has a branch that reads details."""
    return isinstance(network, MaskRCNN) and isinstance(network.roi_heads, HeadsWithDetails)


def _min_size(config: OverseerConfig) -> int:
    return config.image_size if config.aspect == "square" else int(0.75 * config.image_size)


def _build_detectron2(config: OverseerConfig, class_count: int) -> Network:
    require_detectron2()
    from overseer.detectron2 import Detectron2MaskRCNN, detectron2_settings

    settings = detectron2_settings(
        config.backbone,
        class_count,
        channels=config.channels,
        norm="BN" if config.norm == "batch" else "FrozenBN",
        smallest_anchor=config.smallest_anchor,
        proposals=config.proposals,
        detections=config.detections,
        score_threshold=config.score_threshold,
    )
    return Detectron2MaskRCNN(settings, _min_size(config), config.image_size)


def _build_torchvision(config: OverseerConfig, class_count: int) -> MaskRCNN:
    channels, hidden = config.channels, 4 * config.channels
    sizes = tuple((config.smallest_anchor * 2**level,) for level in range(_LEVELS))
    normalised = config.backbone == "resnet50_v2"
    network = MaskRCNN(
        _build_backbone(config),
        min_size=_min_size(config),
        max_size=config.image_size,
        rpn_anchor_generator=AnchorGenerator(sizes, (_ASPECT_RATIOS,) * _LEVELS),
        rpn_head=PreciseRPNHead(channels, len(_ASPECT_RATIOS), conv_depth=2 if normalised else 1),
        rpn_pre_nms_top_n_train=600,
        rpn_post_nms_top_n_train=300,
        rpn_pre_nms_top_n_test=min(3 * config.proposals, 1000),
        rpn_post_nms_top_n_test=config.proposals,
        rpn_batch_size_per_image=128,
        box_head=_box_head(channels, hidden, normalised=normalised),
        box_predictor=PreciseBoxPredictor(hidden, class_count + 1),
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
    brought = network.transform
    network.transform = PastedOnProcessor(
        brought.min_size, brought.max_size, brought.image_mean, brought.image_std
    )
    network.rpn = IgnoringProposals(network.rpn)
    if config.detail_channels is not None:
        details = Details(channels, config.detail_channels, class_count + 1)
        network.roi_heads = HeadsWithDetails(network.roi_heads, details)
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
    normalised = config.backbone == "resnet50_v2"
    body = get_model(
        config.backbone.removesuffix("_v2"),
        weights=None,
        norm_layer=nn.BatchNorm2d if normalised or config.norm == "batch" else FrozenBatchNorm2d,
    )
    layers = {f"layer{level}": str(level - 1) for level in range(1, 5)}
    widths = [body.inplanes // 8 * 2**level for level in range(4)]
    backbone: nn.Module = BackboneWithFPN(
        body, layers, widths, config.channels, norm_layer=nn.BatchNorm2d if normalised else None
    )
    return backbone


def own_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give the tensors of torchvision's or detectron2's checkpoints the names that they have here.

    Those of a classifier become the backbone's; older names of a Mask R-CNN's become today's.
    """
    if _DETECTRON2_MARK in state:
        return {f"detector.{name}": value for name, value in state.items()}
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
