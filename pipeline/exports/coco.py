"""Export COCO instance annotations: one JSON file, run-length masks, pictures beside it."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO, TypeVar

from pipeline.exports.notes import NOTE_KEY, notes_of
from pipeline.exports.pictures import frames_with_written_pictures
from pipeline.exports.selection import Selection
from pipeline.exports.splits import Splits, check_together
from pipeline.labels import LabelClass
from pipeline.masks import RLE, rle_area, rle_box
from pipeline.output import whole_folder
from pipeline.records import FrameAnnotation, TrackAnnotation

_Entry = TypeVar("_Entry")


def export_coco(selection: Selection, path: Path) -> None:
    """Write `annotations.json` and `images/`.

    Category ids are the class ids. An annotation has the extra fields `track_id` and `score`
    (the tracker's quality); its id counts from 1. An image has the extra field `video`, the
    file's `info` notes what was exported.

    Raises:
        InputError: pictures are wanted, but the annotated video is gone or has changed.
        OutputError: the folder exists already or cannot be written.
    """
    with whole_folder(path) as draft:
        _write_document([selection], selection.labels, draft / "annotations.json", draft / "images")


def export_coco_splits(selections: Sequence[Selection], path: Path, splits: Splits) -> None:
    """Write `annotations/instances_PART.json` and `images/PART/VIDEO_00000.jpg`.

    The names of the pictures begin with `PART/`, so that `images/` is the folder of all of them.
    Category ids are those of the first set. The rest is as `export_coco` writes it.

    Raises:
        UsageError: two videos have the same name, or the sets have different classes.
        InputError: pictures are wanted, but an annotated video is gone or has changed.
        OutputError: the folder exists already or cannot be written.
    """
    check_together(selections)
    with whole_folder(path) as draft:
        (draft / "annotations").mkdir()
        for part, chosen in splits.divide(selections).items():
            if chosen:
                file = draft / "annotations" / f"instances_{part}.json"
                _write_document(chosen, selections[0].labels, file, draft / "images", part)


def _write_document(
    selections: Sequence[Selection],
    labels: Sequence[LabelClass],
    path: Path,
    pictures: Path,
    part: str | None = None,
) -> None:
    images: list[dict[str, Any]] = []
    with path.open("w") as file:
        info = {"description": "annotated by Scopeline", NOTE_KEY: notes_of(*selections)}
        file.write('{"info": ')
        json.dump(info, file)
        file.write(', "categories": ')
        json.dump([category(label) for label in labels], file)
        file.write(', "annotations": ')
        write_list(_annotations(selections, labels, images, pictures, part), file)
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
    for entry in within_list(entries, file):
        # json.dump writes the same piece by piece in Python, which takes four times as long.
        file.write(json.dumps(entry))


def within_list(entries: Iterable[_Entry], file: TextIO) -> Iterator[_Entry]:
    """Write what is around the entries of a JSON list; whoever takes one writes it."""
    separator = "["
    for entry in entries:
        file.write(separator)
        yield entry
        separator = ", "
    file.write("]" if separator != "[" else "[]")


def _annotations(
    selections: Sequence[Selection],
    labels: Sequence[LabelClass],
    images: list[dict[str, Any]],
    pictures: Path,
    part: str | None,
) -> Iterator[dict[str, Any]]:
    """Yield the annotations, and collect the much smaller entries of the pictures."""
    category_ids = {label.name: label.id for label in labels}
    first_image = count = 0
    for selection in selections:
        classes = {label.id: category_ids[label.name] for label in selection.labels}
        folder = pictures if part is None else pictures / part
        prefix = "" if part is None else f"{selection.video_name}_"
        for frame, name in frames_with_written_pictures(selection, folder, prefix):
            image = _image(frame, first_image, name, selection)
            images.append(image if part is None else _of_part(image, part))
            for track in frame.tracks:
                count += 1
                yield _annotation(count, image["id"], classes[track.class_id], track)
        first_image += selection.annotation_set.manifest.video.frame_count


def _image(
    frame: FrameAnnotation, first_image: int, name: str, selection: Selection
) -> dict[str, Any]:
    height, width = selection.size
    return {
        "id": first_image + frame.index,
        "file_name": name,
        "video": selection.video_name,
        "width": width,
        "height": height,
        "frame_index": frame.index,
        "time_s": frame.time_s,
    }


def _of_part(image: dict[str, Any], part: str) -> dict[str, Any]:
    return image | {"file_name": f"{part}/{image['file_name']}"}


def _annotation(
    number: int, image_id: int, category_id: int, track: TrackAnnotation
) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category_id,
        "segmentation": coco_rle(track.rle),
        "area": rle_area(track.rle),
        "bbox": list(rle_box(track.rle)),
        "iscrowd": 0,
        "track_id": track.track_id,
        "score": round(track.quality, 4),
    }
