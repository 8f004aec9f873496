"""Export masks as SASVi's scripts read them: a coloured PNG and class masks for each frame."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.exports.pictures import encoded_picture
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
            number = selection.number(frame.index)
            (folder / f"{number}_rgb_mask.png").write_bytes(
                encoded_picture(_picture(masks, colors), ".png")
            )
            np.savez_compressed(folder / f"{number}_binary_mask.npz", arr=masks)


def _picture(masks: NDArray[np.bool_], colors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Paint the masks of classes one over the other; what none covers is black."""
    # One number a pixel is painted in a fraction of the time of three.
    rows = np.zeros(masks.shape[1:], np.uint16)
    for row, mask in enumerate(masks, start=1):
        np.putmask(rows, mask, row)
    return np.concatenate([np.zeros((1, 3), np.uint8), colors]).take(rows, axis=0)


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
