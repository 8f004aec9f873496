"""What an overseer's network is built from."""

from dataclasses import dataclass
from typing import Literal, get_args

Norm = Literal["frozen", "batch"]
Aspect = Literal["kept", "square"]
_MOST = 1 << 14
Learning = Literal["everything", "details"]
"""What of a network learns; `details` is the branch of `overseer.details` alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverseerConfig:
    """What a Mask R-CNN overseer is built from.

    Attributes:
        backbone: one of `BACKBONES`, each with a feature pyramid; resnet50_v2 is torchvision's
            R50-FPN-v2, with deeper heads that are normalised (Li et al., arXiv 2111.11429);
            those of detectron2 make the whole network detectron2's.
        image_size: longer side of the network's input in pixels.
        norm: `frozen` keeps the statistics of the backbone's batch norms as they were loaded;
            `batch` learns them, without which a ResNet with random weights learns nothing.
        aspect: a frame is shrunk in proportion, or squeezed into a square.
        channels: of the feature pyramid and the heads; the published networks have 256.
        mask_channels: of the layer before the masks; None for as many as `channels`.
        detail_channels: of the branch that tells look-alike things apart by small parts, see
            `overseer.details`; None for no such branch, as in the published networks.
        smallest_anchor: side of the smallest anchor boxes in pixels; each level doubles it.
        proposals: kept for each image; torchvision's default of 1000 costs five times as
            much on a CPU and finds hardly more in scenes of a dozen objects.
        detections: at most this many for each image.
        score_threshold: detections below it are dropped, 0..1.
    """

    backbone: str = "efficientnet_lite0"
    norm: Norm = "frozen"
    image_size: int = 320
    aspect: Aspect = "kept"
    channels: int = 128
    mask_channels: int | None = None
    detail_channels: int | None = None
    smallest_anchor: int = 16
    proposals: int = 100
    detections: int = 24
    score_threshold: float = 0.3

    def __post_init__(self) -> None:
        """Check what a file may say that others wrote.

        Raises:
            ValueError: a field is out of range.
        """
        numbers = (
            self.image_size, self.channels, self.mask_channels or 1, self.detail_channels or 1,
            self.smallest_anchor, self.proposals, self.detections,
        )  # fmt: skip
        if not all(isinstance(number, int) and 1 <= number <= _MOST for number in numbers):
            raise ValueError(f"its sizes and counts are not whole numbers from 1 to {_MOST}")
        if not 0 <= self.score_threshold <= 1:
            raise ValueError(f"its score threshold is {self.score_threshold}, not from 0 to 1")
        if self.norm not in get_args(Norm) or self.aspect not in get_args(Aspect):
            raise ValueError(f"its norm {self.norm} or aspect {self.aspect} is unknown")
