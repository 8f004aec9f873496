"""`CVAT for video 1.1`: an XML file with tracks of masks and polygons, and its frames beside it.

The format is documented at docs.cvat.ai (XML annotation format); CVAT writes every frame in which
a track shows, those between two key frames interpolated.
"""

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn
from xml.etree.ElementTree import Element, ParseError

import numpy as np
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse
from numpy.typing import NDArray

from overseer.datasets.labelled_frames import (
    FRAMES_OF_A_VIDEO,
    FrameReading,
    Instance,
    LabelledFrames,
    check_size,
    clip_of_instances,
    gather_readings,
    polygon_mask,
)
from pipeline.errors import InputError
from pipeline.frames import VIDEO_SUFFIXES, open_video
from pipeline.imports.cvat import SHAPES, mask_of_attributes
from pipeline.labelled_clip import LabelledClip
from pipeline.labels import LabelClass, LabelSet, default_color
from pipeline.picture_files import list_images, read_image
from pipeline.single_frames import chosen_frames

_PREFIX = "frame_"
# The mode of a task that was made of pictures, not of a video.
_OF_PICTURES = "annotation"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """One track in one frame, as the file has it."""

    label: str
    kind: str
    attributes: dict[str, str]


@dataclass(slots=True, kw_only=True)
class _Document:
    """A file: its labels with their colours, what was annotated, and shapes by frame."""

    file: Path
    labels: dict[str, str] = field(default_factory=dict)
    source: str = ""
    mode: str = ""
    size: tuple[int, int] | None = None
    frames: dict[int, list[_Shape]] = field(default_factory=dict)


def read_cvat(folder: Path, label_set: LabelSet | None, longest_side: int) -> LabelledFrames:
    """Read `CVAT for video 1.1`, at most 200 evenly spaced frames of each video.

    The frames are in `images/` beside the XML file, as CVAT exports them, or in the video itself
    beside it; the file is a video. Frames without any shape are not read.

    Args:
        folder: holds the XML files, at any depth.
        label_set: its classes by name; without it each label of the files is a thing.
        longest_side: larger pictures are shrunk to this many pixels.

    Raises:
        InputError: no frame can be used.
    """
    documents: list[_Document] = []
    damaged: list[FrameReading] = []
    for file in sorted(folder.rglob("*.xml")):
        try:
            documents.append(_read(file))
        except InputError as error:
            damaged.append(_unreadable(file, error))
    classes = label_set or _found_labels(documents)
    readings = (
        reading
        for document in documents
        for reading in _readings(folder, document, classes, longest_side)
    )
    return gather_readings(folder, chain(damaged, readings), classes, wanted="XML file")


def _read(file: Path) -> _Document:
    document = _Document(file=file)
    try:
        for _, element in iterparse(str(file), forbid_dtd=True):
            _take(document, element)
    except (OSError, ParseError, DefusedXmlException, ValueError, KeyError) as error:
        raise InputError(
            f"{file} is not a file in CVAT for video 1.1 ({error}); export it anew, or remove it"
        ) from error
    if not document.frames:
        raise InputError(f"{file} has no tracks; export the task as CVAT for video 1.1")
    return document


def _take(document: _Document, element: Element) -> None:
    """Take over what an element says, and free the memory of a track that has been read."""
    if element.tag == "label":
        document.labels[element.findtext("name", "")] = element.findtext("color") or ""
    elif element.tag == "source":
        document.source = (element.text or "").strip()
    elif element.tag == "mode":
        document.mode = (element.text or "").strip()
    elif element.tag == "original_size":
        size = element.findtext("height"), element.findtext("width")
        document.size = int(size[0] or 0), int(size[1] or 0)
    elif element.tag == "tasks" and len(element) > 1:
        raise InputError(
            f"{document.file} holds the {len(element)} tasks of a project, whose frames have the "
            "same numbers; export them one by one, into folders of their own"
        )
    elif element.tag == "track":
        for child in element:
            if child.tag in SHAPES and child.get("outside") != "1":
                shape = _Shape(
                    label=element.attrib["label"], kind=child.tag, attributes=dict(child.attrib)
                )
                document.frames.setdefault(int(child.attrib["frame"]), []).append(shape)
        element.clear()


def _found_labels(documents: list[_Document]) -> LabelSet:
    colors: dict[str, str] = {}
    for document in documents:
        shapes = (shape for shapes in document.frames.values() for shape in shapes)
        colors |= dict.fromkeys((shape.label for shape in shapes), "") | document.labels
    return LabelSet(
        name="cvat",
        classes=tuple(
            LabelClass(id=number, name=name, kind="thing", color=_color(text, number), value=number)
            for number, (name, text) in enumerate(sorted(colors.items()), 1)
        ),
    )


def _color(text: str, number: int) -> tuple[int, int, int]:
    if not re.fullmatch("#[0-9a-fA-F]{6}", text):
        return default_color(number)
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def _readings(
    folder: Path, document: _Document, label_set: LabelSet, longest_side: int
) -> Iterator[FrameReading]:
    """Yield the frames of a file that have shapes; what hinders reading them all is one problem."""
    every = -(-len(document.frames) // FRAMES_OF_A_VIDEO)
    wanted = sorted(document.frames)[::every]
    video = document.file.parent.relative_to(folder).as_posix()
    name = document.source or (folder.resolve().name if video == "." else video)

    def reading(path: Path, read_picture: Any, frame: int) -> FrameReading:
        read = partial(_frame, document, frame, read_picture, label_set, longest_side)
        return FrameReading(path=path, video=name, read=read)

    try:
        pictures = document.file.parent / "images"
        if pictures.is_dir():
            for frame, path in _picture_files(document, pictures, wanted):
                yield reading(path, partial(read_image, path), frame)
        else:
            path = _video_file(document)
            for frame, image in _decode(document, path, wanted):
                yield reading(path, partial(np.asarray, image), frame)
    except InputError as error:
        yield _unreadable(document.file, error)


def _unreadable(file: Path, error: InputError) -> FrameReading:
    def read() -> NoReturn:
        raise error

    return FrameReading(path=file, video=file.stem, read=read)


def _picture_files(
    document: _Document, pictures: Path, wanted: list[int]
) -> Iterator[tuple[int, Path]]:
    """Yield (frame, picture): by the number in CVAT's own names, else in CVAT's order.

    A task of pictures keeps their names, and has them in the order of characters: 1, 10, 2.
    """
    files = sorted(list_images(pictures), key=lambda file: file.name)
    by_frame = {
        int(file.stem.removeprefix(_PREFIX)): file
        for file in files
        if re.fullmatch(rf"{_PREFIX}\d+", file.stem)
    }
    if document.mode == _OF_PICTURES or len(by_frame) < len(files):
        by_frame = dict(enumerate(files))
    for frame in wanted:
        if frame not in by_frame:
            raise InputError(
                f"{document.file} has shapes in frame {frame}, which is not in {pictures}; "
                "export the task with its images"
            )
        yield frame, by_frame[frame]


def _video_file(document: _Document) -> Path:
    """Return the video beside a file: the one that it names, or the only one."""
    folder = document.file.parent
    named = folder / Path(document.source).name
    if document.source and named.is_file():
        return named
    videos = [file for file in sorted(folder.iterdir()) if file.suffix.lower() in VIDEO_SUFFIXES]
    if len(videos) != 1:
        wanted = document.source or "its video"
        raise InputError(
            f"{document.file} has neither a folder images nor {wanted} beside it; put one there"
        )
    return videos[0]


def _decode(
    document: _Document, path: Path, wanted: list[int]
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    video = open_video(path)
    if wanted[-1] >= video.info.frame_count:
        raise InputError(
            f"{document.file} has shapes in frame {wanted[-1]}, but {path} has "
            f"{video.info.frame_count} frames; give the video that was annotated"
        )
    with closing(chosen_frames(video, wanted)) as frames:
        yield from frames


def _frame(
    document: _Document, frame: int, read_picture: Any, label_set: LabelSet, longest_side: int
) -> LabelledClip:
    image: NDArray[np.uint8] = read_picture()
    size = (image.shape[0], image.shape[1])
    check_size(document.file, document.size or size, size)
    numbers = {label.name: label.id for label in label_set.classes}
    instances: list[Instance] = []
    for shape in _from_behind(document, frame):
        if shape.label not in numbers:
            raise InputError(
                f"{document.file} has the label {shape.label!r} in frame {frame}, which label set "
                f"{label_set.name} does not know; add it to --labels"
            )
        try:
            instances.append((numbers[shape.label], _mask(shape, size)))
        except (KeyError, ValueError) as error:
            raise InputError(
                f"{document.file} has a {shape.kind} in frame {frame} that cannot be read "
                f"({error}); draw it anew as a mask or polygon"
            ) from error
    return clip_of_instances(image, instances, longest_side)


def _from_behind(document: _Document, frame: int) -> list[_Shape]:
    """Return a frame's shapes: of two the one of the higher z_order lies over the other."""
    try:
        return sorted(
            document.frames[frame], key=lambda shape: int(shape.attributes.get("z_order", 0))
        )
    except ValueError as error:
        raise InputError(
            f"{document.file} has a z_order in frame {frame} that is no whole number ({error}); "
            "repair it"
        ) from error


def _mask(shape: _Shape, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return a shape's mask bool[H, W]; ValueError or KeyError if it has none."""
    attributes = shape.attributes
    if shape.kind not in ("mask", "polygon"):
        # What is not filled would be learned as background.
        raise ValueError(f"a {shape.kind} says nothing of the outline")
    if shape.kind == "polygon":
        points = [float(value) for value in re.split("[;,]", attributes["points"])]
        if len(points) < 6 or len(points) % 2:
            raise ValueError("it has fewer than 3 points")
        return polygon_mask([points], size)
    return mask_of_attributes(attributes, size)
