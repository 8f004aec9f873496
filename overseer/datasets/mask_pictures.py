"""Layout `masks`: folders `images` and `masks` with pictures of equal names."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from overseer.datasets.labelled_frames import LabelledFrames
from pipeline.errors import InputError
from pipeline.frames import list_images, read_image
from pipeline.labelled_clip import LabelledClip
from pipeline.labels import LabelClass, LabelSet
from pipeline.mask_folder import MaskFolder, class_regions, read_mask_values
from pipeline.masks import connected_parts

_MOST_INSTANCES = 255


def read_mask_pictures(
    folder: Path, label_set: LabelSet | None, longest_side: int
) -> LabelledFrames:
    """Read frames from `folder/images` with their masks, of the same names, in `folder/masks`.

    The connected parts of a thing class are its instances; a stuff class is one region.

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
    clips: list[LabelledClip] = []
    problems: list[str] = []
    for picture in list_images(folder / "images"):
        mask = folder / "masks" / f"{picture.stem}.png"
        try:
            clips.append(_read_frame(picture, mask, masks.label_set, longest_side))
        except InputError as error:
            problems.append(str(error))
    if not clips:
        reason = problems[0] if problems else "the folder images is empty"
        raise InputError(f"{folder} has no frame to learn from: {reason}")
    return LabelledFrames(label_set=masks.label_set, clips=tuple(clips), problems=tuple(problems))


def _read_frame(picture: Path, mask: Path, label_set: LabelSet, longest_side: int) -> LabelledClip:
    image = read_image(picture)
    if not mask.is_file():
        raise InputError(f"{picture} has no mask {mask}; add it, or remove the picture")
    values = read_mask_values(mask)
    if values.shape != image.shape[:2]:
        raise InputError(
            f"{mask} is {values.shape[1]}x{values.shape[0]}, its picture is "
            f"{image.shape[1]}x{image.shape[0]}; make them equal"
        )
    regions = class_regions(values, label_set, mask)
    scale = min(1.0, longest_side / max(values.shape))
    size = (max(round(values.shape[1] * scale), 1), max(round(values.shape[0] * scale), 1))
    track_map = np.zeros((size[1], size[0]), np.uint8)
    class_of_track: dict[int, int] = {}
    for class_id, region in _instances(regions):
        small = cv2.resize(region.astype(np.float32), size, interpolation=cv2.INTER_AREA) >= 0.5
        if small.any() and len(class_of_track) < _MOST_INSTANCES:
            track_id = len(class_of_track) + 1
            class_of_track[track_id] = class_id
            track_map[small] = track_id
    shrunk = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return LabelledClip(
        images=shrunk[None], track_maps=track_map[None], class_of_track=class_of_track
    )


def _instances(
    regions: Iterable[tuple[LabelClass, NDArray[np.bool_]]],
) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Yield (class id, bool[H, W]) of each instance of a thing and each region of stuff."""
    for label, region in regions:
        parts = connected_parts(region) if label.kind == "thing" else [region]
        yield from ((label.id, part) for part in parts)
