"""Overseers whose weights others have published: SASVi's Mask R-CNN, each with its classes.

SASVi (Sivakumar et al., IPCAI 2025, arXiv 2502.09653) publishes torchvision state dicts. Its
networks see each frame squeezed into a square of 299 x 299 pixels.
"""

from dataclasses import dataclass

from overseer.config import OverseerConfig
from overseer.label_sets import CADIS_TYPES, CATARACT1K
from pipeline.labels import CHOLECSEG8K, LabelSet


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedOverseer:
    """An overseer whose weights others have published.

    Attributes:
        name: what `--overseer` takes.
        label_set: its foreground classes are the network's classes 1, 2, ... in order. CaDIS
            counts its classes from 0, so there the network's numbers are shifted by one.
        config: the network.
    """

    name: str
    label_set: LabelSet
    config: OverseerConfig


def _sasvi(data: str, label_set: LabelSet, backbone: str, mask_channels: int) -> PublishedOverseer:
    config = OverseerConfig(
        backbone=backbone,
        image_size=299,
        aspect="square",
        channels=256,
        mask_channels=mask_channels,
        smallest_anchor=32,
        proposals=1000,
        detections=100,
    )
    return PublishedOverseer(name=f"sasvi/{data}", label_set=label_set, config=config)


PUBLISHED = {
    published.name: published
    for published in (
        _sasvi("cadis", CADIS_TYPES, "resnet18", 32),
        _sasvi("cataract1k", CATARACT1K, "resnet18", 32),
        _sasvi("cholecseg8k", CHOLECSEG8K, "resnet50_v2", 64),
    )
}
