"""Boxes in float32 of networks that compute in lower precision.

bfloat16 has 8 bits for a coordinate, so a box far right is off by a pixel. And torchvision keeps
boxes of several classes from suppressing each other by moving them thousands of pixels apart, where
bfloat16 has no pixels left: what was seen twice stayed twice.
"""

from torch import Tensor
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.rpn import RPNHead


class PreciseRPNHead(RPNHead):
    """torchvision's head of a region proposal network, which gives out float32."""

    def forward(self, x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Return objectness and box deltas of each level, see torchvision's."""
        objectness, deltas = super().forward(x)
        return [level.float() for level in objectness], [level.float() for level in deltas]


class PreciseBoxPredictor(FastRCNNPredictor):
    """torchvision's last layers of a box head, which give out float32."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and box deltas of each box, see torchvision's."""
        logits, deltas = super().forward(x)
        return logits.float(), deltas.float()
