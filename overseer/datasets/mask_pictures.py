"""Layouts whose labels are pictures: `masks`, and CholecSeg8k's own."""

from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
from natsort import natsorted
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
from pipeline.labels import CHOLECSEG8K, LabelSet, unnamed_label_set
from pipeline.mask_folder import distinct_mask_values, read_mask_values
from pipeline.picture_files import list_images

_CHOLECSEG8K_PICTURE, _CHOLECSEG8K_MASK = "_endo.png", "_endo_watershed_mask.png"


def read_mask_pictures(
    folder: Path, label_set: LabelSet | None, longest_side: int
) -> LabelledFrames:
    """Read frames from `images` with their masks, of the same names, in `masks` beside it.

    The connected parts of a thing class are its instances; a stuff class is one region. A folder
    with the two folders is one video.

    Args:
        folder: holds the two folders, or folders that hold them, one for each video.
        label_set: what the masks' values mean; without it each value but 0 is a class.
        longest_side: larger pictures are shrunk to this many pixels.

    Raises:
        InputError: a folder is missing, or no frame can be used.
    """
    videos = _videos(folder)
    if not videos:
        raise InputError(
            f"{folder} has no folder images; layout masks needs images and masks: check the "
            "folder, or --layout"
        )
    classes = label_set or _found_values([video / "masks" for video in videos.values()])
    pictures = [
        picture_with_mask(path, video / "masks" / f"{path.stem}.png", classes, name)
        for name, video in videos.items()
        for path in list_images(video / "images")
    ]
    wanted = "picture in its folder images"
    return gather_frames(folder, pictures, classes, longest_side, wanted=wanted)


def _videos(folder: Path) -> dict[str, Path]:
    """Return the folders that hold a folder `images`, by the names of their videos."""
    if (folder / "images").is_dir():
        return {folder.resolve().name: folder}
    found = sorted(path.parent for path in folder.rglob("images") if path.is_dir())
    return {video.relative_to(folder).as_posix(): video for video in found}


def _found_values(folders: list[Path]) -> LabelSet:
    values: set[int] = set()
    for file in (file for folder in folders for file in sorted(folder.glob("*.png"))):
        # A damaged mask leaves its picture out, and is named with it.
        with suppress(InputError):
            values |= distinct_mask_values(file)
    return unnamed_label_set(sorted(values))


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
        for path in natsorted(folder.rglob(f"*{_CHOLECSEG8K_PICTURE}"), key=str)
    ]
    wanted = f"picture *{_CHOLECSEG8K_PICTURE}"
    return gather_frames(folder, pictures, classes, longest_side, wanted=wanted)


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
