"""What tells look-alike classes apart: a branch of the box head that reads small parts.

A box head sees 7 x 7 cells of the level that fits a box, so the tip of a long instrument is one
cell of many. A second branch sees the box in the finest level and keeps the strongest answer of
each channel, wherever in the box it is; what it finds adds to the scores of the classes. On true
boxes of scenes that no figure is reported on, the box head alone took half of the hooks for
graspers.
"""

from typing import NamedTuple

from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops import MultiScaleRoIAlign, roi_align

_CELLS, _DETAIL_CELLS = 7, 14
_SAMPLES = 2
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
        )

    def forward(self, features: BoxFeatures) -> BoxFeatures:
        """Return what the predictor reads."""
        return BoxFeatures(super().forward(features.whole), self.details(features.details))


class PredictorWithDetails(FastRCNNPredictor):
    """Scores and boxes from the whole, to which the details add scores.

    They add nothing at first: weights that were trained without details mean what they did.

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

    def forward(self, features: BoxFeatures) -> tuple[Tensor, Tensor]:
        """Return logits float32[B, classes] and box deltas float32[B, 4 x classes]."""
        scores, deltas = super().forward(features.whole)
        return scores + self.detail_score(features.details), deltas
