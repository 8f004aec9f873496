"""Export COCO instance annotations: one JSON file, run-length masks, pictures beside it."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from pipeline.exports.output import whole_folder
from pipeline.exports.pictures import frames_with_written_pictures
from pipeline.exports.selection import Selection
from pipeline.labels import LabelClass
from pipeline.masks import RLE, rle_area, rle_box
from pipeline.records import FrameAnnotation


def export_coco(selection: Selection, path: Path) -> None:
    """Write `annotations.json` and `images/`.

    Category ids are the class ids. An annotation has the extra fields `track_id` and `score`
    (the tracker's quality); its id counts from 1.

    Raises:
        InputError: pictures are wanted, but the annotated video is gone or has changed.
        OutputError: the folder exists already or cannot be written.
    """
    with whole_folder(path) as draft:
        images: list[dict[str, Any]] = []
        frames = frames_with_written_pictures(selection, draft / "images")
        with (draft / "annotations.json").open("w") as file:
            file.write('{"categories": ')
            json.dump([category(label) for label in selection.labels], file)
            file.write(', "annotations": ')
            write_list(_annotations(frames, selection, images), file)
            file.write(', "images": ')
            json.dump(images, file)
            file.write("}\n")


def category(label: LabelClass) -> dict[str, Any]:
    """Describe a class as a COCO category."""
    return {"id": label.id, "name": label.name, "supercategory": label.kind}


def coco_rle(rle: RLE) -> dict[str, Any]:
    """Return a compressed run-length mask as COCO's JSON has it."""
    return {"size": list(rle.size), "counts": rle.counts.decode("ascii")}


def write_list(entries: Iterable[Any], file: TextIO) -> None:
    """Write a JSON list entry by entry, so that it never stands in memory."""
    separator = "["
    for entry in entries:
        file.write(separator)
        json.dump(entry, file)
        separator = ", "
    file.write("]" if separator != "[" else "[]")


def _annotations(
    frames: Iterable[tuple[FrameAnnotation, str]],
    selection: Selection,
    images: list[dict[str, Any]],
) -> Iterator[dict[str, Any]]:
    """Yield the annotations, and collect the much smaller entries of the pictures."""
    height, width = selection.size
    count = 0
    for frame, name in frames:
        image_id = frame.index
        images.append(
            {
                "id": image_id,
                "file_name": name,
                "width": width,
                "height": height,
                "frame_index": frame.index,
                "time_s": frame.time_s,
            }
        )
        for track in frame.tracks:
            count += 1
            yield {
                "id": count,
                "image_id": image_id,
                "category_id": track.class_id,
                "segmentation": coco_rle(track.rle),
                "area": rle_area(track.rle),
                "bbox": list(rle_box(track.rle)),
                "iscrowd": 0,
                "track_id": track.track_id,
                "score": round(track.quality, 4),
            }
