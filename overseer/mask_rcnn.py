"""The overseer over torchvision's Mask R-CNN: build, save, load, detect in batches."""

import json
import math
import os
from collections import OrderedDict
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision.models import get_model
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool
from torchvision.ops.misc import FrozenBatchNorm2d

from overseer.losses import IgnoringProposals
from pipeline.backbones import EFFICIENTNET_LITE0_CHANNELS, EfficientNetLite0
from pipeline.errors import ModelError
from pipeline.labels import LabelSet
from pipeline.records import Detections

_WEIGHTS = "weights.safetensors"
BACKBONES = ("efficientnet_lite0", "resnet18", "resnet34", "resnet50")


@dataclass(frozen=True, slots=True, kw_only=True)
class OverseerConfig:
    """What a Mask R-CNN overseer is built from.

    Attributes:
        backbone: one of `BACKBONES`, each with a feature pyramid.
        image_size: longer side of the network's input in pixels.
        channels: of the feature pyramid and the heads.
        proposals: kept for each image; torchvision's default of 1000 costs five times as
            much on a CPU and finds hardly more in scenes of a dozen objects.
        detections: at most this many for each image.
        score_threshold: detections below it are dropped, 0..1.
    """

    backbone: str = "efficientnet_lite0"
    image_size: int = 320
    channels: int = 128
    proposals: int = 100
    detections: int = 24
    score_threshold: float = 0.3


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


def _build_backbone(config: OverseerConfig) -> nn.Module:
    if config.backbone == "efficientnet_lite0":
        return _LitePyramid(config.channels)
    if config.backbone not in BACKBONES:
        raise ModelError(
            f"unknown backbone {config.backbone}; choose one of {', '.join(BACKBONES)}"
        )
    body = get_model(config.backbone, weights=None, norm_layer=FrozenBatchNorm2d)
    layers = {f"layer{level}": str(level - 1) for level in range(1, 5)}
    widths = [body.inplanes // 8 * 2**level for level in range(4)]
    backbone: nn.Module = BackboneWithFPN(body, layers, widths, config.channels)
    return backbone


def build_network(config: OverseerConfig, class_count: int) -> MaskRCNN:
    """Build a Mask R-CNN (He et al., arXiv 1703.06870) with random weights.

    Args:
        config: sizes and limits.
        class_count: foreground classes; the network adds the background.

    Raises:
        ModelError: the backbone is not known.
    """
    channels, hidden = config.channels, 4 * config.channels
    anchors = AnchorGenerator(
        sizes=((16,), (32,), (64,), (128,), (256,)), aspect_ratios=((0.5, 1.0, 2.0),) * 5
    )
    network = MaskRCNN(
        _build_backbone(config),
        min_size=int(0.75 * config.image_size),
        max_size=config.image_size,
        rpn_anchor_generator=anchors,
        rpn_pre_nms_top_n_train=600,
        rpn_post_nms_top_n_train=300,
        rpn_pre_nms_top_n_test=3 * config.proposals,
        rpn_post_nms_top_n_test=config.proposals,
        rpn_batch_size_per_image=128,
        box_head=TwoMLPHead(channels * 49, hidden),
        box_predictor=FastRCNNPredictor(hidden, class_count + 1),
        box_batch_size_per_image=64,
        box_detections_per_img=config.detections,
        box_score_thresh=config.score_threshold,
        mask_head=MaskRCNNHeads(channels, (channels,) * 4, 1),
        mask_predictor=MaskRCNNPredictor(channels, channels, class_count + 1),
    )
    network.rpn = IgnoringProposals(network.rpn)
    return network


class MaskRCNNOverseer:
    """Looks at frames with a Mask R-CNN and says what it sees.

    Args:
        network: from `build_network`; put into evaluation mode.
        config: what it was built from.
        label_set: its foreground classes are the network's classes 1, 2, ... in order.
        device: where it runs.
    """

    def __init__(
        self, network: MaskRCNN, config: OverseerConfig, label_set: LabelSet, device: torch.device
    ) -> None:
        self.network = network.eval().to(device)
        self.config = config
        self.label_set = label_set
        self._device = device
        self._class_ids = np.array([0, *(label.id for label in label_set.foreground)])

    @torch.inference_mode()
    def detect(self, images: NDArray[np.uint8]) -> list[Detections]:
        """Find objects in a batch of frames.

        For a stuff class all detections of a frame are joined into one.

        Args:
            images: uint8[N, H, W, 3], RGB.

        Returns:
            One `Detections` for each frame, best score first.
        """
        height, width = images.shape[1:3]
        # The network works at `image_size`; a larger picture only costs time in its resizing.
        scale = min(1.0, self.config.image_size / max(height, width))
        planes = torch.from_numpy(images).to(self._device).permute(0, 3, 1, 2).float() / 255
        if scale < 1:
            size = (max(math.floor(height * scale), 1), max(math.floor(width * scale), 1))
            planes = nn.functional.interpolate(
                planes, size, mode="bilinear", align_corners=False, antialias=True
            )
        outputs = self.network(list(planes))
        return [self._to_detections(output, height, width) for output in outputs]

    def _to_detections(self, output: dict[str, Tensor], height: int, width: int) -> Detections:
        masks = output["masks"]
        if masks.shape[-2:] != (height, width) and len(masks):
            masks = nn.functional.interpolate(
                masks, (height, width), mode="bilinear", align_corners=False
            )
        found = (masks[:, 0] > 0.5).cpu().numpy() if len(masks) else np.zeros((0, height, width))
        class_ids = self._class_ids[output["labels"].cpu().numpy()].astype(np.int64)
        scores = output["scores"].cpu().numpy().astype(np.float32)
        return _join_stuff(class_ids, scores, found.astype(np.bool_), self.label_set)

    def save(self, folder: Path, card: str) -> None:
        """Write the model into a folder: weights in half precision, configuration and card.

        Args:
            folder: is made if need be; files in it are replaced.
            card: the model card, Markdown.
        """
        folder.mkdir(parents=True, exist_ok=True)
        weights = {
            name: value.half().contiguous() if value.is_floating_point() else value
            for name, value in self.network.state_dict().items()
        }
        draft = folder / f".weights-{os.getpid()}.tmp"
        save_file(weights, draft)
        draft.replace(folder / _WEIGHTS)
        document = {
            "kind": "overseer",
            "backend": "torchvision",
            "network": asdict(self.config),
            "labels": self.label_set.to_json(),
        }
        (folder / "model.json").write_text(json.dumps(document, indent=2) + "\n")
        (folder / "README.md").write_text(card)


def load_overseer(folder: Path, device: torch.device) -> MaskRCNNOverseer:
    """Load an overseer that `save` wrote.

    Raises:
        ModelError: the folder holds no overseer, or its weights have other shapes.
    """
    config, label_set = _read_description(folder)
    network = build_network(config, len(label_set.foreground))
    path = folder / _WEIGHTS
    try:
        network.load_state_dict(_read_weights(path))
    except RuntimeError as error:
        raise ModelError(
            f"{path} does not fit the network in model.json; keep the two files of one model "
            "together"
        ) from error
    return MaskRCNNOverseer(network, config, label_set, device)


def copy_weights(folder: Path, network: MaskRCNN) -> None:
    """Copy the weights of an overseer that `save` wrote into a network, to train it further.

    Weights of another shape stay what they are: those of the heads, where the classes are
    others.

    Raises:
        ModelError: the folder holds no overseer, or one with another backbone.
    """
    _read_description(folder)
    weights = _read_weights(folder / _WEIGHTS)
    own = network.state_dict()
    fitting = {
        name: value
        for name, value in weights.items()
        if name in own and value.shape == own[name].shape
    }
    if any(name.startswith("backbone.") and name not in fitting for name in own):
        raise ModelError(
            f"the overseer in {folder} has another backbone; give the same --backbone, or start "
            "from another model"
        )
    network.load_state_dict(fitting, strict=False)


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        return {name: _as_float(value) for name, value in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} cannot be read ({error}); fetch the model again") from error


def _as_float(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value


def read_label_set(folder: Path) -> LabelSet:
    """Read which classes an overseer knows, without loading its weights.

    Raises:
        ModelError: the folder holds no overseer.
    """
    return _read_description(folder)[1]


def _read_description(folder: Path) -> tuple[OverseerConfig, LabelSet]:
    path = folder / "model.json"
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError):
        raise ModelError(
            f"{folder} is not an overseer: it has no readable model.json; give a folder that "
            "`scopeline train overseer` wrote"
        ) from None
    if not isinstance(document, dict) or document.get("kind") != "overseer":
        raise ModelError(
            f"{path} does not describe an overseer; give a folder that "
            "`scopeline train overseer` wrote"
        )
    try:
        config = OverseerConfig(**document["network"])
        return config, LabelSet.from_json(document["labels"], str(path))
    except (KeyError, TypeError) as error:
        raise ModelError(
            f"{path} does not describe an overseer ({error}); "
            "train one with `scopeline train overseer`"
        ) from error


def _join_stuff(
    class_ids: NDArray[np.int64],
    scores: NDArray[np.float32],
    masks: NDArray[np.bool_],
    label_set: LabelSet,
) -> Detections:
    kept_ids: list[int] = []
    kept_scores: list[float] = []
    kept_masks: list[NDArray[np.bool_]] = []
    for class_id, score, mask in zip(class_ids, scores, masks, strict=True):
        if not mask.any():
            continue
        if label_set.is_stuff(int(class_id)) and class_id in kept_ids:
            kept_masks[kept_ids.index(class_id)] |= mask
            continue
        kept_ids.append(int(class_id))
        kept_scores.append(float(score))
        kept_masks.append(mask.copy())
    stacked = np.stack(kept_masks) if kept_masks else np.zeros((0, *masks.shape[1:]), np.bool_)
    return Detections.from_masks(
        class_ids=np.array(kept_ids, np.int64),
        scores=np.array(kept_scores, np.float32),
        masks=stacked,
    )
