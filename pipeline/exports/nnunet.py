"""Export nnU-Net v2's raw data set layout: RGB pictures and label maps, for its 2D planner.

The layout is documented in nnU-Net's `documentation/dataset_format.md`; the package that writes
`dataset.json` is nnU-Net itself, which would bring a whole training framework along.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import InputError
from pipeline.exports.pictures import encoded_picture
from pipeline.exports.selection import Selection
from pipeline.exports.splits import Splits, check_together
from pipeline.masks import decode_mask
from pipeline.output import whole_folder
from pipeline.records import FrameAnnotation

_MOST_CLASSES = 255
_BACKGROUND = "background"
# What nnU-Net calls background, and what it does not learn from.
_RESERVED = (_BACKGROUND, "ignore")


def export_nnunet(selection: Selection, path: Path) -> None:
    """Write `imagesTr/<video>_<frame>_0000.png`, `labelsTr/<video>_<frame>.png`, `dataset.json`.

    Label 0 is background; the exported classes count from 1 in the order of the label set,
    since nnU-Net wants its labels without gaps. Name the folder as nnU-Net wants it, such as
    Dataset501_Cholec.

    Raises:
        InputError: the annotated video is gone or has changed, or nnU-Net cannot take its classes.
        OutputError: the folder exists already or cannot be written.
    """
    with whole_folder(path) as draft:
        cases = _write_cases(selection, draft, "Tr")
        _write_description(selection, len(cases), draft)


def export_nnunet_splits(selections: Sequence[Selection], path: Path, splits: Splits) -> None:
    """Write several videos: training and validation in `imagesTr`, test in `imagesTs`.

    `splits_final.json` says which cases are for training and which for validation; nnU-Net
    looks for it in the data set's folder of `nnUNet_preprocessed`. Test labels are in
    `labelsTs`. The rest is as `export_nnunet` writes it.

    Raises:
        UsageError: two videos have the same name, or the sets have different classes.
        InputError: an annotated video is gone or has changed, or nnU-Net cannot take its classes.
        OutputError: the folder exists already or cannot be written.
    """
    check_together(selections)
    with whole_folder(path) as draft:
        cases = {
            part: [
                case
                for selection in chosen
                for case in _write_cases(selection, draft, "Ts" if part == "test" else "Tr")
            ]
            for part, chosen in splits.divide(selections).items()
        }
        _write_description(selections[0], len(cases["train"]) + len(cases["val"]), draft)
        if cases["val"]:
            folds = [{part: cases[part] for part in ("train", "val")}]
            (draft / "splits_final.json").write_text(json.dumps(folds, indent=2) + "\n")


def _write_cases(selection: Selection, draft: Path, part: str) -> list[str]:
    """Write pictures and label maps of a video; returns the names of its cases."""
    images, labels = draft / f"images{part}", draft / f"labels{part}"
    images.mkdir(parents=True, exist_ok=True)
    labels.mkdir(exist_ok=True)
    name = selection.video_name
    values = _values(selection)
    cases = []
    for frame, image in selection.frames_with_pictures():
        if "undecodable" in frame.flags:
            continue
        case = f"{name}_{selection.number(frame.index)}"
        # OpenCV packs pictures eight times faster than Pillow, into a fifth more.
        (images / f"{case}_0000.png").write_bytes(encoded_picture(image, ".png"))
        label_map = _label_map(frame, values, selection.size)
        Image.fromarray(label_map).save(labels / f"{case}.png")
        cases.append(case)
    return cases


def _write_description(selection: Selection, count: int, draft: Path) -> None:
    values = _values(selection)
    labels = {label.name: values[label.id] for label in selection.labels}
    document = {
        "channel_names": {"0": "R", "1": "G", "2": "B"},
        "labels": {_BACKGROUND: 0, **labels},
        "numTraining": count,
        "file_ending": ".png",
        "overwrite_image_reader_writer": "NaturalImage2DIO",
    }
    (draft / "dataset.json").write_text(json.dumps(document, indent=2) + "\n")


def _values(selection: Selection) -> dict[int, int]:
    """Return the value of each class in the label maps.

    Raises:
        InputError: there are more classes than values, or one has the name of what is no object.
    """
    if len(selection.labels) > _MOST_CLASSES:
        raise InputError(
            f"{selection.annotation_set.path} has {len(selection.labels)} classes, a label map "
            f"holds at most {_MOST_CLASSES}; choose fewer --classes"
        )
    if taken := [label.name for label in selection.labels if label.name in _RESERVED]:
        raise InputError(
            f"{selection.annotation_set.path} has a class named {taken[0]}, as nnU-Net calls what "
            "is no object; leave it out by --classes"
        )
    return {label.id: number for number, label in enumerate(selection.labels, start=1)}


def _label_map(
    frame: FrameAnnotation, values: dict[int, int], size: tuple[int, int]
) -> NDArray[np.uint8]:
    label_map = np.zeros(size, np.uint8)
    for track in frame.tracks:
        label_map[decode_mask(track.rle)] = values[track.class_id]
    return label_map
