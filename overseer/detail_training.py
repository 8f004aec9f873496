"""Train the branch that reads details on boxes that the rest of the network has pooled once.

The rest stays as it is, so a box needs to be pooled but once, and a step costs no more than the
branch itself: it sees boxes of as many frames, where a step of the whole network sees those of a
few frames.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torchvision.models.detection import MaskRCNN

from overseer.details import DetailExamples
from overseer.losses import Target

LOOKS = 3000
"""Frames that boxes are pooled from, if the steps of a whole network would see as many."""

_BOXES = 64

Batch = tuple[list[Tensor], list[Target]]


class DetailTrainer:
    """Computes the loss of the classes of things on batches of boxes.

    Args:
        network: with a branch for details, on the device where it learns.
        batch_of: draws the frames of a number, as `losses.mask_rcnn_losses` takes them.
        looks: frames to pool boxes from, each varied anew.
        seed: of the sampling.
        on_look: is called with (frames that boxes were pooled from, all of them).
    """

    def __init__(
        self,
        network: MaskRCNN,
        batch_of: Callable[[int], Batch],
        looks: int,
        seed: int,
        on_look: Callable[[int, int], None],
    ) -> None:
        self._network = network
        self._details = network.roi_heads.details
        self._seed = seed
        network.eval()
        pooled: list[DetailExamples] = []
        seen = number = 0
        while seen < looks:
            images, targets = batch_of(number)
            pooled.append(self._pooled(images, targets))
            seen, number = seen + len(images), number + 1
            on_look(min(seen, looks), looks)
        self._examples = DetailExamples(*(torch.cat(each) for each in zip(*pooled, strict=True)))
        self._details.train()

    def losses_of_step(self, step: int) -> dict[str, Tensor]:
        """Return the loss for a step's boxes; 0 if the frames hold no thing."""
        examples = self._examples
        if not len(examples.classes):
            return {"loss_details": self._details.loss(examples)}
        random = np.random.default_rng([self._seed, step])
        # Dropout too shall be that of the step, also where a training goes on from a checkpoint.
        torch.manual_seed(int(random.integers(2**31)))
        rows = torch.from_numpy(random.choice(len(examples.classes), _BOXES))
        pooled, classes = (each[rows.to(each.device)] for each in examples)
        pooled = pooled.float().flip([axis for axis in (2, 3) if random.random() < 0.5])
        return {"loss_details": self._details.loss(DetailExamples(pooled, classes))}

    @torch.no_grad()
    def _pooled(self, images: list[Tensor], targets: list[Target]) -> DetailExamples:
        """Pool the boxes of a batch, in half precision."""
        network = self._network
        batch, resized = network.transform(images, targets)
        features = network.backbone(batch.tensors)
        proposals, _ = network.rpn(batch, features)
        found: DetailExamples = network.roi_heads.examples(
            features, proposals, batch.image_sizes, resized
        )
        return found._replace(pooled=found.pooled.half())
