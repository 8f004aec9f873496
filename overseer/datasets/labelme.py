"""LabelMe's JSON files beside their pictures, and CholecInstanceSeg, which is made of them."""

import json
import math
import re
from base64 import b64decode
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from natsort import natsorted
from numpy.typing import NDArray
from PIL import Image

from overseer.datasets.labelled_frames import (
    Instance,
    LabelledFrames,
    LabelledPicture,
    check_size,
    gather_frames,
    polygon_mask,
)
from pipeline.errors import InputError
from pipeline.labels import LabelSet, numbered_class
from pipeline.masks import placed_mask

_SIZE = ("imageHeight", "imageWidth")
# Files of its first versions do not say what a shape is: they have polygons alone. Rectangles that
# are turned have all four corners.
_FILLED = {None, "", "polygon", "rectangle", "oriented_rectangle", "rotation", "circle", "mask"}
# A polygon of so many points lacks less than a two-thousandth of a circle.
_CIRCLE_POINTS = 128
_INSTRUMENTS = ("grasper", "hook", "irrigator", "clipper", "bipolar", "scissors", "snare")
CHOLEC_INSTANCE_SEG = LabelSet(
    name="CholecInstanceSeg",
    classes=tuple(numbered_class(number, name) for number, name in enumerate(_INSTRUMENTS, 1)),
)
"""The 7 instruments of CholecInstanceSeg."""


def read_labelme(folder: Path, label_set: LabelSet | None, longest_side: int) -> LabelledFrames:
    """Read LabelMe's polygons, rectangles, circles and masks.

    Shapes of one label and group id are one instance. A frame with a shape of another type is left
    out, since what is not filled would be learned as background. A folder of files is a video. The
    pictures are found by the files' `imagePath`, which must not lead out of the data set.

    Args:
        folder: holds the files, at any depth.
        label_set: its classes by name; without it each label that occurs is a thing.
        longest_side: larger pictures are shrunk to this many pixels.

    Raises:
        InputError: no frame can be used.
    """
    return _read_files(folder, label_set, longest_side, _folder_of)


def _read_files(
    folder: Path,
    label_set: LabelSet | None,
    longest_side: int,
    video_of: Callable[[Path, Path], str],
) -> LabelledFrames:
    files = natsorted(folder.rglob("*.json"), key=str)
    classes = label_set or _found_labels(files)
    pictures = []
    for file in files:
        picture = _picture_of(file, folder)
        if picture is not None:
            pictures.append(
                LabelledPicture(
                    path=picture,
                    video=video_of(file, folder),
                    read_instances=partial(_instances, file, classes),
                )
            )
    wanted = "JSON file"
    return gather_frames(folder, pictures, classes, longest_side, wanted=wanted)


def read_cholec_instance_seg(
    folder: Path, label_set: LabelSet | None, longest_side: int
) -> LabelledFrames:
    """Read CholecInstanceSeg: LabelMe files with seven instruments.

    Sequences of one operation, such as `VID01_seg8k` and `VID01_t50_full`, are one video.
    """
    classes = label_set or CHOLEC_INSTANCE_SEG
    return _read_files(folder, classes, longest_side, _operation_of)


def _operation_of(file: Path, folder: Path) -> str:
    """Return the operation that a file's folders name, such as `VID01`."""
    names = (re.match(r"VID\d+", part) for part in file.relative_to(folder.parent).parts[:-1])
    return next((name[0] for name in names if name), _folder_of(file, folder))


def _folder_of(file: Path, folder: Path) -> str:
    name = file.parent.relative_to(folder).as_posix()
    return folder.resolve().name if name == "." else name


def _found_labels(files: list[Path]) -> LabelSet:
    names: set[str] = set()
    for file in files:
        try:
            names |= {str(shape["label"]) for shape in _read(file)["shapes"]}
        except InputError:
            # The frame is named as damaged when it is read.
            continue
    return LabelSet(
        name="labelme",
        classes=tuple(numbered_class(number, name) for number, name in enumerate(sorted(names), 1)),
    )


def _read(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_bytes())
        if not all({"label", "points"} <= shape.keys() for shape in document["shapes"]):
            raise ValueError("a shape has no label or no points")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file} is not a LabelMe file ({error}); repair or remove it") from error
    return dict(document)


def _picture_of(file: Path, folder: Path) -> Path | None:
    """Return the picture of a file; where the file does not tell, one of its own name."""
    try:
        name = str(_read(file).get("imagePath") or f"{file.stem}.png")
    except InputError:
        return file.with_suffix(".png")
    name = name.replace("\\", "/")
    # CholecInstanceSeg's files lie in `ann_dir`, and name pictures from the folder above.
    for picture in (file.parent / name, file.parent.parent / name):
        if picture.is_file() and picture.resolve().is_relative_to(folder.resolve()):
            return picture
    return file.with_suffix(Path(name).suffix or ".png")


def _instances(file: Path, label_set: LabelSet, size: tuple[int, int]) -> list[Instance]:
    document = _read(file)
    try:
        declared = [int(document.get(name) or size[axis]) for axis, name in enumerate(_SIZE)]
        check_size(file, (declared[0], declared[1]), size)
        return _grouped_instances(file, document, label_set, size)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{file} has a shape that cannot be read ({error}); repair or remove it"
        ) from error


def _grouped_instances(
    file: Path, document: dict[str, Any], label_set: LabelSet, size: tuple[int, int]
) -> list[Instance]:
    """Return the instances of a file; ValueError or TypeError if a shape is none."""
    numbers = {label.name: label.id for label in label_set.classes}
    grouped: dict[tuple[str, Any], NDArray[np.bool_]] = {}
    for key, mask in _masks(file, document, size):
        if key[0] not in numbers:
            raise InputError(
                f"{file} has the label {key[0]!r}, which label set {label_set.name} does not know"
                "; add it to --labels"
            )
        grouped[key] = grouped[key] | mask if key in grouped else mask
    return [(numbers[name], mask) for (name, _), mask in grouped.items()]


def _masks(
    file: Path, document: dict[str, Any], size: tuple[int, int]
) -> Iterator[tuple[tuple[str, Any], NDArray[np.bool_]]]:
    """Yield ((label, group), mask); a shape without a group is an instance of its own."""
    for number, shape in enumerate(document["shapes"]):
        if (kind := shape.get("shape_type")) not in _FILLED:
            raise InputError(
                f"{file} has a shape of type {kind}, which is no outline; draw it anew as a "
                "polygon, or remove it"
            )
        group = shape.get("group_id")
        key = str(shape["label"]), ("shape", number) if group is None else group
        points = [float(value) for point in shape["points"] for value in point]
        if kind == "mask":
            part, box = _decoded(file, shape), _box(file, points)
            _require_fit(file, part, box, size)
            # LabelMe lets masks be moved out of the picture.
            yield key, placed_mask(part, box[0], box[1], size)
            continue
        outline = _outline(kind, points)
        if len(outline) < 6:
            raise InputError(f"{file} has a shape of fewer than 3 points; repair or remove it")
        yield key, polygon_mask([outline], size)


def _box(file: Path, points: list[float]) -> tuple[int, int, int, int]:
    """Return the first and the last column and row of a mask: left, top, right, bottom."""
    if len(points) != 4:
        raise InputError(f"{file} has a mask without two corners; repair or remove it")
    # A mask that was moved may lie between pixels.
    x0, y0, x1, y1 = (math.floor(value + 0.5) for value in points)
    return x0, y0, x1, y1


def _decoded(file: Path, shape: dict[str, Any]) -> NDArray[np.bool_]:
    """Return the picture within a shape, bool[H, W] of its box."""
    try:
        content = b64decode("".join(shape["mask"].split()), validate=True)
        with Image.open(BytesIO(content), formats=["PNG"]) as picture:
            values = np.asarray(picture)
    except (
        AttributeError, KeyError, OSError, SyntaxError, ValueError, Image.DecompressionBombError,
    ) as error:  # fmt: skip
        raise InputError(
            f"{file} has a mask of {shape['label']} that is no readable PNG in base64; draw it "
            "anew, or remove it"
        ) from error
    if values.ndim != 2:
        raise InputError(f"{file} has a mask of {shape['label']} in colour; save it as grey PNG")
    return np.asarray(values != 0, np.bool_)


def _require_fit(
    file: Path, mask: NDArray[np.bool_], box: tuple[int, int, int, int], size: tuple[int, int]
) -> None:
    """Check that a mask bool[h, w] is as large as its box."""
    left, top, right, bottom = box
    whole = (bottom - top + 1, right - left + 1)
    # Some versions of LabelMe write boxes that end behind the picture, with masks that do not.
    cut = (min(bottom + 1, size[0]) - top, min(right + 1, size[1]) - left)
    if any(side not in sides for side, *sides in zip(mask.shape, whole, cut, strict=True)):
        raise InputError(
            f"{file} has a mask of {mask.shape[1]}x{mask.shape[0]} in a box of "
            f"{whole[1]}x{whole[0]}; draw it anew, or remove it"
        )


def _outline(kind: str | None, points: list[float]) -> list[float]:
    """Return the flat polygon of a shape, of which LabelMe may keep two points alone."""
    if len(points) != 4:
        return points
    x0, y0, x1, y1 = points
    if kind == "rectangle":
        return [x0, y0, x1, y0, x1, y1, x0, y1]
    if kind == "circle":
        turns = np.linspace(0, 2 * np.pi, _CIRCLE_POINTS, endpoint=False)
        around = np.stack([np.cos(turns), np.sin(turns)], axis=1)
        rim = (x0, y0) + np.hypot(x1 - x0, y1 - y0) * around
        return [float(value) for value in rim.ravel()]
    return points
