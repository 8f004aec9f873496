"""detectron2's Mask R-CNN behind the calls of torchvision's, so that one overseer runs either.

`overseer.detectron2_install.require_detectron2` has to be called before this module is imported.
The configuration is detectron2's `Base-RCNN-FPN.yaml` with masks, so that its COCO checkpoints fit;
sizes and limits are the overseer's.
"""

from typing import Any

import torch
from detectron2.config import CfgNode, get_cfg
from detectron2.layers.mask_ops import _do_paste_mask
from detectron2.modeling import build_model
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.modeling.proposal_generator.build import PROPOSAL_GENERATOR_REGISTRY
from detectron2.modeling.proposal_generator.rpn import RPN
from detectron2.modeling.roi_heads.mask_head import ROI_MASK_HEAD_REGISTRY, MaskRCNNConvUpsampleHead
from detectron2.modeling.roi_heads.roi_heads import ROI_HEADS_REGISTRY, StandardROIHeads
from detectron2.structures import BitMasks, Boxes, Instances
from detectron2.utils.events import EventStorage
from torch import Tensor, nn
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from overseer.losses import Target, mostly_ignored, resize_region, without_ignored

_DEPTHS = {"detectron2_resnet50": 50, "detectron2_resnet101": 101}
_LEVELS = ("p2", "p3", "p4", "p5", "p6")


@PROPOSAL_GENERATOR_REGISTRY.register()
class IgnoringRPN(RPN):
    """A region proposal network that ignored regions do not teach."""

    def label_and_sample_anchors(
        self, anchors: list[Boxes], gt_instances: list[Instances]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Label anchors; one that would be background in an ignored region is none."""
        labels, boxes = super().label_and_sample_anchors(anchors, gt_instances)
        every = Boxes.cat(anchors).tensor
        for of_anchor, instances in zip(labels, gt_instances, strict=True):
            is_background = of_anchor == 0
            of_anchor[is_background & mostly_ignored(every, _ignored(instances))] = -1
        return labels, boxes


@ROI_HEADS_REGISTRY.register()
class IgnoringROIHeads(StandardROIHeads):
    """Heads that do not see the proposals in ignored regions."""

    def label_and_sample_proposals(
        self, proposals: list[Instances], targets: list[Instances]
    ) -> list[Instances]:
        """Label proposals, without those in ignored regions that are on no labelled object."""
        kept = [
            of_image[
                without_ignored(
                    of_image.proposal_boxes.tensor, objects.gt_boxes.tensor, _ignored(objects)
                )
            ]
            for of_image, objects in zip(proposals, targets, strict=True)
        ]
        sampled: list[Instances] = super().label_and_sample_proposals(kept, targets)
        return sampled


@ROI_MASK_HEAD_REGISTRY.register()
class IgnoringMaskHead(MaskRCNNConvUpsampleHead):
    """A mask head whose loss counts only the cells of which no part is ignored."""

    def forward(self, x: Tensor, instances: list[Instances]) -> Any:
        """Return the loss in training, the instances with their masks otherwise."""
        if not self.training:
            return super().forward(x, instances)
        logits = self.layers(x)
        side = logits.shape[-1]
        shown = [of_image for of_image in instances if len(of_image)]
        if not shown:
            return {"loss_mask": logits.sum() * 0}
        classes = torch.cat([of_image.gt_classes for of_image in shown])
        truth = torch.cat([_cells(of_image, "gt_masks", side) for of_image in shown])
        ignored = torch.cat([_cells(of_image, "gt_ignored", side) for of_image in shown])
        weight = (~ignored).float()
        losses = nn.functional.binary_cross_entropy_with_logits(
            logits[torch.arange(len(classes), device=logits.device), classes],
            truth.float(),
            reduction="none",
        )
        return {"loss_mask": (losses * weight).sum() / weight.sum().clamp(min=1)}


def _cells(instances: Instances, name: str, side: int) -> Tensor:
    masks: BitMasks = instances.get(name)
    cells: Tensor = masks.crop_and_resize(instances.proposal_boxes.tensor, side)
    return cells


def _ignored(instances: Instances) -> Tensor:
    """Return the ignored region bool[H, W], which each object of an image carries."""
    regions: Tensor = instances.gt_ignored.tensor
    # A frame without objects is learned from only if nothing of it is ignored.
    return regions[0] if len(regions) else regions.new_zeros(instances.image_size)


class Detectron2MaskRCNN(nn.Module):
    """detectron2's Mask R-CNN with torchvision's inputs and outputs.

    Args:
        settings: a configuration of detectron2's.
        min_size: shorter side of the network's input in pixels.
        max_size: its longer side.
    """

    def __init__(self, settings: CfgNode, min_size: int, max_size: int) -> None:
        super().__init__()
        self.detector = build_model(settings)
        self.transform = GeneralizedRCNNTransform(min_size, max_size, [0.0] * 3, [1.0] * 3)

    @property
    def backbone(self) -> nn.Module:
        """The ResNet with its feature pyramid."""
        backbone: nn.Module = self.detector.backbone
        return backbone

    def forward(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        """Find objects.

        Args:
            images: float32[3, H, W] each, RGB, 0..1.

        Returns:
            For each image `boxes` float32[D, 4] xyxy in pixels, `labels` int64[D] from 1,
            `scores` float32[D] and `masks` float32[D, 1, H, W], the probability of each pixel.
        """
        found = self.detector.inference(self._inputs(images, None), do_postprocess=False)
        return [
            _torchvision_output(of_image, (image.shape[1], image.shape[2]))
            for of_image, image in zip(found, images, strict=True)
        ]

    def training_losses(self, images: list[Tensor], targets: list[Target]) -> dict[str, Tensor]:
        """Compute the losses; arguments and result are those of `losses.mask_rcnn_losses`."""
        # detectron2 notes statistics somewhere at each step.
        with EventStorage():
            losses: dict[str, Tensor] = self.detector(self._inputs(images, targets))
        return losses

    def _inputs(self, images: list[Tensor], targets: list[Target] | None) -> list[dict[str, Any]]:
        batch, resized = self.transform(images, targets)
        inputs: list[dict[str, Any]] = []
        for number, (height, width) in enumerate(batch.image_sizes):
            # Its networks see BGR, 0..255.
            picture = 255 * batch.tensors[number, :, :height, :width].flip(0)
            original = images[number].shape
            inputs.append({"image": picture, "height": original[1], "width": original[2]})
            if resized is not None:
                inputs[-1]["instances"] = _instances(resized[number], (height, width))
        return inputs


def _instances(target: Target, size: tuple[int, int]) -> Instances:
    ignored = resize_region(target["ignored"], size)
    instances = Instances(size)
    instances.gt_boxes = Boxes(target["boxes"])
    instances.gt_classes = target["labels"] - 1
    instances.gt_masks = BitMasks(target["masks"].bool())
    instances.gt_ignored = BitMasks(ignored.expand(len(target["labels"]), *size))
    return instances


def _torchvision_output(found: Instances, size: tuple[int, int]) -> dict[str, Tensor]:
    """Bring what was found in a picture to the picture's size, masks as probabilities."""
    # detectron2 itself would round the masks to 0 and 1.
    found.set("probabilities", found.pred_masks)
    found.remove("pred_masks")
    placed = detector_postprocess(found, *size)
    boxes = placed.pred_boxes.tensor
    masks = boxes.new_zeros(len(boxes), 1, *size)
    # One by one, each within its box: a seventh of the time of all at once, as detectron2 does too.
    for mask, probability, box in zip(masks, placed.probabilities, boxes, strict=True):
        pasted, place = _do_paste_mask(probability[None], box[None], *size, skip_empty=True)
        mask[:, *place] = pasted.to(mask.dtype)
    return {
        "boxes": boxes,
        "labels": placed.pred_classes + 1,
        "scores": placed.scores,
        "masks": masks,
    }


def detectron2_settings(
    backbone: str,
    class_count: int,
    *,
    channels: int,
    norm: str,
    smallest_anchor: int,
    proposals: int,
    detections: int,
    score_threshold: float,
) -> CfgNode:
    """Return detectron2's configuration of a Mask R-CNN with a feature pyramid.

    Args:
        backbone: detectron2_resnet50 or detectron2_resnet101.
        class_count: foreground classes.
        channels: of the feature pyramid and the heads; the published networks have 256.
        norm: of the ResNet, FrozenBN or BN.
        smallest_anchor: side of the smallest anchor boxes in pixels; each level doubles it.
        proposals: kept for each image.
        detections: at most this many for each image.
        score_threshold: detections below it are dropped, 0..1.
    """
    settings = get_cfg()
    model = settings.MODEL
    model.DEVICE, model.WEIGHTS, model.MASK_ON = "cpu", "", True
    model.META_ARCHITECTURE = "GeneralizedRCNN"
    model.BACKBONE.NAME = "build_resnet_fpn_backbone"
    model.RESNETS.DEPTH, model.RESNETS.NORM = _DEPTHS[backbone], norm
    # What is not loaded is learned: the first layers too.
    model.BACKBONE.FREEZE_AT = 0 if norm == "BN" else 2
    model.RESNETS.OUT_FEATURES = ["res2", "res3", "res4", "res5"]
    model.FPN.IN_FEATURES = ["res2", "res3", "res4", "res5"]
    model.FPN.OUT_CHANNELS = model.ROI_MASK_HEAD.CONV_DIM = channels
    model.ROI_BOX_HEAD.FC_DIM = 4 * channels
    model.ANCHOR_GENERATOR.SIZES = [[smallest_anchor * 2**level] for level in range(len(_LEVELS))]
    model.ANCHOR_GENERATOR.ASPECT_RATIOS = [[0.5, 1.0, 2.0]]
    model.PROPOSAL_GENERATOR.NAME = "IgnoringRPN"
    model.RPN.IN_FEATURES = list(_LEVELS)
    model.RPN.BATCH_SIZE_PER_IMAGE = 128
    model.RPN.PRE_NMS_TOPK_TRAIN, model.RPN.POST_NMS_TOPK_TRAIN = 600, 300
    model.RPN.PRE_NMS_TOPK_TEST = min(3 * proposals, 1000)
    model.RPN.POST_NMS_TOPK_TEST = proposals
    heads = model.ROI_HEADS
    heads.NAME, heads.IN_FEATURES = "IgnoringROIHeads", list(_LEVELS[:4])
    heads.NUM_CLASSES, heads.SCORE_THRESH_TEST = class_count, score_threshold
    heads.BATCH_SIZE_PER_IMAGE = 64
    model.ROI_BOX_HEAD.NAME, model.ROI_BOX_HEAD.NUM_FC = "FastRCNNConvFCHead", 2
    model.ROI_BOX_HEAD.POOLER_RESOLUTION = 7
    model.ROI_MASK_HEAD.NAME, model.ROI_MASK_HEAD.NUM_CONV = "IgnoringMaskHead", 4
    model.ROI_MASK_HEAD.POOLER_RESOLUTION = 14
    settings.TEST.DETECTIONS_PER_IMAGE = detections
    return settings
