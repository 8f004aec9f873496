"""Export YouTube-VIS annotations: one entry for each track, with a mask or null for each frame."""

import json
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO

from pipeline.exports.coco import category, coco_rle, within_list, write_list
from pipeline.exports.pictures import frames_with_written_pictures
from pipeline.exports.selection import Selection
from pipeline.exports.spool import TrackKey, TrackSpool
from pipeline.masks import rle_area, rle_box
from pipeline.output import whole_folder

_COLUMNS = ("segmentations", "bboxes", "areas")


def export_youtube_vis(selection: Selection, path: Path) -> None:
    """Write `instances.json` and `JPEGImages/<video>/`.

    Raises:
        InputError: pictures are wanted, but the annotated video is gone or has changed.
        OutputError: the folder exists already or cannot be written.
    """
    video_name = selection.video_name
    with whole_folder(path) as draft, TemporaryDirectory(dir=draft) as scratch:
        spool = TrackSpool(Path(scratch))
        names = _spool_masks(selection, draft / "JPEGImages" / video_name, spool)
        height, width = selection.size
        video = {
            "id": 1,
            "width": width,
            "height": height,
            "length": len(names),
            "file_names": [f"{video_name}/{name}" for name in names],
        }
        with (draft / "instances.json").open("w") as file:
            file.write('{"videos": ')
            json.dump([video], file)
            file.write(', "categories": ')
            json.dump([category(label) for label in selection.labels], file)
            file.write(', "annotations": ')
            write_annotations(spool, len(names), selection.size, file)
            file.write("}\n")


def _spool_masks(selection: Selection, pictures: Path, spool: TrackSpool) -> list[str]:
    """Write pictures, sort masks by track; returns the names of the pictures."""
    names: list[str] = []
    for number, (frame, name) in enumerate(frames_with_written_pictures(selection, pictures)):
        names.append(name)
        for track in frame.tracks:
            line = {
                "number": number,
                "segmentations": coco_rle(track.rle),
                "bboxes": list(rle_box(track.rle)),
                "areas": rle_area(track.rle),
            }
            spool.add((track.track_id, track.class_id), line)
    return names


def write_annotations(spool: TrackSpool, length: int, size: tuple[int, int], file: TextIO) -> None:
    """Write the list of tracks; not even the masks of one stand in memory.

    Args:
        spool: the lines of each track: its masks, boxes and areas, and the number of the picture.
        length: how many pictures there are.
        size: height and width in pixels.
        file: receives the JSON.
    """
    for annotation_id, key in enumerate(within_list(spool.tracks(), file), start=1):
        entry = {
            "id": annotation_id,
            "video_id": 1,
            "category_id": key[1],
            "track_id": key[0],
            "iscrowd": 0,
            "height": size[0],
            "width": size[1],
            "length": length,
        }
        file.write(json.dumps(entry).removesuffix("}"))
        for name in _COLUMNS:
            file.write(f', "{name}": ')
            write_list(_column(spool, key, name, length), file)
        file.write("}")


def _column(spool: TrackSpool, key: TrackKey, name: str, length: int) -> Iterator[Any]:
    """Yield what a track has on each frame; None where it is not there."""
    number = 0
    for line in spool.lines(key):
        yield from repeat(None, line["number"] - number)
        yield line[name]
        number = line["number"] + 1
    yield from repeat(None, length - number)
