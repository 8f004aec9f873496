"""Export nnU-Net v2's raw data set layout: RGB pictures and label maps, for its 2D planner.

The layout is documented in nnU-Net's `documentation/dataset_format.md`; the package that writes
`dataset.json` is nnU-Net itself, which would bring a whole training framework along.
"""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.exports.output import whole_folder
from pipeline.exports.selection import Selection
from pipeline.masks import decode_mask
from pipeline.records import FrameAnnotation


def export_nnunet(selection: Selection, path: Path) -> None:
    """Write `imagesTr/<video>_<frame>_0000.png`, `labelsTr/<video>_<frame>.png`, `dataset.json`.

    Label 0 is background; the exported classes count from 1 in the order of the label set,
    since nnU-Net wants its labels without gaps. Name the folder as nnU-Net wants it, such as
    Dataset501_Cholec.

    Raises:
        InputError: the annotated video is gone or has changed.
        OutputError: the folder exists already or cannot be written.
    """
    name = selection.annotation_set.manifest.video.name
    values = {label.id: number for number, label in enumerate(selection.labels, start=1)}
    count = 0
    with whole_folder(path) as draft:
        (draft / "imagesTr").mkdir()
        (draft / "labelsTr").mkdir()
        for frame, image in selection.frames_with_pictures():
            case = f"{name}_{frame.index:05d}"
            Image.fromarray(image).save(draft / "imagesTr" / f"{case}_0000.png")
            label_map = _label_map(frame, values, selection.size)
            Image.fromarray(label_map).save(draft / "labelsTr" / f"{case}.png")
            count += 1
        document = {
            "channel_names": {"0": "R", "1": "G", "2": "B"},
            "labels": {
                "background": 0,
                **{label.name: values[label.id] for label in selection.labels},
            },
            "numTraining": count,
            "file_ending": ".png",
            "overwrite_image_reader_writer": "NaturalImage2DIO",
        }
        (draft / "dataset.json").write_text(json.dumps(document, indent=2) + "\n")


def _label_map(
    frame: FrameAnnotation, values: dict[int, int], size: tuple[int, int]
) -> NDArray[np.uint8]:
    label_map = np.zeros(size, np.uint8)
    for track in frame.tracks:
        label_map[decode_mask(track.rle)] = values[track.class_id]
    return label_map
