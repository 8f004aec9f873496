"""What a file that a human corrected says: the objects of its frames, as they were drawn."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import InputError
from pipeline.exports.polygons import outlines
from pipeline.exports.selection import Selection
from pipeline.masks import RLE, decode_mask, polygon_rle
from pipeline.records import TrackAnnotation

Tracks = tuple[TrackAnnotation, ...]
_LARGEST_ID = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnObject:
    """One object in one frame of a corrected file.

    Attributes:
        class_id: its class in the set.
        rle: its mask at the video's size; an empty one says that it is not there.
        track_id: the track that the file says it belongs to; None where it says nothing.
        entry: what the file keeps together, such as a CVAT track; None where it keeps nothing.
        outlined: whether the mask was filled from a polygon.
    """

    class_id: int
    rle: RLE
    track_id: int | None = None
    entry: str | None = None
    outlined: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """The content of a corrected file.

    Attributes:
        path: the file or folder.
        objects: by frame index.
        shown: the frames that the human had before them in whole: a track that is missing from
            one of them was deleted there.
        class_ids: the classes that the file knows; tracks of others were not shown.
        as_exported: what the export writes of a frame's tracks, where that is less than all.
    """

    path: Path
    objects: Mapping[int, Sequence[DrawnObject]]
    shown: frozenset[int]
    class_ids: frozenset[int]
    as_exported: Callable[[Tracks], Tracks] = lambda tracks: tracks


class Classes:
    """The classes of a selection, by the names that a corrected file gives.

    Args:
        selection: what was exported.
        path: the corrected file, for messages.
    """

    def __init__(self, selection: Selection, path: Path) -> None:
        self._numbers = {label.name: label.id for label in selection.labels}
        self._path = path
        self.ids = frozenset(self._numbers.values())

    def __getitem__(self, name: str) -> int:
        """Return the id of a class.

        Raises:
            InputError: the set has no such class.
        """
        if name not in self._numbers:
            raise InputError(
                f"{self._path} has the class {name!r}, which is not among those exported; choose "
                f"one of {', '.join(self._numbers)}"
            )
        return self._numbers[name]

    def known(self, names: Sequence[str]) -> frozenset[int]:
        """Return the ids of those names that are classes of the set."""
        return frozenset(self._numbers[name] for name in names if name in self._numbers)


def outline_rle(rle: RLE) -> RLE:
    """Return what is left of a mask once a tool has made polygons of its parts' outlines."""
    rings = [ring.astype(np.float64) for ring in outlines(decode_mask(rle)) if len(ring) >= 3]
    return polygon_rle(rings, rle.size) if rings else rle


def frame_of_name(name: str, path: Path) -> int:
    """Return the frame index in a picture's name, such as 12 in `00012.jpg`.

    Raises:
        InputError: there is none.
    """
    digits = re.search(r"(\d+)\.\w+$", name)
    if digits is None:
        raise InputError(
            f"{path} has a picture {name!r} whose name does not end in its frame number; keep the "
            "names that the export gave"
        )
    return int(digits[1])


def not_of_video(path: Path, selection: Selection) -> InputError:
    """Return what to tell a user whose corrected file is of other videos alone."""
    return InputError(
        f"{path} has no picture of {selection.video_name}; give what was made of "
        f"{selection.annotation_set.path}, with the names that the export gave to pictures"
    )


def require_size(width: int, height: int, path: Path, selection: Selection) -> None:
    """Check that what was drawn on has the video's size, since coordinates are of its pixels.

    Args:
        width: of the file's pictures.
        height: of the file's pictures.
        path: the corrected file, for messages.
        selection: what was exported.

    Raises:
        InputError: it has another size.
    """
    # Of a video that lies on its side some tools give the sizes as they are stored.
    if {width, height} != set(selection.size):
        rows, columns = selection.size
        raise InputError(
            f"{path} is of pictures of {width}x{height} pixels, the video has {columns}x{rows}; "
            "draw on the annotated video itself, or on the pictures that the export gave"
        )


def given_track(value: object) -> int | None:
    """Return a track id that a file gives, also as 7.0; what is empty or below 1 gives none.

    Raises:
        ValueError: it is not a whole number, or a very large one.
    """
    text = "" if value is None else str(value).strip()
    # CVAT writes the attributes of a COCO export that are numbers as 7.0.
    number = float(text or 0)
    if not number.is_integer():
        raise ValueError(f"track id {text} is not a whole number")
    if number > _LARGEST_ID:
        raise ValueError(f"track id {text} is too large")
    return int(number) if number > 0 else None
