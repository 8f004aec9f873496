"""Read corrections from Label Studio's JSON export: brushes and polygons, one task a frame."""

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.exports.selection import Selection
from pipeline.imports.drawing import (
    Classes,
    Drawing,
    DrawnObject,
    frame_of_name,
    not_of_video,
)
from pipeline.imports.json_entries import json_entries
from pipeline.masks import RLE, encode_mask, polygon_rle

_WINDOW = struct.Struct(">Q")
# Red, green, blue and opacity.
_CHANNELS = 4
_READABLE = ("brushlabels", "polygonlabels")
# What these are while they have no label.
_UNLABELLED = ("brush", "polygon")
# What says something of a picture or of another region, and draws nothing.
_WITHOUT_SHAPE = (
    "choices", "datetime", "number", "pairwise", "ranker", "rating", "relation", "taxonomy",
    "textarea",
)  # fmt: skip


def read_label_studio(path: Path, selection: Selection) -> Drawing:
    """Read the last annotation of each task; tasks without one were not looked at.

    A project may have tasks of several videos; those of others are left out.

    A frame is told by the task's `frame_index`, or by the number at the end of its picture's
    name; a track by the region's id or note, as the export wrote them.

    Args:
        path: the JSON file (`JSON`, not `JSON-MIN`).
        selection: what was exported.

    Raises:
        InputError: it is no such file, has regions or classes that cannot be taken over, or a
            frame was annotated in two tasks.
    """
    classes = Classes(selection, path)
    objects: dict[int, list[DrawnObject]] = {}
    try:
        for task in _of_video(path, selection):
            regions = _last_annotation(task)
            if regions is not None:
                frame_index = _frame_index(task["data"], path)
                if frame_index in objects:
                    raise InputError(
                        f"{path} has two annotated tasks of frame {frame_index}; delete the "
                        "annotation of one of them, and export it again"
                    )
                objects[frame_index] = list(_drawn(regions, frame_index, classes, selection, path))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is not Label Studio's JSON export ({error}); export it as JSON again"
        ) from error
    return Drawing(path=path, objects=objects, shown=frozenset(objects), class_ids=classes.ids)


def _of_video(path: Path, selection: Selection) -> Iterator[dict[str, Any]]:
    """Yield the tasks of the selection's video; there must be one."""
    video = selection.video_name
    is_there = False
    for task in json_entries(path):
        if task["data"].get("video", video) == video:
            is_there = True
            yield task
    if not is_there:
        raise not_of_video(path, selection)


def unpack_runs(packed: list[int], length: int) -> NDArray[np.uint8]:
    """Decode Label Studio's packed runs (thi.ng/rle-pack).

    Args:
        packed: bytes.
        length: how many values they must give.

    Returns:
        uint8[length].

    Raises:
        ValueError: they are damaged, or give another number of values.
    """
    bits = _Bits(packed)
    if bits.number(32) != length:
        raise ValueError("its brush is not of the video's size")
    word = bits.number(5) + 1
    sizes = [bits.number(4) + 1 for _ in range(4)]
    values = np.zeros(length, np.uint8)
    done = 0
    while done < length:
        count, value = bits.run(sizes, word)
        end = done + count
        if end > length:
            raise ValueError("its brush is damaged")
        if value != 0:
            values[done:end] = bits.numbers(count, word) if value is None else value
        done = end
    return values


class _Bits:
    """Reads numbers of any width from bytes, the highest bit first."""

    def __init__(self, packed: list[int]) -> None:
        self._bytes = np.array(packed, np.uint8)
        self._length = 8 * len(self._bytes)
        # Eight bytes are read at once, also at the end.
        self._padded = self._bytes.tobytes() + bytes(8)
        self._place = 0

    def number(self, width: int) -> int:
        """Return the next number of up to 56 bits."""
        (window,) = _WINDOW.unpack_from(self._padded, self._place >> 3)
        number: int = window >> 64 - width - (self._place & 7) & (1 << width) - 1
        self._pass_over(width)
        return number

    def run(self, sizes: list[int], word: int) -> tuple[int, int | None]:
        """Return how many values come next, and what they all are; None if they follow singly.

        There are very many runs, so each is taken out of one window.

        Args:
            sizes: the four numbers of bits that a length may take.
            word: bits of a value.
        """
        (window,) = _WINDOW.unpack_from(self._padded, self._place >> 3)
        left = 61 - (self._place & 7)
        is_run, kind = window >> left + 2 & 1, window >> left & 3
        left -= sizes[kind]
        count = (window >> left & (1 << sizes[kind]) - 1) + 1
        self._pass_over(3 + sizes[kind] + word * is_run)
        return count, window >> left - word & (1 << word) - 1 if is_run else None

    def numbers(self, count: int, width: int) -> NDArray[np.int64]:
        start = self._place
        self._pass_over(count * width)
        bits = np.unpackbits(self._bytes[start >> 3 : (self._place + 7) >> 3])
        rows = bits[start & 7 :][: count * width].reshape(count, width)
        return np.asarray(rows @ (1 << np.arange(width)[::-1]), np.int64)

    def _pass_over(self, width: int) -> None:
        self._place += width
        if self._place > self._length:
            raise ValueError("its brush ends too early")


def _last_annotation(task: dict[str, Any]) -> list[dict[str, Any]] | None:
    given = [entry for entry in task["annotations"] if not entry.get("was_cancelled")]
    if not given:
        return None
    # Of equal ones, and of those without a time, the last counts.
    times = [str(entry.get("updated_at", "")) for entry in given]
    last = max(range(len(given)), key=lambda number: (times[number], number))
    regions: list[dict[str, Any]] = given[last]["result"]
    return regions


def _frame_index(data: dict[str, Any], path: Path) -> int:
    if data.get("frame_index") is not None:
        return int(data["frame_index"])
    return frame_of_name(str(data["image"]), path)


def _drawn(
    regions: list[dict[str, Any]],
    frame_index: int,
    classes: Classes,
    selection: Selection,
    path: Path,
) -> Iterator[DrawnObject]:
    for region in regions:
        kind = region["type"]
        try:
            if kind in _WITHOUT_SHAPE:
                continue
            if kind not in (*_READABLE, *_UNLABELLED):
                raise ValueError("it is neither a brush nor a polygon")
            if float(region.get("image_rotation") or 0) % 360:
                # Its points and its brush are of the picture as it was turned.
                raise ValueError("it is of a picture that is turned there, which must be upright")
            names = region["value"].get(kind) or []
            if kind in _UNLABELLED or len(names) != 1:
                raise ValueError("it needs one label, and no other")
            outlined = kind == "polygonlabels"
            rle = (_polygon if outlined else _brush)(region, selection.size)
            yield DrawnObject(
                class_id=classes[names[0]], rle=rle, track_id=_track(region), outlined=outlined
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(
                f"{path} has a region of type {kind} on frame {frame_index} that cannot be read "
                f"({error}); mend it there, or draw it again with the brush"
            ) from error


def _brush(region: dict[str, Any], size: tuple[int, int]) -> RLE:
    """Take every pixel that the brush has touched."""
    values = unpack_runs(region["value"]["rle"], size[0] * size[1] * _CHANNELS)
    return encode_mask(values.reshape(*size, _CHANNELS)[..., -1] > 0)


def _polygon(region: dict[str, Any], size: tuple[int, int]) -> RLE:
    """Fill a polygon, whose points are per cent of the picture's sides."""
    points = np.array(region["value"]["points"], np.float64).reshape(-1, 2)
    return polygon_rle([points * (size[1], size[0]) / 100], size)


def _track(region: dict[str, Any]) -> int | None:
    # The id of a region that was taken over from a prediction may have got a tail.
    texts = [str(region.get("id", "")).partition("#")[0], *_notes(region)]
    for text in texts:
        found = re.fullmatch(r"track[- ](\d+)", text)
        if found and int(found[1]) > 0:
            return int(found[1])
    return None


def _notes(region: dict[str, Any]) -> list[str]:
    notes = (region.get("meta") or {}).get("text") or []
    return [notes] if isinstance(notes, str) else [str(note) for note in notes]
