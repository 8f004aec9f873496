"""Export YouTube-VIS annotations: one entry for each track, with a mask or null for each frame."""

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.exports.coco import category, coco_rle, write_list
from pipeline.exports.output import whole_folder
from pipeline.exports.pictures import frames_with_written_pictures
from pipeline.exports.selection import Selection
from pipeline.masks import rle_area, rle_box

_TrackKey = tuple[int, int]


def export_youtube_vis(selection: Selection, path: Path) -> None:
    """Write `instances.json` and `JPEGImages/<video>/`.

    Raises:
        InputError: pictures are wanted, but the annotated video is gone or has changed.
        OutputError: the folder exists already or cannot be written.
    """
    video_name = selection.annotation_set.manifest.video.name
    with whole_folder(path) as draft, TemporaryDirectory(dir=draft) as scratch:
        names, tracks = _spool(selection, draft / "JPEGImages" / video_name, Path(scratch))
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
            write_list(_annotations(tracks, len(names), Path(scratch), selection.size), file)
            file.write("}\n")


def _spool(
    selection: Selection, pictures: Path, scratch: Path
) -> tuple[list[str], list[_TrackKey]]:
    """Sort masks by track on disk, since a long video's do not fit in memory.

    Returns:
        The names of the pictures, and which tracks there are.
    """
    names: list[str] = []
    tracks: list[_TrackKey] = []
    for number, (frame, name) in enumerate(frames_with_written_pictures(selection, pictures)):
        names.append(name)
        for track in frame.tracks:
            key = (track.track_id, track.class_id)
            if key not in tracks:
                tracks.append(key)
            line = {
                "number": number,
                "segmentation": coco_rle(track.rle),
                "bbox": list(rle_box(track.rle)),
                "area": rle_area(track.rle),
            }
            with _spool_file(scratch, key).open("a") as file:
                file.write(json.dumps(line) + "\n")
    return names, tracks


def _annotations(
    tracks: list[_TrackKey], length: int, scratch: Path, size: tuple[int, int]
) -> Iterator[dict[str, Any]]:
    for annotation_id, key in enumerate(sorted(tracks), start=1):
        columns: dict[str, list[Any]] = {
            name: [None] * length for name in ("segmentations", "bboxes", "areas")
        }
        with _spool_file(scratch, key).open() as file:
            for line in map(json.loads, file):
                number = line["number"]
                columns["segmentations"][number] = line["segmentation"]
                columns["bboxes"][number] = line["bbox"]
                columns["areas"][number] = line["area"]
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


def _spool_file(scratch: Path, key: _TrackKey) -> Path:
    return scratch / f"{key[0]}-{key[1]}.jsonl"
