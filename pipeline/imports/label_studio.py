"""Read corrections from Label Studio's JSON export: brushes and polygons, one task a frame."""

import json
import re
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
from pipeline.masks import RLE, encode_mask, polygon_rle

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
    video = selection.video_name
    objects = {}
    try:
        tasks = json.loads(path.read_bytes())
        of_video = [task for task in tasks if task["data"].get("video", video) == video]
        if not of_video:
            raise not_of_video(path, selection)
        for task in of_video:
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
        is_run = bits.number(1)
        end = done + 1 + bits.number(sizes[bits.number(2)])
        if end > length:
            raise ValueError("its brush is damaged")
        values[done:end] = bits.number(word) if is_run else bits.numbers(end - done, word)
        done = end
    return values


class _Bits:
    """Reads numbers of any width from bytes, the highest bit first."""

    def __init__(self, packed: list[int]) -> None:
        self._bits = np.unpackbits(np.array(packed, np.uint8))
        self._text = (self._bits + ord("0")).tobytes().decode("ascii")
        self._place = 0

    def number(self, width: int) -> int:
        start = self._pass_over(width)
        return int(self._text[start : self._place], 2)

    def numbers(self, count: int, width: int) -> NDArray[np.int64]:
        start = self._pass_over(count * width)
        rows = self._bits[start : self._place].reshape(count, width)
        return np.asarray(rows @ (1 << np.arange(width)[::-1]), np.int64)

    def _pass_over(self, width: int) -> int:
        """Go on by so many bits; returns where they begin."""
        start, self._place = self._place, self._place + width
        if self._place > len(self._text):
            raise ValueError("its brush ends too early")
        return start


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
