"""Mask R-CNN's losses on labelled frames, without what the labels leave open."""

from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.roi_heads import (
    RoIHeads,
    fastrcnn_loss,
    project_masks_on_boxes,
)
from torchvision.models.detection.rpn import RegionProposalNetwork
from torchvision.ops import box_iou

from overseer.details import HeadsWithDetails

Target = dict[str, Tensor]

# A box of which more than this share is ignored teaches nothing of the background, as in
# MMDetection (`ignore_iof_thr`, arXiv 1906.07155).
_MOST_IGNORED = 0.5
_SAME_OBJECT_IOU = 0.5


class IgnoringProposals(RegionProposalNetwork):
    """A region proposal network that ignored regions do not teach.

    Args:
        original: the network whose parts and settings are taken over.
    """

    def __init__(self, original: RegionProposalNetwork) -> None:
        matcher, sampler = original.proposal_matcher, original.fg_bg_sampler
        super().__init__(
            original.anchor_generator,
            original.head,
            matcher.high_threshold,
            matcher.low_threshold,
            sampler.batch_size_per_image,
            sampler.positive_fraction,
            original._pre_nms_top_n,
            original._post_nms_top_n,
            original.nms_thresh,
            original.score_thresh,
        )

    def assign_targets_to_anchors(
        self, anchors: list[Tensor], targets: list[Target]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Match anchors with objects; one that would be background in an ignored region is none."""
        labels, boxes = super().assign_targets_to_anchors(anchors, targets)
        for of_anchor, around, target in zip(labels, anchors, targets, strict=True):
            is_background = of_anchor == 0
            of_anchor[is_background & mostly_ignored(around, target["ignored"])] = -1
        return labels, boxes


def mask_rcnn_losses(
    network: MaskRCNN, images: list[Tensor], targets: list[Target]
) -> dict[str, Tensor]:
    """Compute the losses of a Mask R-CNN whose proposals come from `IgnoringProposals`.

    Where nothing is ignored they are torchvision's own; details, where there are any, add theirs.

    Args:
        network: in training mode.
        images: float32[3, H, W] each, RGB, 0..1.
        targets: for each image `boxes` float32[D, 4] xyxy in pixels, `labels` int64[D],
            `masks` uint8[D, H, W] and `ignored` bool[H, W].

    Returns:
        Scalars by name.
    """
    batch, resized = network.transform(images, targets)
    for target, size in zip(resized, batch.image_sizes, strict=True):
        target["ignored"] = resize_region(target["ignored"], size)
    features = network.backbone(batch.tensors)
    proposals, losses = network.rpn(batch, features, resized)
    proposals = [
        boxes[without_ignored(boxes, target["boxes"], target["ignored"])]
        for boxes, target in zip(proposals, resized, strict=True)
    ]
    named: dict[str, Tensor] = losses
    seen = (features, proposals, batch.image_sizes, resized)
    if isinstance(network.roi_heads, HeadsWithDetails):
        examples = network.roi_heads.examples(*seen)
        named = named | {"loss_details": network.roi_heads.details.loss(examples)}
    return named | _head_losses(network.roi_heads, *seen)


def _head_losses(
    heads: RoIHeads,
    features: dict[str, Tensor],
    proposals: list[Tensor],
    image_sizes: list[tuple[int, int]],
    targets: list[Target],
) -> dict[str, Tensor]:
    proposals, matched, labels, regression = heads.select_training_samples(proposals, targets)
    scores, deltas = heads.box_predictor(
        heads.box_head(heads.box_roi_pool(features, proposals, image_sizes))
    )
    classifier_loss, box_loss = fastrcnn_loss(scores, deltas, labels, regression)
    shown = [of_image > 0 for of_image in labels]
    boxes = [of_image[kept] for of_image, kept in zip(proposals, shown, strict=True)]
    objects = [of_image[kept] for of_image, kept in zip(matched, shown, strict=True)]
    logits = heads.mask_predictor(
        heads.mask_head(heads.mask_roi_pool(features, boxes, image_sizes))
    )
    return {
        "loss_classifier": classifier_loss,
        "loss_box_reg": box_loss,
        "loss_mask": _mask_loss(logits, boxes, objects, targets),
    }


def _mask_loss(
    logits: Tensor, boxes: list[Tensor], objects: list[Tensor], targets: list[Target]
) -> Tensor:
    """Return the mean binary cross-entropy over the pixels of the boxes that count."""
    side = logits.shape[-1]
    truth: list[Tensor] = []
    weights: list[Tensor] = []
    classes: list[Tensor] = []
    for around, numbers, target in zip(boxes, objects, targets, strict=True):
        truth.append(project_masks_on_boxes(target["masks"], around, numbers, side))
        ignored = target["ignored"][None].to(torch.uint8)
        first = torch.zeros_like(numbers)
        # A cell counts only if no part of it is ignored.
        weights.append((project_masks_on_boxes(ignored, around, first, side) == 0).float())
        classes.append(target["labels"][numbers])
    chosen = torch.cat(classes)
    of_class = logits[torch.arange(len(chosen), device=logits.device), chosen]
    weight = torch.cat(weights)
    losses = nn.functional.binary_cross_entropy_with_logits(
        of_class, torch.cat(truth).to(of_class), reduction="none"
    )
    return (losses * weight).sum() / weight.sum().clamp(min=1)


def without_ignored(boxes: Tensor, objects: Tensor, ignored: Tensor) -> Tensor:
    """Return which boxes may teach: not those in ignored regions that are on no labelled object.

    Args:
        boxes: float32[N, 4], xyxy in pixels.
        objects: float32[D, 4], the boxes of the labelled objects.
        ignored: bool[H, W].

    Returns:
        bool[N].
    """
    on_object = torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    if len(objects):
        on_object = box_iou(boxes, objects).amax(1) >= _SAME_OBJECT_IOU
    return on_object | ~mostly_ignored(boxes, ignored)


def mostly_ignored(boxes: Tensor, ignored: Tensor) -> Tensor:
    """Return bool[N]: whether most of each box xyxy float32[N, 4] lies in bool[H, W]."""
    height, width = ignored.shape
    sums = nn.functional.pad(ignored.to(torch.int64).cumsum(0).cumsum(1), (1, 0, 1, 0))
    corners = boxes.round().long()
    x0, x1 = corners[:, 0].clamp(0, width), corners[:, 2].clamp(0, width)
    y0, y1 = corners[:, 1].clamp(0, height), corners[:, 3].clamp(0, height)
    inside = sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]
    return inside > _MOST_IGNORED * ((x1 - x0) * (y1 - y0)).clamp(min=1)


def resize_region(region: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring a region bool[H, W] to another (height, width)."""
    planes: Any = region[None, None].float()
    return nn.functional.interpolate(planes, size)[0, 0] > 0.5
