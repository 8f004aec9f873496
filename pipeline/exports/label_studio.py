"""Export frames with brush masks as predictions, to correct in Label Studio.

Label Studio has no masks in videos, so each frame is a task of its own. The SDK's own encoder
takes each pixel by itself, which is seconds a mask at 1080p, and the package pins an old OpenCV;
its decoder reads the masks back in the tests.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from pipeline.exports.coco import write_list
from pipeline.exports.cvat import row_runs
from pipeline.exports.notes import NOTE_KEY, notes_of
from pipeline.exports.pictures import frames_with_written_pictures
from pipeline.exports.selection import Selection
from pipeline.masks import decode_mask
from pipeline.output import whole_folder
from pipeline.records import FrameAnnotation, TrackAnnotation

# thi.ng/rle-pack, which Label Studio uses: a run's length takes one of four numbers of bits.
_LENGTH_BITS = (3, 6, 10, 16)
_WORD_BITS = 8
# A brush is painted on pixels of red, green, blue and opacity.
_CHANNELS = 4


def export_label_studio(selection: Selection, path: Path) -> None:
    """Write `tasks.json` to import, `label_config.xml` for the project, and `images/`.

    The pictures are referred to as local files: let Label Studio's
    `LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT` be the folder that the export is in.

    Raises:
        InputError: pictures are wanted, but the annotated video is gone or has changed.
        OutputError: the folder exists already or cannot be written.
    """
    with whole_folder(path) as draft:
        (draft / "label_config.xml").write_text(_label_config(selection))
        frames = frames_with_written_pictures(selection, draft / "images")
        with (draft / "tasks.json").open("w") as file:
            write_list(_tasks(frames, selection, path.name), file)


def pack_runs(mask: NDArray[np.bool_]) -> list[int]:
    """Encode a mask bool[H, W] as Label Studio's brush: the bytes of its packed runs."""
    head = [(mask.size * _CHANNELS, 32), (_WORD_BITS - 1, 5)]
    head += [(bits - 1, 4) for bits in _LENGTH_BITS]
    runs, widths = _runs(mask)
    numbers = np.concatenate([[number for number, _ in head], runs])
    return _packed_bits(numbers, np.concatenate([[bits for _, bits in head], widths]))


def _runs(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return a number for each run, and how many bits it has.

    They say that it is a run, which of the four numbers of bits its length takes, its length, and
    what it repeats.
    """
    longest = 2 ** _LENGTH_BITS[-1]
    lengths = np.array(row_runs(mask)) * _CHANNELS
    pieces = -(-lengths // longest)
    places = np.repeat(np.arange(len(lengths)), pieces)
    pieces_before = np.arange(len(places)) - (np.cumsum(pieces) - pieces)[places]
    lengths = np.minimum(lengths[places] - pieces_before * longest, longest)
    kinds = np.searchsorted(2 ** np.array(_LENGTH_BITS), lengths)
    length_bits = np.array(_LENGTH_BITS)[kinds]
    values = 255 * (places % 2)
    runs = ((1 << 2 | kinds) << length_bits | lengths - 1) << _WORD_BITS | values
    return runs, 1 + 2 + length_bits + _WORD_BITS


def _packed_bits(numbers: NDArray[np.int64], widths: NDArray[np.int64]) -> list[int]:
    """Lay numbers of so many bits each one after the other; returns the bytes."""
    starts = np.cumsum(widths) - widths
    # How many bits of its own number are still to come after each bit.
    following = np.repeat(starts + widths - 1, widths) - np.arange(widths.sum())
    bits = np.repeat(numbers, widths) >> following & 1
    packed: list[int] = np.packbits(bits.astype(np.uint8)).tolist()
    return packed


def _tasks(
    frames: Iterable[tuple[FrameAnnotation, str]], selection: Selection, folder: str
) -> Iterator[dict[str, Any]]:
    notes = notes_of(selection)
    for frame, name in frames:
        data = {
            "image": f"/data/local-files/?d={quote(f'{folder}/images/{name}')}",
            "video": selection.video_name,
            "frame_index": frame.index,
            "time_s": frame.time_s,
            NOTE_KEY: notes,
        }
        result = [_region(track, selection) for track in frame.tracks]
        prediction = {"model_version": "scopeline", "result": result}
        yield {"data": data, "predictions": [prediction]}


def _region(track: TrackAnnotation, selection: Selection) -> dict[str, Any]:
    height, width = selection.size
    label = selection.annotation_set.label_set[track.class_id].name
    return {
        "id": f"track-{track.track_id}",
        "type": "brushlabels",
        "from_name": "brush",
        "to_name": "image",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "score": round(track.quality, 4),
        "meta": {"text": [f"track {track.track_id}"]},
        "value": {
            "format": "rle",
            "rle": pack_runs(decode_mask(track.rle)),
            "brushlabels": [label],
        },
    }


def _label_config(selection: Selection) -> str:
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", name="image", value="$image", zoom="true")
    brush = ElementTree.SubElement(view, "BrushLabels", name="brush", toName="image")
    for label in selection.labels:
        colour = label.hex_color
        ElementTree.SubElement(brush, "Label", value=label.name, background=colour)
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"
