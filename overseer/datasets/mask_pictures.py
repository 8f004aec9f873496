"""Layouts whose labels are pictures: `masks`, and CholecSeg8k's own."""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from overseer.datasets.labelled_frames import (
    Instance,
    LabelledFrames,
    LabelledPicture,
    check_size,
    gather_frames,
    instances_of_values,
)
from pipeline.errors import InputError
from pipeline.frames import list_images
from pipeline.labels import CHOLECSEG8K, LabelSet
from pipeline.mask_folder import MaskFolder, read_mask_values

_CHOLECSEG8K_PICTURE, _CHOLECSEG8K_MASK = "_endo.png", "_endo_watershed_mask.png"


def read_mask_pictures(
    folder: Path, label_set: LabelSet | None, longest_side: int
) -> LabelledFrames:
    """Read frames from `folder/images` with their masks, of the same names, in `folder/masks`.

    The connected parts of a thing class are its instances; a stuff class is one region. The
    folder is one video.

    Args:
        folder: holds the two folders.
        label_set: what the masks' values mean; without it each value but 0 is a class.
        longest_side: larger pictures are shrunk to this many pixels.

    Raises:
        InputError: a folder is missing, or no frame can be used.
    """
    if not (folder / "images").is_dir():
        raise InputError(f"{folder} has no folder images; layout masks needs images and masks")
    masks = MaskFolder(folder / "masks", label_set)
    pictures = [
        picture_with_mask(path, folder / "masks" / f"{path.stem}.png", masks.label_set, folder.name)
        for path in list_images(folder / "images")
    ]
    return gather_frames(folder, pictures, masks.label_set, longest_side)


def read_cholecseg8k(folder: Path, label_set: LabelSet | None, longest_side: int) -> LabelledFrames:
    """Read CholecSeg8k (arXiv 2012.12453): `videoNN/videoNN_MMMMM/frame_K_endo.png`.

    The watershed masks say what is where; a folder `videoNN` is a video, a picture elsewhere
    belongs to the video of its folder's name.

    Args:
        folder: holds the videos, at any depth.
        label_set: instead of CholecSeg8k's own.
        longest_side: larger pictures are shrunk to this many pixels.

    Raises:
        InputError: no frame can be used.
    """
    classes = label_set or CHOLECSEG8K
    pictures = [
        picture_with_mask(
            path,
            path.with_name(path.name.replace(_CHOLECSEG8K_PICTURE, _CHOLECSEG8K_MASK)),
            classes,
            path.parent.name.split("_")[0],
        )
        for path in sorted(folder.rglob(f"*{_CHOLECSEG8K_PICTURE}"))
    ]
    return gather_frames(folder, pictures, classes, longest_side)


def picture_with_mask(path: Path, mask: Path, label_set: LabelSet, video: str) -> LabelledPicture:
    """Return a picture whose labels are in a mask picture; parts of things are instances."""
    return LabelledPicture(
        path=path, video=video, read_instances=partial(_instances, path, mask, label_set)
    )


def _instances(
    picture: Path, mask: Path, label_set: LabelSet, size: tuple[int, int]
) -> list[Instance]:
    values = read_fitting_values(picture, mask, size)
    return list(instances_of_values(values, label_set, mask))


def read_fitting_values(picture: Path, mask: Path, size: tuple[int, int]) -> NDArray[np.int64]:
    """Read the values int64[H, W] of a picture's mask.

    Args:
        picture: for messages.
        mask: its mask.
        size: the picture's height and width.

    Raises:
        InputError: the mask is missing, damaged or of another size.
    """
    if not mask.is_file():
        raise InputError(f"{picture} has no mask {mask}; add it, or remove the picture")
    values = read_mask_values(mask)
    check_size(mask, (values.shape[0], values.shape[1]), size)
    return values
