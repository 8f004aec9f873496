"""Sheets cut out of photographs, to teach a tracker real textures and outlines."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.content_hash import hash_files
from pipeline.errors import InputError
from pipeline.labels import LabelClass, LabelSet
from pipeline.picture_files import read_image
from samples.theatre.organs import TissueLayer, blob
from samples.theatre.textures import Noise

CUT_OUTS = LabelSet(
    name="cut-outs",
    classes=(LabelClass(id=1, name="Cut-out", kind="thing", color=(0, 200, 255), value=1),),
)
# 0 is no track: the picture behind the cut-outs is not annotated.
CUT_OUT_TRACKS = range(1, 7)
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_LONGEST_SIDE_PX = 1920
_LEAST_SHARE, _LARGEST_SHARE = 0.004, 0.10


def find_pictures(folder: Path) -> tuple[Path, ...]:
    """List the pictures in a folder and its subfolders, in a fixed order.

    Raises:
        InputError: there are none.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not files:
        raise InputError(f"{folder} holds no photographs; give a folder with JPEG or PNG files")
    return tuple(files)


def content_of(pictures: Sequence[Path]) -> str:
    """Return a hash of pictures in their order, 12 hexadecimal digits."""
    return hash_files(pictures)[:12]


def cut_out_layers(
    pictures: Sequence[Path],
    random: np.random.Generator,
    size: tuple[int, int],
    light: NDArray[np.float64],
    noise: Noise,
) -> list[TissueLayer]:
    """Cut objects out of photographs and lay them over another one, back to front.

    Args:
        pictures: the photographs.
        random: source of randomness.
        size: (width, height) of the canvas in pixels.
        light: is not used; photographs have their own.
        noise: is not used; photographs have their own.
    """
    del light, noise
    count = int(random.integers(2, len(CUT_OUT_TRACKS) + 1))
    background = _crop(random, pictures, size)
    layers = [_sheet(background, np.ones(background.shape[:2], np.float32), 0, 0.01, 0.0)]
    for track_id in CUT_OUT_TRACKS[:count]:
        picture = _crop(random, pictures, size)
        mask = _region(random, picture)
        sway, travel = float(random.uniform(0.0, 0.03)), float(random.uniform(0.03, 0.25))
        layers.append(_sheet(picture, mask, track_id, sway, travel))
    return layers


@lru_cache(maxsize=64)
def _read_shrunk(path: Path) -> NDArray[np.uint8]:
    """Read a photograph at a size that is large enough for any canvas, once a process."""
    picture = read_image(path)
    scale = min(1.0, _LONGEST_SIDE_PX / max(picture.shape[:2]))
    size = (max(round(picture.shape[1] * scale), 8), max(round(picture.shape[0] * scale), 8))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _crop(
    random: np.random.Generator, pictures: Sequence[Path], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Take a part of a photograph, at random zoom, as a canvas uint8[H, W, 3]."""
    width, height = size
    picture = _read_shrunk(pictures[int(random.integers(len(pictures)))])
    rows, columns = picture.shape[:2]
    # Between the whole picture and four canvas pixels for each of the photograph's.
    fit = min(columns / width, rows / height)
    zoom = fit * float(np.exp(random.uniform(np.log(max(0.25 / fit, 0.2)), 0)))
    part_width, part_height = max(int(zoom * width), 8), max(int(zoom * height), 8)
    left = int(random.integers(0, columns - part_width + 1))
    top = int(random.integers(0, rows - part_height + 1))
    part = picture[top : top + part_height, left : left + part_width]
    if random.random() < 0.5:
        part = part[:, ::-1]
    resized = cv2.resize(np.ascontiguousarray(part), size, interpolation=cv2.INTER_AREA)
    return np.asarray(resized, np.uint8)


def _region(random: np.random.Generator, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Draw an outline: along the picture's own edges where they close, else a free one."""
    height, width = picture.shape[:2]
    place = random.uniform((0.3 * width, 0.3 * height), (0.7 * width, 0.7 * height))
    if random.random() < 0.6:
        soft = cv2.GaussianBlur(picture, (0, 0), 0.008 * height)
        flooded = np.zeros((height + 2, width + 2), np.uint8)
        spread = (int(random.integers(6, 30)),) * 3
        flags = 4 | (255 << 8) | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE
        start = (int(place[0]), int(place[1]))
        cv2.floodFill(soft.copy(), flooded, start, 0, spread, spread, flags)
        smooth = cv2.GaussianBlur(flooded[1:-1, 1:-1], (0, 0), 0.006 * height)
        share = float((smooth > 127).mean())
        if _LEAST_SHARE < share < _LARGEST_SHARE:
            return np.asarray(np.clip((smooth.astype(np.float32) - 96) / 64, 0, 1), np.float32)
    return blob(random, (width, height), place, random.uniform(0.04, 0.16) * height)


def _sheet(
    picture: NDArray[np.uint8],
    mask: NDArray[np.float32],
    track_id: int,
    sway: float,
    travel: float,
) -> TissueLayer:
    return TissueLayer(
        color=picture,
        alpha=(255 * mask).astype(np.uint8),
        class_map=np.full(mask.shape, track_id, np.uint8),
        wetness=np.zeros(mask.shape, np.uint8),
        sway=sway,
        travel=travel,
    )
