"""Features of a network's trunk while it is trained: kept from once, or computed anew."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor
from torchvision.transforms import v2

from pipeline.labelled_clip import LabelledClip
from pipeline.output import replaced_file
from tracking.regions import Region
from tracking.sam2_model import normalize_images


class TrunkFeatures(Protocol):
    """Gives the trunk's features of labelled clips."""

    def features(
        self, clip: int, frames: Sequence[int], region: Region | None = None
    ) -> list[Tensor]:
        """Return the features float32[T, C, h, w] of each stride for some frames of a clip.

        Args:
            clip: its number.
            frames: T of its frames.
            region: all that is seen of them; the whole pictures if None.
        """
        ...


class FeatureCache:
    """Features of the frozen trunk, computed once for each frame and kept in half precision.

    They are given out on the network's device.

    Args:
        network: its trunk must not be trained.
        clips: clips of equal length.
        folder: receives one memory-mapped array for each stride.

    Raises:
        OutputError: they cannot be made.
    """

    def __init__(self, network: SAM2Base, clips: Sequence[LabelledClip], folder: Path) -> None:
        self._network = network
        self._size = network.image_size
        self._clips = clips
        frames = len(clips[0])
        channels_of_strides = network.image_encoder.trunk.channel_list[::-1]
        folder.mkdir(parents=True, exist_ok=True)
        self._maps: list[NDArray[np.float16]] = []
        for stride, channels in zip((4, 8, 16, 32), channels_of_strides, strict=True):
            side = self._size // stride
            self._maps.append(
                _memory_map(
                    folder / f"stride-{stride}.npy",
                    (len(clips), frames, channels, side, side),
                    np.dtype(np.float16),
                )
            )
        self._known = _memory_map(folder / "known.npy", (len(clips), frames), np.dtype(np.bool_))

    def features(
        self, clip: int, frames: Sequence[int], region: Region | None = None
    ) -> list[Tensor]:
        """Return the features, computing those that are not known yet, and those of regions."""
        if region is not None:
            return self._compute(region.cut_from(self._clips[clip].images[list(frames)]))
        missing = [frame for frame in frames if not self._known[clip, frame]]
        if missing:
            computed = self._compute(self._clips[clip].images[missing])
            for stored, values in zip(self._maps, computed, strict=True):
                stored[clip, missing] = values.half().cpu().numpy()
            self._known[clip, missing] = True
        known = [torch.from_numpy(stored[clip, list(frames)]) for stored in self._maps]
        return [values.to(self._network.device).float() for values in known]

    @torch.no_grad()
    def _compute(self, images: NDArray[np.uint8]) -> list[Tensor]:
        inputs = normalize_images(torch.from_numpy(images.copy()), self._size)
        return list(self._network.image_encoder.trunk(inputs.to(self._network.device)))


def _memory_map(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    if path.exists():
        stored = np.load(path, mmap_mode="r+")
        if stored.shape == shape:
            return stored
    with replaced_file(path) as draft:
        return np.lib.format.open_memmap(draft, "w+", dtype=dtype, shape=shape)


class VariedFeatures:
    """Features of pictures in other light and colours each time, so computed anew.

    From the first frame of a run to the last, light and colours change steadily, as they do where
    a camera or an instrument turns.

    Args:
        network: its trunk may be trained.
        clips: labelled clips.
    """

    def __init__(self, network: SAM2Base, clips: Sequence[LabelledClip]) -> None:
        self._network = network
        self._clips = clips
        self._vary = v2.Compose(
            [
                v2.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.08),
                v2.RandomGrayscale(0.15),
            ]
        )

    def features(
        self, clip: int, frames: Sequence[int], region: Region | None = None
    ) -> list[Tensor]:
        """Return the features, with gradients where the trunk is trained."""
        pictures = self._clips[clip].images[list(frames)]
        seen = pictures if region is None else region.cut_from(pictures)
        images = torch.from_numpy(seen.copy()).permute(0, 3, 1, 2)
        first, last = self._vary(images).float(), self._vary(images).float()
        progress = torch.linspace(0, 1, len(images))[:, None, None, None]
        varied = torch.lerp(first, last, progress).round().byte().permute(0, 2, 3, 1)
        inputs = normalize_images(varied, self._network.image_size)
        return list(self._network.image_encoder.trunk(inputs.to(self._network.device)))
