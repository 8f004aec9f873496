"""What the network has computed of one frame: its features, and what it says of each track."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from sam2.modeling.sam2_base import NO_OBJ_SCORE, SAM2Base
from torch import Tensor

from pipeline.networks.devices import Precision, computing, moved
from tracking.sam2_internals import image_levels
from tracking.sam2_model import normalize_images

_VISIBLE_PRESENCE = 0.5
# What the layers of more pictures hand on does not stay in a cache: with 8 at once, each
# takes 1.2 times as long.
_CPU_BATCH = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameFeatures:
    """Features of one frame, flattened as SAM-2 wants them, the finest level first.

    Attributes:
        vision: float32[hw, 1, C] of each level.
        positions: float32[hw, 1, C] of each level, the encoding of its places.
        sizes: h and w of each level.
    """

    vision: list[Tensor]
    positions: list[Tensor]
    sizes: list[tuple[int, int]]

    def rows(self, count: int) -> list[Tensor]:
        """Return each level for a number of tracks: float32[hw, count, C]."""
        return [level.expand(-1, count, -1) for level in self.vision]

    def high_resolution(self, count: int) -> list[Tensor]:
        """Return all but the coarsest level as maps: float32[count, C, h, w]."""
        return [
            level.permute(1, 2, 0).reshape(1, -1, *size).expand(count, -1, -1, -1)
            for level, size in zip(self.vision[:-1], self.sizes[:-1], strict=True)
        ]

    def coarse(self, count: int) -> Tensor:
        """Return the coarsest level as a map: float32[count, C, h, w]."""
        level = self.vision[-1].permute(1, 2, 0).reshape(1, -1, *self.sizes[-1])
        return level.expand(count, -1, -1, -1)

    def under(self, masks: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return the mean of the coarsest level under masks bool[N, H, W], at unit length.

        Returns:
            float32[N, C]; 0 under an empty mask.
        """
        level = self.vision[-1][:, 0].float().cpu().numpy()
        height, width = self.sizes[-1]
        shares = np.zeros((len(masks), height * width), np.float32)
        for mask, share in zip(masks, shares, strict=True):
            full = mask.view(np.uint8) * np.uint8(255)
            small = cv2.resize(full, (width, height), interpolation=cv2.INTER_AREA)
            share[:] = small.reshape(-1)
        means = shares @ level
        lengths = np.linalg.norm(means, axis=1, keepdims=True)
        return np.asarray(means / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)


class PictureEncoder:
    """A SAM-2 network's image encoder, which needs no memory of the past.

    Args:
        network: a SAM-2 network.
        device: where it is.
        precision: of its convolutions and products.
    """

    def __init__(
        self, network: SAM2Base, device: torch.device, precision: Precision = "float32"
    ) -> None:
        self._network = network
        self._device = device
        self._precision = precision
        # The same for every picture; they need not be kept for each.
        self._positions: list[Tensor] | None = None

    @torch.inference_mode()
    def encode(self, *images: NDArray[np.uint8]) -> list[FrameFeatures]:
        """Return the features of each frame of one or more videos, one video after the other.

        Args:
            images: uint8[N, H, W, 3], RGB, the frames of each video; sizes may differ.
        """
        # Made small before they go to the device, so that a hundredth has to be moved.
        small = torch.cat([self._small(of_video) for of_video in images])
        at_once = _CPU_BATCH if self._device.type == "cpu" else len(small)
        with computing(self._device, self._precision):
            return [
                features
                for part in torch.split(small, at_once)
                for features in self._features(moved(part, self._device))
            ]

    def _small(self, images: NDArray[np.uint8]) -> Tensor:
        pictures = torch.from_numpy(np.ascontiguousarray(images))
        return normalize_images(pictures, self._network.image_size)

    def _features(self, inputs: Tensor) -> Iterator[FrameFeatures]:
        backbone = self._network.forward_image(inputs)
        levels = image_levels(self._network, backbone)
        if self._positions is None:
            self._positions = [level[:, :1].float() for level in levels.positions]
        for row in range(len(inputs)):
            yield FrameFeatures(
                vision=[level[:, row : row + 1].float() for level in levels.vision],
                positions=self._positions,
                sizes=levels.sizes,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedMasks:
    """The masks that a network offers for one object, of which one is meant.

    Attributes:
        logits: float32[M, h, w], before the sigmoid.
        quality: float32[M], their predicted IoUs, 0..1.
    """

    logits: NDArray[np.float32]
    quality: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackOutput:
    """What the network says of one track in the current frame.

    It lies beside the processor, wherever the network is: masks are made of it there, and each
    number that is fetched by itself makes a GPU finish what it does.

    Attributes:
        logits: float32[h, w], mask before the sigmoid at a quarter of the network's input.
        quality: predicted IoU 0..1.
        presence: probability of being visible 0..1.
    """

    logits: NDArray[np.float32]
    quality: float
    presence: float

    @property
    def is_visible(self) -> bool:
        """Whether the object is more likely visible than not, and has a mask."""
        return self.presence >= _VISIBLE_PRESENCE and bool((self.logits > 0).any())

    def hidden(self) -> "TrackOutput":
        """Return what is said of a track that is not visible."""
        nowhere = np.full_like(self.logits, NO_OBJ_SCORE)
        return TrackOutput(logits=nowhere, quality=self.quality, presence=0.0)

    def offered(self) -> OfferedMasks:
        """Return the track's mask, as the only one that is offered."""
        return OfferedMasks(logits=self.logits[None], quality=np.array([self.quality], np.float32))
