"""Export `CVAT for video 1.1`: masks with the ids of their tracks, to correct in CVAT.

The format is documented at docs.cvat.ai (XML annotation format). CVAT has no tracks of masks: of
a track that begins with a mask its importer keeps the first one and drops the rest, and its own
exporter writes each mask as a track of one frame. So does this one; what belongs together says
the attribute `track_id`. datumaro, which also writes CVAT files, drops masks, and no other
kept-up library writes them.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, pairwise
from pathlib import Path
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

import numpy as np
from numpy.typing import NDArray

from pipeline.exports.notes import NOTE_KEY, notes_of
from pipeline.exports.selection import Selection
from pipeline.labels import LabelClass
from pipeline.manifest import VideoEntry
from pipeline.masks import decode_mask, rle_box
from pipeline.output import whole_file
from pipeline.records import FrameAnnotation, TrackAnnotation

TRACK_ATTRIBUTE = "track_id"
"""The attribute of a mask that says which track it belongs to; 0 or none says a new one."""


def export_cvat(selection: Selection, path: Path) -> None:
    """Write one XML file to upload to a CVAT task of the same video.

    Each mask is a `track` of one frame, with an entry that is `outside` on the next one. The
    frame numbers are the video's. CVAT keeps the attribute `track_id` where the task's labels
    have it; the file's own labels say how. What was exported is noted in an element of our own,
    which CVAT passes over and does not keep.

    Raises:
        OutputError: the file exists already or cannot be written.
    """
    with whole_file(path) as draft, draft.open("w", encoding="utf-8") as file:
        _write_document(XMLGenerator(file, "utf-8"), selection)


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


def _write_document(xml: XMLGenerator, selection: Selection) -> None:
    names = {label.id: label.name for label in selection.labels}
    count = 0
    xml.startDocument()
    with _element(xml, "annotations"):
        _write_text(xml, "version", "1.1")
        _write_meta(xml, selection)
        for frame, following in _with_following(selection):
            for track in frame.tracks:
                name = names[track.class_id]
                mask = _mask_attributes(track)
                with _element(xml, "track", id=str(count), label=name, source="auto"):
                    _write_mask(xml, track, mask, frame.index, outside=False)
                    if following is not None:
                        _write_mask(xml, track, mask, following, outside=True)
                count += 1
    xml.endDocument()


def _with_following(selection: Selection) -> Iterator[tuple[FrameAnnotation, int | None]]:
    """Yield each exported frame with the index of the next one."""
    for frame, following in pairwise(chain(selection.frames(), [None])):
        if frame is not None:
            yield frame, None if following is None else following.index


def _write_meta(xml: XMLGenerator, selection: Selection) -> None:
    video = selection.annotation_set.manifest.video
    with _element(xml, "meta"):
        _write_text(xml, NOTE_KEY, json.dumps(notes_of(selection)))
        _write_task(xml, selection, video)


def _write_task(xml: XMLGenerator, selection: Selection, video: VideoEntry) -> None:
    with _element(xml, "task"):
        _write_text(xml, "name", video.name)
        _write_text(xml, "size", str(video.frame_count))
        _write_text(xml, "mode", "interpolation")
        with _element(xml, "labels"):
            for label in selection.labels:
                _write_label(xml, label)
        with _element(xml, "original_size"):
            _write_text(xml, "width", str(video.width))
            _write_text(xml, "height", str(video.height))


def _write_label(xml: XMLGenerator, label: LabelClass) -> None:
    with _element(xml, "label"):
        _write_text(xml, "name", label.name)
        _write_text(xml, "color", label.hex_color)
        with _element(xml, "attributes"), _element(xml, "attribute"):
            _write_text(xml, "name", TRACK_ATTRIBUTE)
            _write_text(xml, "mutable", "False")
            _write_text(xml, "input_type", "number")
            _write_text(xml, "default_value", "0")
            _write_text(xml, "values", "0\n1000000\n1")


def _write_mask(
    xml: XMLGenerator, track: TrackAnnotation, mask: dict[str, str], frame: int, *, outside: bool
) -> None:
    attributes = {
        "frame": str(frame),
        **mask,
        "keyframe": "1",
        "outside": str(int(outside)),
        "occluded": "0",
        "z_order": "0",
    }
    with _element(xml, "mask", **attributes), _element(xml, "attribute", name=TRACK_ATTRIBUTE):
        xml.characters(str(track.track_id))


@contextmanager
def _element(xml: XMLGenerator, name: str, /, **attributes: str) -> Iterator[None]:
    xml.startElement(name, AttributesImpl(attributes))
    yield
    xml.endElement(name)


def _write_text(xml: XMLGenerator, name: str, text: str) -> None:
    with _element(xml, name):
        xml.characters(text)
