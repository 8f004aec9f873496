"""What tells look-alike things apart: a branch of the box head that reads small parts.

A box head sees 7 x 7 cells of the level that fits a box, so the tip of a long instrument is one
cell of many. A second branch sees the box in the finest level and keeps the strongest answer of
each channel, wherever in the box it is. It says which thing it is, and not whether it is one: what
the whole gives to all things together is only divided anew. On true boxes of scenes that no figure
is reported on, the box head alone took half of the hooks for graspers.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops import MultiScaleRoIAlign, roi_align

_CELLS, _DETAIL_CELLS = 7, 14
_SAMPLES = 2
_DROPOUT = 0.3
_LEVELS = ("0", "1", "2", "3")


class BoxFeatures(NamedTuple):
    """What the classes of boxes are read from, float32.

    Attributes:
        whole: of the level that fits each box, [B, C, 7, 7]; [B, H] after the head.
        details: of the finest level, [B, C, 14, 14]; [B, D] after the head.
    """

    whole: Tensor
    details: Tensor


class PoolWithDetails(MultiScaleRoIAlign):
    """Pool boxes from the level that fits them, and from the finest."""

    def __init__(self) -> None:
        super().__init__(list(_LEVELS), _CELLS, _SAMPLES)

    def forward(
        self, features: dict[str, Tensor], boxes: list[Tensor], image_sizes: list[tuple[int, int]]
    ) -> BoxFeatures:
        """Return the features of boxes float32[B, 4] each, xyxy in pixels of the input."""
        whole = super().forward(features, boxes, image_sizes)
        finest = features[_LEVELS[0]]
        details = roi_align(finest, boxes, _DETAIL_CELLS, self.scales[0], _SAMPLES)
        return BoxFeatures(whole, details)


class HeadWithDetails(TwoMLPHead):
    """Two layers over the whole box, and convolutions over its details.

    Args:
        channels: of the feature pyramid.
        hidden: of the two layers.
        detail_channels: of the convolutions.
    """

    def __init__(self, channels: int, hidden: int, detail_channels: int) -> None:
        super().__init__(channels * _CELLS**2, hidden)
        self.details = nn.Sequential(
            nn.Conv2d(channels, detail_channels, 1),
            nn.ReLU(),
            nn.Conv2d(detail_channels, detail_channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(detail_channels, detail_channels, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveMaxPool2d(1),
            nn.Flatten(),
            nn.Dropout(_DROPOUT),
        )

    def forward(self, features: BoxFeatures) -> BoxFeatures:
        """Return what the predictor reads."""
        return BoxFeatures(self.of_whole(features.whole), self.details(features.details))

    def of_whole(self, whole: Tensor) -> Tensor:
        """Return what the predictor reads of the whole boxes, float32[B, hidden]."""
        read: Tensor = super().forward(whole)
        return read


class PredictorWithDetails(FastRCNNPredictor):
    """Scores and boxes from the whole; details divide the score of all things among them.

    They change nothing at first: weights that were trained without details mean what they did.

    Args:
        hidden: of the box head.
        detail_channels: of its convolutions.
        class_count: with the background.
    """

    def __init__(self, hidden: int, detail_channels: int, class_count: int) -> None:
        super().__init__(hidden, class_count)
        self.detail_score = nn.Linear(detail_channels, class_count)
        nn.init.zeros_(self.detail_score.weight)
        nn.init.zeros_(self.detail_score.bias)
        self.register_buffer("told_apart", torch.zeros(class_count, dtype=torch.bool))

    def tell_apart(self, classes: Sequence[int]) -> None:
        """Choose the classes that details tell apart."""
        self.told_apart.zero_()
        self.told_apart[list(classes)] = True

    def forward(self, features: BoxFeatures) -> tuple[Tensor, Tensor]:
        """Return logits float32[B, classes] and box deltas float32[B, 4 x classes]."""
        scores, deltas = super().forward(features.whole)
        return self.divided(scores, features.details), deltas

    def divided(self, whole: Tensor, details: Tensor) -> Tensor:
        """Return logits float32[B, classes] of the whole, divided by details float32[B, D]."""
        among = self.told_apart
        ours = whole[:, among]
        shares = (ours + self.detail_score(details)[:, among]).log_softmax(1)
        divided = whole.clone()
        # Autocast on CUDA computes these in float32, whatever the precision.
        divided[:, among] = (shares + ours.logsumexp(1, keepdim=True)).to(whole.dtype)
        return divided
