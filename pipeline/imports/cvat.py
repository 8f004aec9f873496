"""Read corrections from `CVAT for video 1.1`: an XML file, or the zip file that CVAT makes.

The XML comes from outside and is parsed by defusedxml, which expands no entities.
"""

import re
import zipfile
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from xml.etree.ElementTree import Element, ParseError

import numpy as np
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.exports.cvat import TRACK_ATTRIBUTE
from pipeline.exports.selection import Selection
from pipeline.imports.drawing import (
    Classes,
    Drawing,
    DrawnObject,
    given_track,
    require_size,
)
from pipeline.masks import encode_mask, placed_mask, polygon_rle, require_within

SHAPES = ("mask", "polygon", "box", "polyline", "points", "ellipse", "cuboid", "skeleton")


def read_cvat(path: Path, selection: Selection) -> Drawing:
    """Read masks and polygons.

    The file does not say which frames were exported, so the selection does; the task's or the
    job's first and last frame, and its frame step, limit them. Where a track of several frames is
    outside, its object is not there.

    Args:
        path: the XML file, or the zip file with `annotations.xml`.
        selection: what was exported.

    Raises:
        InputError: it is no such file, or has shapes or classes that cannot be taken over.
    """
    reader = _Reader(path, selection)
    try:
        with open_xml(path) as file:
            reader.read(file)
    except (ParseError, DefusedXmlException, ValueError, OSError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} is not a file of CVAT for video 1.1 ({error}); export it from CVAT again"
        ) from error
    return reader.drawing()


@contextmanager
def open_xml(path: Path) -> Iterator[IO[bytes]]:
    """Open the XML file, in a zip file or not.

    Raises:
        InputError: a zip file holds none.
    """
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            yield file
        return
    with zipfile.ZipFile(path) as archive:
        if "annotations.xml" not in archive.namelist():
            raise InputError(
                f"{path} holds no annotations.xml; export CVAT for video 1.1 from CVAT again"
            )
        with archive.open("annotations.xml") as member:
            yield member


class _Reader:
    """Gathers objects while the XML goes by; what has been read is dropped."""

    def __init__(self, path: Path, selection: Selection) -> None:
        self._path = path
        self._selection = selection
        self._classes = Classes(selection, path)
        self._labels: list[str] = []
        self._first = 0
        self._last: int | None = None
        self._step = 1
        self._objects: dict[int, list[DrawnObject]] = {}
        # Frames of the track that goes by: those with a shape, and those it is said to be away on.
        self._inside: list[int] = []
        self._outside: list[int] = []
        self._picture_size: dict[str, int] = {}
        self._is_cvat = False
        self._tasks = 0

    def read(self, file: IO[bytes]) -> None:
        above: list[Element] = []
        for event, element in iterparse(file, events=("start", "end")):
            if event == "start":
                above.append(element)
                self._is_cvat |= element.tag == "annotations"
                continue
            above.pop()
            self._take(element, above)
            # A shape is read with its attributes; nothing else is needed once it has gone by.
            if above and element.tag != "attribute":
                above[-1].remove(element)

    def drawing(self) -> Drawing:
        if not self._is_cvat:
            raise InputError(
                f"{self._path} is not a file of CVAT for video 1.1; export it from CVAT again"
            )
        shown = frozenset(
            frame.index
            for frame in self._selection.frames()
            if self._first <= frame.index
            and (self._last is None or frame.index <= self._last)
            and (frame.index - self._first) % self._step == 0
        )
        return Drawing(
            path=self._path,
            objects=self._objects,
            shown=shown,
            class_ids=self._classes.known(self._labels) if self._labels else self._classes.ids,
        )

    def _take(self, element: Element, above: list[Element]) -> None:
        inside = above[-1].tag if above else ""
        if element.tag == "image":
            raise InputError(
                f"{self._path} is of the kind CVAT for images; export CVAT for video 1.1"
            )
        if element.tag == "tasks" and self._tasks > 1:
            raise InputError(
                f"{self._path} holds the {self._tasks} tasks of a project, whose frames have the "
                "same numbers; export the task of the video alone"
            )
        self._tasks += inside == "tasks"
        if inside == "track" and element.tag in SHAPES:
            self._take_shape(element, above[-1])
        elif element.tag == "track":
            self._end_track(element)
        elif inside == "label" and element.tag == "name":
            self._labels.append(element.text or "")
        elif inside == "original_size":
            self._picture_size[element.tag] = int(element.text or 0)
        elif element.tag == "original_size" and {"width", "height"} <= self._picture_size.keys():
            size = self._picture_size
            require_size(size["width"], size["height"], self._path, self._selection)
        elif inside in ("task", "job") and element.tag == "start_frame":
            self._first = int(element.text or 0)
        elif inside in ("task", "job") and element.tag == "stop_frame":
            self._last = int(element.text) if element.text else None
        elif inside in ("task", "job") and element.tag == "frame_filter":
            step = re.fullmatch(r"\s*step\s*=\s*([1-9]\d*)\s*", element.text or "")
            self._step = int(step[1]) if step else 1

    def _take_shape(self, shape: Element, track: Element) -> None:
        frame = shape.get("frame", "?")
        if shape.get("outside") == "1":
            self._outside.append(int(frame))
            return
        try:
            drawn = self._drawn(shape, track)
            self._inside.append(int(frame))
            self._objects.setdefault(int(frame), []).append(drawn)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{self._path} has a {shape.tag} on frame {frame} that cannot be read ({error}); "
                "draw it again as a mask or a polygon"
            ) from error

    def _drawn(self, shape: Element, track: Element) -> DrawnObject:
        size = self._selection.size
        if shape.tag == "mask":
            rle = encode_mask(mask_of_attributes(shape.attrib, size))
        elif shape.tag == "polygon":
            points = [pair.split(",") for pair in shape.attrib["points"].split(";")]
            rle = polygon_rle([np.array(points, np.float64)], size)
        else:
            raise ValueError("it is neither a mask nor a polygon")
        attribute = shape.find(f"attribute[@name='{TRACK_ATTRIBUTE}']")
        return DrawnObject(
            class_id=self._classes[track.get("label", "")],
            rle=rle,
            track_id=None if attribute is None else given_track(attribute.text),
            entry=track.get("id"),
            outlined=shape.tag == "polygon",
        )

    def _end_track(self, track: Element) -> None:
        """Note on which frames an object that was drawn before is said to be away, by empty masks.

        That are the first and the last frame of each time that it is away for.
        """
        inside, outside = sorted(self._inside), sorted(self._outside)
        self._inside, self._outside = [], []
        # CVAT itself lets a shape of one frame alone be outside on the next one.
        if len(inside) < 2:
            return
        for frame, following in zip(inside, [*inside[1:], None], strict=True):
            place = bisect_right(outside, frame)
            for first in outside[place : place + 1]:
                if following is None or first < following:
                    last = first if following is None else following - self._step
                    for number in {first, last}:
                        self._objects.setdefault(number, []).append(self._away(track))

    def _away(self, track: Element) -> DrawnObject:
        return DrawnObject(
            class_id=self._classes[track.get("label", "")],
            rle=encode_mask(np.zeros(self._selection.size, np.bool_)),
            entry=track.get("id"),
        )


def mask_of_attributes(attributes: Mapping[str, str], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask bool[H, W] of a shape of the kind mask.

    Args:
        attributes: its box, and `rle`: runs within that, row by row, beginning with outside.
        size: (H, W).

    Raises:
        ValueError: the box leaves the frame, or the runs do not fill it; or something is no number.
        KeyError: one is missing.
    """
    width, height = int(attributes["width"]), int(attributes["height"])
    left, top = int(attributes["left"]), int(attributes["top"])
    require_within(left, top, (height, width), size)
    runs = [int(run) for run in attributes["rle"].split(",")]
    if min(runs) < 0 or sum(runs) != width * height:
        raise ValueError("its runs do not fill its box")
    part = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    return placed_mask(part, left, top, size)
