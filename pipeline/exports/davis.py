"""Export indexed PNGs as DAVIS has them: one picture a frame, the pixel value is the object."""

import csv
import json
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.annotation_set import AnnotationSet
from pipeline.errors import InputError
from pipeline.exports.notes import NOTE_FILE, notes_of
from pipeline.exports.selection import Selection
from pipeline.labels import voc_color
from pipeline.masks import decode_mask
from pipeline.output import whole_folder
from pipeline.records import FrameAnnotation

_PALETTE = [channel for number in range(256) for channel in voc_color(number)]


def export_davis(selection: Selection, path: Path) -> None:
    """Write `00000.png`, `00001.png`, ... with a palette; value 0 is background.

    Objects are numbered from 1 in the order of their track ids; `objects.csv` says which
    number is which track and class, `selection.json` what was exported.

    Raises:
        InputError: the set has more than 255 tracks, which an indexed PNG cannot hold.
        OutputError: the folder exists already or cannot be written.
    """
    numbers = _number_tracks(selection)
    with whole_folder(path) as draft:
        for frame in selection.frames():
            picture = _picture(frame, numbers, selection.size)
            picture.save(draft / f"{selection.number(frame.index)}.png")
        _write_objects(selection.annotation_set, numbers, draft / "objects.csv")
        (draft / NOTE_FILE).write_text(json.dumps(notes_of(selection)) + "\n")


def _number_tracks(selection: Selection) -> dict[tuple[int, int], int]:
    tracks = {
        (track.track_id, track.class_id) for frame in selection.frames() for track in frame.tracks
    }
    if len(tracks) > 255:
        raise InputError(
            f"{selection.annotation_set.path} has {len(tracks)} tracks, an indexed PNG holds at "
            "most 255; choose another format or fewer --classes"
        )
    return {track: number for number, track in enumerate(sorted(tracks), start=1)}


def _picture(
    frame: FrameAnnotation, numbers: dict[tuple[int, int], int], size: tuple[int, int]
) -> Image.Image:
    values = np.zeros(size, np.uint8)
    for track in frame.tracks:
        values[decode_mask(track.rle)] = numbers[track.track_id, track.class_id]
    picture = Image.fromarray(values, mode="P")
    picture.putpalette(_PALETTE)
    return picture


def _write_objects(
    annotation_set: AnnotationSet, numbers: dict[tuple[int, int], int], path: Path
) -> None:
    with path.open("w", newline="") as file:
        file.write("value,track_id,class_id,class\n")
        writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        for (track_id, class_id), number in numbers.items():
            writer.writerow([number, track_id, class_id, annotation_set.label_set[class_id].name])
