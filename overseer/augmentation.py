"""Frames as they might have been: geometry, colour, and the smoke and blur of operations.

torchvision's transforms are used rather than kornia's: they are here already, are kept up, and move
picture and track map together. Smoke and motion blur, which torchvision does not have, and a patch
that leaves the track map alone are transforms of the same kind.
"""

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2

# Cells of the noise that smoke is drawn from, at its coarsest.
_SMOKE_CELLS = (3, 4)
_SMOKE_OCTAVES = 3
_BLACK = 0.05


class Smoke(v2.Transform):
    """Lay a veil of smoke over a picture float32[3, H, W], 0..1, here thin, there dense.

    Args:
        densest: share of the picture that the densest smoke hides, 0..1.
    """

    def __init__(self, densest: float) -> None:
        super().__init__()
        self._densest = densest

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the smoke's density float32[H, W] and its shade 0..1."""
        size = flat_inputs[0].shape[-2:]
        density = torch.zeros(1, 1, *size)
        for octave in range(_SMOKE_OCTAVES):
            cells = [count * 2**octave for count in _SMOKE_CELLS]
            noise = torch.rand(1, 1, *cells)
            density += nn.functional.interpolate(noise, size, mode="bicubic") / 2**octave
        density = (density - density.amin()) / (density.amax() - density.amin())
        return {"density": self._densest * density[0, 0], "shade": 0.6 + 0.35 * torch.rand(1)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Veil a picture; a track map stays."""
        if isinstance(inpt, tv_tensors.Mask):
            return inpt
        # Where nothing is seen, beside the round picture of a scope, there is no smoke either.
        bright = nn.functional.max_pool2d(inpt.amax(0)[None], 9, 1, 4)[0] > _BLACK
        density = params["density"] * bright
        return tv_tensors.wrap(inpt * (1 - density) + params["shade"] * density, like=inpt)


class MotionBlur(v2.Transform):
    """Blur a picture float32[3, H, W] along a line, as a moving camera does.

    Args:
        longest: of the line, in pixels.
    """

    def __init__(self, longest: int) -> None:
        super().__init__()
        self._longest = longest

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the kernel float32[S, S]."""
        length = int(torch.randint(3, self._longest + 1, (1,)))
        angle = float(torch.rand(1)) * np.pi
        middle = self._longest // 2
        along = np.linspace(-length / 2, length / 2, 4 * length)
        rows = np.clip(np.round(middle + along * np.sin(angle)), 0, 2 * middle).astype(int)
        columns = np.clip(np.round(middle + along * np.cos(angle)), 0, 2 * middle).astype(int)
        kernel = torch.zeros(2 * middle + 1, 2 * middle + 1)
        kernel[rows, columns] = 1
        return {"kernel": kernel / kernel.sum()}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Blur a picture; a track map stays."""
        if isinstance(inpt, tv_tensors.Mask):
            return inpt
        middle = params["kernel"].shape[0] // 2
        padded = nn.functional.pad(inpt[None], (middle,) * 4, mode="replicate")
        kernels = params["kernel"].expand(3, 1, -1, -1)
        return tv_tensors.wrap(nn.functional.conv2d(padded, kernels, groups=3)[0], like=inpt)


class Patch(v2.Transform):
    """Hide a part of a picture float32[3, H, W] behind noise, as something in front of it does.

    Args:
        largest: side of the patch, as a share of the picture's.
    """

    def __init__(self, largest: float) -> None:
        super().__init__()
        self._largest = largest

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the rows and columns that are hidden, and what hides them."""
        spans = []
        for length in flat_inputs[0].shape[-2:]:
            side = max(int(length * self._largest * float(torch.rand(1))), 1)
            start = int(torch.randint(0, length - side + 1, (1,)))
            spans.append(slice(start, start + side))
        return {"spans": spans, "noise": torch.rand_like(flat_inputs[0])}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Hide a part of a picture; a track map stays."""
        if isinstance(inpt, tv_tensors.Mask):
            return inpt
        rows, columns = params["spans"]
        hidden = inpt.clone()
        hidden[:, rows, columns] = params["noise"][:, rows, columns]
        return tv_tensors.wrap(hidden, like=inpt)


class Repaint(v2.Transform):
    """Give the tracks of a picture float32[3, H, W] other colours and textures, each its own.

    What is learned from drawn scenes shall not hang on how they were painted (domain
    randomisation, arXiv 1703.06907).

    Args:
        share: of the tracks, and of what is none, that are repainted, 0..1.
        tint: standard deviation of the logarithm of each channel's gain.
        roughest: how much lighter or darker than its surroundings a texture may be, 0..1.
        most_colours: that a track may have side by side, along each axis of the picture.
    """

    def __init__(self, share: float, tint: float, roughest: float, most_colours: int = 1) -> None:
        super().__init__()
        self._most_colours = most_colours
        self._share = share
        self._tint = tint
        self._roughest = roughest

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the gain of each pixel, float32[3, H, W]."""
        track_map = next(part for part in flat_inputs if isinstance(part, tv_tensors.Mask))
        gains = torch.ones(3, *track_map.shape)
        for track_id in track_map.unique():
            if float(torch.rand(1)) < self._share:
                inside = track_map == track_id
                paint = self._texture(track_map.shape[-2:]) * self._colours(track_map.shape[-2:])
                gains[:, inside] = paint[:, inside]
        return {"gains": gains}

    def _colours(self, size: torch.Size) -> Tensor:
        """Draw colours that change over the picture: shaft and jaws may be of different ones."""
        cells = torch.randint(1, self._most_colours + 1, (2,)).tolist()
        tints = self._tint * torch.randn(1, 3, *cells)
        return nn.functional.interpolate(tints, size, mode="nearest")[0].exp()

    def _texture(self, size: torch.Size) -> Tensor:
        cells = [int(torch.randint(4, max(length // 2, 5), (1,))) for length in size]
        noise = nn.functional.interpolate(torch.rand(1, 1, *cells), size, mode="bilinear")[0]
        return 1 + self._roughest * torch.rand(1) * (2 * noise - 1)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Repaint a picture; a track map stays."""
        if isinstance(inpt, tv_tensors.Mask):
            return inpt
        return tv_tensors.wrap((inpt * params["gains"]).clamp(0, 1), like=inpt)


_GEOMETRY = (
    v2.RandomHorizontalFlip(0.5),
    v2.RandomVerticalFlip(0.3),
    v2.RandomApply(
        [
            v2.RandomAffine(
                degrees=14,
                translate=(0.08, 0.08),
                scale=(0.82, 1.42),
                interpolation=InterpolationMode.BILINEAR,
            )
        ],
        p=0.6,
    ),
)
_LOOK = (
    v2.ToDtype(torch.float32, scale=True),
    v2.ColorJitter(brightness=(0.7, 1.35), contrast=(0.75, 1.3), saturation=(0.6, 1.4), hue=0.04),
    v2.RandomApply([Smoke(densest=0.6)], p=0.15),
    v2.RandomApply([v2.GaussianBlur(7, sigma=(0.3, 2.0))], p=0.1),
    v2.RandomApply([MotionBlur(longest=13)], p=0.1),
)
_HARD_LOOK = (
    v2.ToDtype(torch.float32, scale=True),
    v2.ColorJitter(brightness=(0.5, 1.5), contrast=(0.5, 1.5), saturation=(0.3, 1.7), hue=0.08),
    v2.RandomGrayscale(0.2),
    v2.RandomApply([Smoke(densest=0.75)], p=0.3),
    v2.RandomApply([v2.GaussianBlur(9, sigma=(0.5, 3.0))], p=0.3),
    v2.RandomApply([MotionBlur(longest=15)], p=0.2),
    v2.RandomApply([Patch(largest=0.3)], p=0.5),
)
_WIDE_LOOK = (
    v2.ToDtype(torch.float32, scale=True),
    v2.RandomApply([Repaint(share=0.5, tint=0.25, roughest=0.4)], p=0.6),
    v2.ColorJitter(brightness=(0.6, 1.45), contrast=(0.6, 1.4), saturation=(0.4, 1.6), hue=0.08),
    v2.RandomGrayscale(0.05),
    v2.RandomApply([Smoke(densest=0.7)], p=0.2),
    v2.RandomApply([v2.GaussianBlur(7, sigma=(0.3, 2.5))], p=0.15),
    v2.RandomApply([MotionBlur(longest=13)], p=0.15),
)
_WIDER_LOOK = (
    v2.ToDtype(torch.float32, scale=True),
    v2.RandomApply([Repaint(share=0.75, tint=0.45, roughest=0.4, most_colours=8)], p=0.85),
    v2.ColorJitter(brightness=(0.6, 1.45), contrast=(0.6, 1.4), saturation=(0.4, 1.6), hue=0.08),
    v2.RandomGrayscale(0.1),
    v2.RandomApply([Smoke(densest=0.6)], p=0.15),
    v2.RandomApply([v2.GaussianBlur(7, sigma=(0.3, 2.0))], p=0.1),
    v2.RandomApply([MotionBlur(longest=13)], p=0.1),
)

# What varies labelled frames: `usual` for data of the kind that is annotated later, `wide` for data
# of another kind, of which some is repainted, `wider` for what is known by its shape and not by its
# colour.
Augmentation = Literal["usual", "wide", "wider"]
# `hard` is for frames that nobody labelled: colours change more, smoke and blur are frequent, and a
# patch may hide something, whose tracks stay in the map.
Variation = Augmentation | Literal["hard"]
_LOOKS: dict[Variation, tuple[nn.Module, ...]] = {
    "usual": _LOOK,
    "wide": _WIDE_LOOK,
    "wider": _WIDER_LOOK,
    "hard": _HARD_LOOK,
}
_TRANSFORMS = {variation: v2.Compose([*_GEOMETRY, *look]) for variation, look in _LOOKS.items()}


def vary_frame(
    variation: Variation, seed: int, image: NDArray[np.uint8], track_map: NDArray[np.uint8]
) -> tuple[Tensor, NDArray[np.uint8]]:
    """Vary a frame at random: its geometry together with its track map, its look alone.

    Args:
        variation: how.
        seed: everything random follows from it.
        image: uint8[H, W, 3], RGB.
        track_map: uint8[H, W], the track id at each pixel.

    Returns:
        The picture float32[3, H, W], RGB, 0..1, and the track map in the same shape; what comes
        from outside the frame is black and no track.
    """
    picture = tv_tensors.Image(torch.from_numpy(np.array(image)).permute(2, 0, 1))
    tracks = tv_tensors.Mask(torch.from_numpy(np.array(track_map)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        varied, varied_tracks = _TRANSFORMS[variation](picture, tracks)
    return varied.as_subclass(Tensor).clamp(0, 1), np.asarray(varied_tracks.numpy(), np.uint8)
