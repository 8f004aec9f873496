"""Read corrections from COCO instance annotations: run-length masks or polygons."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import InputError
from pipeline.exports.selection import Selection
from pipeline.imports.drawing import (
    Classes,
    Drawing,
    DrawnObject,
    frame_of_name,
    given_track,
    not_of_video,
    require_size,
)
from pipeline.masks import polygon_rle, rle_of_json


def read_coco(path: Path, selection: Selection) -> Drawing:
    """Read the objects of all images in a file, or in the only JSON file of a folder.

    A frame is told by `frame_index`, or by the number at the end of the picture's name; a track
    by `track_id`, beside the mask or among CVAT's `attributes`; a class by its category's name.
    Images of another `video` are left out; where a tool has dropped that, it is what stands in
    the picture's name before the number.

    Args:
        path: the file or folder.
        selection: what was exported.

    Raises:
        InputError: it is no such file, or has masks or classes that cannot be taken over.
    """
    file = find_file(path)
    try:
        document = json.loads(file.read_bytes())
        return _read(file, document, selection)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{file} is not a file of COCO instance annotations ({error}); export it again"
        ) from error


def find_file(path: Path) -> Path:
    """Return a file, or the only JSON file of a folder.

    Raises:
        InputError: there is another number of them.
    """
    if not path.is_dir():
        return path
    files = sorted([*path.glob("*.json"), *path.glob("annotations/*.json")])
    if len(files) != 1:
        raise InputError(f"{path} holds {len(files)} JSON files; give the corrected one itself")
    return files[0]


def _read(file: Path, document: dict[str, Any], selection: Selection) -> Drawing:
    classes = Classes(selection, file)
    names = {int(entry["id"]): str(entry["name"]) for entry in document["categories"]}
    frames = _frames_of_images(document["images"], file, selection)
    others = {int(image["id"]) for image in document["images"]} - set(frames)
    objects: dict[int, list[DrawnObject]] = {}
    for entry in document["annotations"]:
        if int(entry["image_id"]) in others:
            continue
        if int(entry["image_id"]) not in frames:
            raise InputError(
                f"{file} has an object on image {entry['image_id']}, which is not among its "
                "images; export it from the tool again"
            )
        frame_index = frames[int(entry["image_id"])]
        try:
            drawn = _drawn(entry, classes[_category(entry, names)], selection.size)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{file} has an object on frame {frame_index} that cannot be read ({error}); draw "
                "it again"
            ) from error
        objects.setdefault(frame_index, []).append(drawn)
    return Drawing(
        path=file,
        objects=objects,
        shown=frozenset(frames.values()),
        class_ids=classes.known(list(names.values())),
    )


def _frames_of_images(
    images: list[dict[str, Any]], file: Path, selection: Selection
) -> dict[int, int]:
    """Return the frame that each image of the selection's video is of, by the image's id."""
    own = _of_video(images, selection.video_name)
    frames = {int(image["id"]): _frame_index(image, file) for image in own}
    if not frames:
        raise not_of_video(file, selection)
    if len(set(frames.values())) < len(frames):
        raise InputError(
            f"{file} has two pictures of one frame; keep the names that the export gave, or "
            "correct one video at a time"
        )
    for image in own:
        if image.get("width") and image.get("height"):
            require_size(int(image["width"]), int(image["height"]), file, selection)
    return frames


# Names of pictures that are named after no video; CVAT calls the frames of a video `frame`.
_NO_VIDEO = ("", "frame", "image", "img")


def _of_video(images: list[dict[str, Any]], video: str) -> list[dict[str, Any]]:
    """Return the images of a video."""
    possible = [image for image in images if image.get("video", video) == video]
    own = [image for image in possible if "video" in image or _prefix(image) == video]
    # Names without any video's name are of an export of one video, or a tool gave others.
    return own or [image for image in possible if _prefix(image).lower() in _NO_VIDEO]


def _prefix(image: dict[str, Any]) -> str:
    """Return what stands in a picture's name before the frame's number."""
    return Path(str(image["file_name"])).stem.rstrip("0123456789").removesuffix("_")


def _frame_index(image: dict[str, Any], file: Path) -> int:
    index = image.get("frame_index")
    return frame_of_name(str(image["file_name"]), file) if index is None else int(index)


def _category(entry: dict[str, Any], names: Mapping[int, str]) -> str:
    number = int(entry["category_id"])
    if number not in names:
        raise ValueError(f"its category {number} is not among the file's categories")
    return names[number]


def _drawn(entry: dict[str, Any], class_id: int, size: tuple[int, int]) -> DrawnObject:
    given = entry.get("track_id", (entry.get("attributes") or {}).get("track_id"))
    outline = entry.get("segmentation")
    if not outline:
        raise ValueError("it is a box without a mask")
    if isinstance(outline, dict):
        rle = rle_of_json(outline, size)
    else:
        rle = polygon_rle(list(_polygons(outline)), size)
    return DrawnObject(
        class_id=class_id,
        rle=rle,
        track_id=given_track(given),
        outlined=not isinstance(outline, dict),
    )


def _polygons(outline: list[list[float]]) -> Iterator[Any]:
    for ring in outline:
        yield np.array(ring, np.float64).reshape(-1, 2)
