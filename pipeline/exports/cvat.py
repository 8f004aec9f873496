"""Export `CVAT for video 1.1`: tracks of masks, to correct in CVAT.

The format is documented at docs.cvat.ai (XML annotation format). datumaro, which also writes
CVAT files, drops masks, and no other kept-up library writes tracks of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

import numpy as np
from numpy.typing import NDArray

from pipeline.exports.output import whole_file
from pipeline.exports.selection import Selection
from pipeline.exports.spool import TrackKey, TrackSpool
from pipeline.masks import decode_mask, rle_box
from pipeline.records import TrackAnnotation


def export_cvat(selection: Selection, path: Path) -> None:
    """Write one XML file to upload to a CVAT task of the same video.

    Each track has a mask for each frame it shows in, a key frame where the outline changes,
    and an entry that is `outside` where it leaves. The frame numbers are the video's.

    Raises:
        OutputError: the file exists already or cannot be written.
    """
    with whole_file(path) as draft, TemporaryDirectory(dir=draft.parent) as scratch:
        spool = TrackSpool(Path(scratch))
        frames = _spool_masks(selection, spool)
        with draft.open("w", encoding="utf-8") as file:
            _write_document(XMLGenerator(file, "utf-8"), selection, spool, frames)


def _spool_masks(selection: Selection, spool: TrackSpool) -> list[int]:
    """Sort masks by track; returns the numbers of the frames that are exported."""
    frames = []
    for frame in selection.frames():
        frames.append(frame.index)
        for track in frame.tracks:
            line = {"frame": frame.index, **_mask_attributes(track)}
            spool.add((track.track_id, track.class_id), line)
    return frames


def _mask_attributes(track: TrackAnnotation) -> dict[str, str]:
    x, y, width, height = rle_box(track.rle)
    part = decode_mask(track.rle)[y : y + height, x : x + width]
    return {
        "rle": ", ".join(map(str, row_runs(part))),
        "left": str(x),
        "top": str(y),
        "width": str(width),
        "height": str(height),
    }


def row_runs(mask: NDArray[np.bool_]) -> list[int]:
    """Return the lengths of the runs of a mask bool[H, W], row by row, beginning with outside."""
    pixels = np.concatenate([[False], mask.ravel()])
    changes = np.flatnonzero(pixels[1:] != pixels[:-1])
    runs: list[int] = np.diff(np.concatenate([[0], changes, [mask.size]])).tolist()
    return runs


def _write_document(
    xml: XMLGenerator, selection: Selection, spool: TrackSpool, frames: list[int]
) -> None:
    names = {label.id: label.name for label in selection.labels}
    xml.startDocument()
    with _element(xml, "annotations"):
        _write_text(xml, "version", "1.1")
        _write_meta(xml, selection)
        for number, key in enumerate(spool.tracks()):
            with _element(xml, "track", id=str(number), label=names[key[1]], source="auto"):
                _write_masks(xml, spool, key, frames)
    xml.endDocument()


def _write_meta(xml: XMLGenerator, selection: Selection) -> None:
    video = selection.annotation_set.manifest.video
    with _element(xml, "meta"), _element(xml, "task"):
        _write_text(xml, "name", video.name)
        _write_text(xml, "size", str(video.frame_count))
        _write_text(xml, "mode", "interpolation")
        with _element(xml, "labels"):
            for label in selection.labels:
                with _element(xml, "label"):
                    _write_text(xml, "name", label.name)
                    _write_text(xml, "color", "#{:02x}{:02x}{:02x}".format(*label.color))
                    _write_text(xml, "attributes", "")
        with _element(xml, "original_size"):
            _write_text(xml, "width", str(video.width))
            _write_text(xml, "height", str(video.height))


def _write_masks(xml: XMLGenerator, spool: TrackSpool, key: TrackKey, frames: list[int]) -> None:
    """Write a track's masks; where it leaves, its last mask is repeated as `outside`."""
    following = dict(pairwise(frames))
    last: dict[str, Any] | None = None
    for line in spool.lines(key):
        if last is not None and following[last["frame"]] != line["frame"]:
            _write_mask(xml, last | {"frame": following[last["frame"]]}, keyframe="1", outside="1")
        unchanged = last is not None and _outline(last) == _outline(line)
        _write_mask(xml, line, keyframe="0" if unchanged else "1", outside="0")
        last = line
    if last is not None and last["frame"] in following:
        _write_mask(xml, last | {"frame": following[last["frame"]]}, keyframe="1", outside="1")


def _outline(line: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name != "frame"}


def _write_mask(xml: XMLGenerator, line: dict[str, Any], *, keyframe: str, outside: str) -> None:
    attributes = {name: str(value) for name, value in line.items()}
    attributes |= {"keyframe": keyframe, "outside": outside, "occluded": "0", "z_order": "0"}
    with _element(xml, "mask", **attributes):
        pass


@contextmanager
def _element(xml: XMLGenerator, name: str, **attributes: str) -> Iterator[None]:
    xml.startElement(name, AttributesImpl(attributes))
    yield
    xml.endElement(name)


def _write_text(xml: XMLGenerator, name: str, text: str) -> None:
    with _element(xml, name):
        xml.characters(text)
