"""Export YouTube-VIS annotations: one entry for each track, with a mask or null for each frame."""

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.exports.coco import category, coco_rle, write_list
from pipeline.exports.pictures import frames_with_written_pictures
from pipeline.exports.selection import Selection
from pipeline.exports.spool import TrackSpool
from pipeline.masks import rle_area, rle_box
from pipeline.output import whole_folder


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
            write_list(_annotations(spool, len(names), selection.size), file)
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


def _annotations(spool: TrackSpool, length: int, size: tuple[int, int]) -> Iterator[dict[str, Any]]:
    for annotation_id, key in enumerate(spool.tracks(), start=1):
        columns: dict[str, list[Any]] = {
            name: [None] * length for name in ("segmentations", "bboxes", "areas")
        }
        for line in spool.lines(key):
            for name, values in columns.items():
                values[line["number"]] = line[name]
        yield {
            "id": annotation_id,
            "video_id": 1,
            "category_id": key[1],
            "track_id": key[0],
            "iscrowd": 0,
            "height": size[0],
            "width": size[1],
            "length": length,
            **columns,
        }
