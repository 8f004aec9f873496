"""COCO instance annotations, and Endoscapes, which has them."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from natsort import natsorted
from numpy.typing import NDArray

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
from pipeline.masks import decode_mask, rle_of_json

# These divide a data set, and are no videos.
_FOLDERS_OF_ALL = {
    "..",
    "/",
    "images",
    "train",
    "training",
    "val",
    "valid",
    "validation",
    "test",
}
# What Roboflow puts behind the name of each picture, and Label Studio before it.
_ROBOFLOW_MARK = re.compile(r"_(jpe?g|png)\.rf\.\w+$", re.IGNORECASE)
_LABEL_STUDIO_MARK = re.compile(r"([0-9a-f]{8})-")


def read_coco(folder: Path, label_set: LabelSet | None, longest_side: int) -> LabelledFrames:
    """Read COCO files with polygons or run-length masks.

    The files are all `*.json` in the folder and in `annotations/` that have `images` and
    `annotations`. Pictures are looked for beside the file, in `images/`, in the folder of the
    file's name, and in that of its part (`train2017/` or `images/train2017/` for
    `annotations/instances_train2017.json`); one that is labelled twice is taken as it is labelled
    first. An image's video is its `video_id` or `video`, else the part of its name before the last
    `_` with its folders and without what Roboflow and Label Studio add to names, else the data set.
    What is marked `iscrowd` is ignored, but for CVAT's masks, which all are.

    Args:
        folder: the data set.
        label_set: its classes by name; without it the categories, which are things unless
            their supercategory is stuff.
        longest_side: larger pictures are shrunk to this many pixels.

    Raises:
        InputError: there is no COCO file, or no frame can be used.
    """
    files = sorted([*folder.glob("*.json"), *folder.glob("*/*.json")])
    return _read_files(folder, files, label_set, longest_side)


def read_endoscapes(folder: Path, label_set: LabelSet | None, longest_side: int) -> LabelledFrames:
    """Read Endoscapes' masks: `train_seg/`, `val_seg/` and `test_seg/`.

    Beside them lie files of boxes alone, and others that repeat the same annotations.
    """
    files = sorted(folder.glob("**/*_seg/annotation_coco.json"))
    if not files:
        return read_coco(folder, label_set, longest_side)
    return _read_files(folder, files, label_set, longest_side)


def _read_files(
    folder: Path, files: list[Path], label_set: LabelSet | None, longest_side: int
) -> LabelledFrames:
    documents = [(file, document) for file in files if (document := _read(file)) is not None]
    if not documents:
        raise InputError(f"{folder} has no COCO file; give a folder with one, or another --layout")
    classes = label_set or _categories(documents)
    pictures = [
        picture
        for file, document in documents
        for picture in _pictures(folder, file, document, classes)
    ]
    in_order = natsorted(_each_once(pictures), key=lambda picture: str(picture.path))
    wanted = "image with annotations in its COCO files"
    return gather_frames(folder, in_order, classes, longest_side, wanted=wanted)


def _each_once(pictures: list[LabelledPicture]) -> Iterator[LabelledPicture]:
    """Yield each picture once, as it is labelled first; once more is a problem that is named."""
    known: set[Path] = set()
    for picture in pictures:
        is_new = picture.path not in known
        known.add(picture.path)
        yield (
            picture
            if is_new
            else replace(picture, read_instances=partial(_refuse_labelled_twice, picture.path))
        )


def _refuse_labelled_twice(path: Path, size: tuple[int, int]) -> list[Instance]:
    del size
    raise InputError(f"{path} is labelled twice; what comes first is taken")


def _read(file: Path) -> dict[str, Any] | None:
    """Return a COCO document, or None where a file is something else."""
    try:
        document = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read as JSON ({error}); repair or remove it") from error
    keys = ("images", "annotations", "categories")
    if not isinstance(document, dict) or any(key not in document for key in keys):
        return None
    try:
        numbers = [entry["id"] for entry in (*document["images"], *document["categories"])]
        if not all("name" in category for category in document["categories"]):
            raise KeyError("name")
    except (TypeError, KeyError) as error:
        raise InputError(
            f"{file} has images without an id, or categories without id or name ({error}); repair "
            "or remove it"
        ) from error
    if any(not isinstance(number, int) for number in numbers):
        raise InputError(f"{file} has ids that are no numbers; number them, as COCO does")
    _refuse_shared_ids(file, "images", document["images"], "file_name")
    _refuse_shared_ids(file, "categories", document["categories"], "name")
    return document


def _refuse_shared_ids(file: Path, kind: str, entries: list[dict[str, Any]], name: str) -> None:
    """Refuse a file in which an id has two meanings, as in files that were joined carelessly."""
    known: dict[int, Any] = {}
    for entry in entries:
        first = known.setdefault(entry["id"], entry.get(name))
        if first != entry.get(name):
            raise InputError(
                f"{file} gives the id {entry['id']} to two {kind}, {first!r} and "
                f"{entry.get(name)!r}; number them anew"
            )


def _categories(documents: list[tuple[Path, dict[str, Any]]]) -> LabelSet:
    categories: dict[int, dict[str, Any]] = {}
    for file, document in documents:
        for category in document["categories"]:
            known = categories.setdefault(int(category["id"]), category)
            if known["name"] != category["name"]:
                raise InputError(
                    f"{file} calls category {category['id']} {category['name']!r}, another file "
                    f"{known['name']!r}; make them equal"
                )
    classes = tuple(
        numbered_class(
            number,
            str(category["name"]),
            "stuff" if category.get("supercategory") == "stuff" else "thing",
        )
        for number, category in sorted(categories.items())
    )
    try:
        return LabelSet(name="coco", classes=classes)
    except ValueError as error:
        raise InputError(f"{documents[0][0].parent}: {error}; give --labels") from error


def _pictures(
    folder: Path, file: Path, document: dict[str, Any], label_set: LabelSet
) -> list[LabelledPicture]:
    numbers = {label.name: label.id for label in label_set.classes}
    classes = {
        int(category["id"]): numbers.get(str(category["name"]))
        for category in document["categories"]
    }
    videos = {entry["id"]: str(entry["name"]) for entry in document.get("videos", [])}
    annotations: dict[int, list[dict[str, Any]]] = {}
    try:
        for annotation in document["annotations"]:
            annotations.setdefault(int(annotation["image_id"]), []).append(annotation)
        # Windows' way of naming folders is taken for this one.
        names = {
            int(image["id"]): str(image["file_name"]).replace("\\", "/")
            for image in document["images"]
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{file} has images or annotations without {error}; repair or remove it"
        ) from error
    frames = _without_marks(names)
    return [
        LabelledPicture(
            path=_find(folder, file, names[int(image["id"])]),
            video=_video(image, frames[int(image["id"])], videos) or folder.resolve().name,
            read_instances=partial(_instances, file, image, annotations[int(image["id"])], classes),
        )
        for image in document["images"]
        if int(image["id"]) in annotations
    ]


def _find(folder: Path, file: Path, name: str) -> Path:
    """Return a picture's path; one that leads out of the data set is taken by its name alone."""
    # COCO has `annotations/instances_train2017.json` beside `train2017/`, CVAT `images/default/`.
    part = file.stem.removeprefix("instances_")
    places = (
        *(folder / part, folder / "images" / part),
        *(file.parent, file.parent / "images", folder / "images", file.with_suffix("")),
    )
    for candidate in (name, Path(name).name):
        for place in places:
            picture = place / candidate
            if picture.is_file() and picture.resolve().is_relative_to(folder.resolve()):
                return picture
    return file.parent / Path(name).name


def _without_marks(names: dict[int, str]) -> dict[int, PurePosixPath]:
    """Return the names of pictures without their suffix, and without a tool's mark in each.

    With their marks, frames of one video would be taken for as many videos, and be divided.
    """
    paths = {number: PurePosixPath(name) for number, name in names.items()}
    stems = {number: _ROBOFLOW_MARK.sub("", path.stem) for number, path in paths.items()}
    marks = [found[1] for stem in stems.values() if (found := _LABEL_STUDIO_MARK.match(stem))]
    # A date looks alike, but has no letters, or is that of many frames.
    differ = len(set(marks)) == len(stems)
    if differ and not all(mark.isdecimal() for mark in marks):
        stems = {number: _LABEL_STUDIO_MARK.sub("", stem, 1) for number, stem in stems.items()}
    return {number: path.parent / stems[number] for number, path in paths.items()}


def _video(image: dict[str, Any], name: PurePosixPath, videos: dict[Any, str]) -> str:
    """Return what an image says of its video; nothing where that is only a number."""
    if image.get("video_id") is not None:
        return videos.get(image["video_id"], str(image["video_id"]))
    if image.get("video") is not None:
        return str(image["video"])
    folders = [part for part in name.parts[:-1] if part not in _FOLDERS_OF_ALL]
    begin = name.name.rpartition("_")[0]
    return "/".join([*folders, begin] if begin else folders)


def _instances(
    file: Path,
    image: dict[str, Any],
    annotations: list[dict[str, Any]],
    classes: dict[int, int | None],
    size: tuple[int, int],
) -> list[Instance]:
    declared = (int(image.get("height") or size[0]), int(image.get("width") or size[1]))
    check_size(file, declared, size)
    instances: list[Instance] = []
    for annotation in annotations:
        if _is_crowd(annotation):
            # A crowd is a region in which the objects are not told apart.
            instances.append((None, _mask(file, annotation, size)))
            continue
        category = annotation.get("category_id")
        class_id = classes.get(category) if isinstance(category, int) else None
        if class_id is None:
            raise InputError(
                f"{file} has category {category} on {image['file_name']}, which "
                "has no class; add it to the file or to --labels"
            )
        instances.append((class_id, _mask(file, annotation, size)))
    # Small objects lie on large ones, all of them on what is ignored.
    return sorted(instances, key=_depth)


def _is_crowd(annotation: dict[str, Any]) -> bool:
    """Return whether an annotation is marked as a crowd, and is not one object's mask by CVAT.

    CVAT marks all masks so, since COCO itself has runs for crowds alone. What CVAT writes says
    whether it is occluded.
    """
    attributes = annotation.get("attributes")
    by_cvat = isinstance(attributes, dict) and "occluded" in attributes
    return bool(annotation.get("iscrowd")) and not by_cvat


def _depth(instance: Instance) -> tuple[bool, int]:
    class_id, mask = instance
    return class_id is not None, -int(mask.sum())


def _mask(file: Path, annotation: dict[str, Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    outline = annotation.get("segmentation")
    try:
        if isinstance(outline, dict):
            return decode_mask(rle_of_json(outline, size))
        polygons = [polygon for polygon in outline or [] if len(polygon) >= 6]
        if not polygons:
            raise ValueError("it is a box without an outline")
        return polygon_mask(polygons, size)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(
            f"{file} has a mask that cannot be read in annotation {annotation.get('id')} ({error})"
            "; repair or remove it"
        ) from error
