"""Train the branch that reads details on boxes that the rest of the network has pooled once.

The rest stays as it is, so a box needs to be pooled but once, and a step costs no more than the
branch itself: it sees boxes of as many frames, where a step of the whole network sees those of a
few frames.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN

from overseer.losses import Target, sampled_boxes

LOOKS = 1500
"""Frames that boxes are pooled from, if the training has as many steps."""

_BOXES = 128
# Boxes that are pooled once are soon known by heart: what is less sure of them knows others better.
_LABEL_SMOOTHING = 0.1

Batch = tuple[list[Tensor], list[Target]]


class DetailTrainer:
    """Computes the loss of the classes of things on batches of boxes.

    Args:
        network: with a branch for details; in training mode, on the device where it learns.
        batch_of: draws the frames of a number, as `losses.mask_rcnn_losses` takes them.
        looks: frames to pool boxes from, each varied anew.
        seed: of the sampling.
    """

    def __init__(
        self, network: MaskRCNN, batch_of: Callable[[int], Batch], looks: int, seed: int
    ) -> None:
        self._network = network
        self._heads = network.roi_heads
        self._seed = seed
        pooled: list[tuple[Tensor, Tensor, Tensor]] = []
        seen = number = 0
        while seen < looks:
            images, targets = batch_of(number)
            with torch.no_grad():
                pooled.append(self._pooled(images, targets))
            seen, number = seen + len(images), number + 1
        parts = [torch.cat(each) for each in zip(*pooled, strict=True)]
        self._details, self._whole, self._labels = parts

    def losses_of_step(self, step: int) -> dict[str, Tensor]:
        """Return the loss for a step's boxes; 0 if the frames hold no thing."""
        predictor = self._heads.box_predictor
        if not len(self._labels):
            return {"loss_things": predictor.detail_score.weight.sum() * 0}
        random = np.random.default_rng([self._seed, step])
        rows = torch.from_numpy(random.choice(len(self._labels), _BOXES))
        rows = rows.to(self._labels.device)
        pooled = self._details[rows].float()
        pooled = pooled.flip([axis for axis in (2, 3) if random.random() < 0.5])
        details = self._heads.box_head.details(pooled)
        logits = predictor.divided(self._whole[rows], details)[:, predictor.told_apart]
        numbers = predictor.told_apart.cumsum(0) - 1
        loss = nn.functional.cross_entropy(
            logits, numbers[self._labels[rows]], label_smoothing=_LABEL_SMOOTHING
        )
        return {"loss_things": loss}

    def _pooled(self, images: list[Tensor], targets: list[Target]) -> tuple[Tensor, Tensor, Tensor]:
        """Return details in half precision, logits of the whole, and labels, of boxes on things."""
        seen = sampled_boxes(self._network, images, targets)
        predictor = self._heads.box_predictor
        shown = [predictor.told_apart[labels] for labels in seen.labels]
        boxes = [of_image[kept] for of_image, kept in zip(seen.proposals, shown, strict=True)]
        labels = [of_image[kept] for of_image, kept in zip(seen.labels, shown, strict=True)]
        features = self._heads.box_roi_pool(seen.features, boxes, seen.image_sizes)
        whole = predictor.cls_score(self._heads.box_head.of_whole(features.whole))
        return features.details.half(), whole.float(), torch.cat(labels)
