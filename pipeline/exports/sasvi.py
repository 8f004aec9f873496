"""Export masks as SASVi's scripts read them: a coloured PNG and class masks for each frame."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.exports.selection import Selection
from pipeline.masks import decode_mask
from pipeline.output import whole_folder
from pipeline.records import FrameAnnotation


def export_sasvi(selection: Selection, path: Path) -> None:
    """Write `<video>/<frame>_rgb_mask.png` and `<video>/<frame>_binary_mask.npz`.

    The npz holds `arr`, bool[classes, H, W], in the order of the label set's classes; what
    no track covers is background, if the label set has one.

    Raises:
        OutputError: the folder exists already or cannot be written.
    """
    classes = selection.annotation_set.label_set.classes
    colors = np.array([label.color for label in classes], np.uint8)
    with whole_folder(path) as draft:
        folder = draft / selection.video_name
        folder.mkdir()
        for frame in selection.frames():
            masks = _class_masks(frame, selection)
            picture = np.zeros((*selection.size, 3), np.uint8)
            for mask, color in zip(masks, colors, strict=True):
                picture[mask] = color
            number = selection.number(frame.index)
            Image.fromarray(picture).save(folder / f"{number}_rgb_mask.png")
            np.savez_compressed(folder / f"{number}_binary_mask.npz", arr=masks)


def _class_masks(frame: FrameAnnotation, selection: Selection) -> NDArray[np.bool_]:
    classes = selection.annotation_set.label_set.classes
    rows = {label.id: row for row, label in enumerate(classes)}
    masks = np.zeros((len(classes), *selection.size), np.bool_)
    for track in frame.tracks:
        masks[rows[track.class_id]] |= decode_mask(track.rle)
    for row, label in enumerate(classes):
        if label.kind == "background":
            masks[row] = ~masks.any(0)
    return masks
