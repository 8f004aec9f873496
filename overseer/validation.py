"""How well an overseer finds the objects of labelled frames, for the curve of a training."""

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from overseer.mask_rcnn import MaskRCNNOverseer
from pipeline.labelled_clip import LabelledClip
from pipeline.masks import RLE, encode_mask, rle_area, rle_box

_FRAMES_AT_ONCE = 8


def mask_precision(
    overseer: MaskRCNNOverseer, clips: Sequence[LabelledClip], frames_per_clip: int
) -> dict[str, float]:
    """Compute COCO's mask average precision on evenly spaced frames of clips.

    Args:
        overseer: what is judged.
        clips: labelled clips.
        frames_per_clip: frames of each clip that are looked at.

    Returns:
        `map` (mean over IoU 0.50 to 0.95) and `ap50`, 0..1.
    """
    images: list[NDArray[np.uint8]] = []
    truth: list[dict[str, Any]] = []
    for clip in clips:
        for frame in np.linspace(0, len(clip) - 1, frames_per_clip).astype(int).tolist():
            for track_id, mask in clip.masks(frame):
                entry = _entry(len(images), clip.class_of_track[track_id], encode_mask(mask))
                truth.append(entry | {"id": len(truth) + 1, "iscrowd": 0})
            images.append(np.ascontiguousarray(clip.images[frame]))
    found = []
    for start in range(0, len(images), _FRAMES_AT_ONCE):
        seen = overseer.detect(np.stack(images[start : start + _FRAMES_AT_ONCE]))
        for number, detections in enumerate(seen, start=start):
            for class_id, score, mask in zip(
                detections.class_ids, detections.scores, detections.masks, strict=True
            ):
                found.append(_entry(number, int(class_id), encode_mask(mask)) | {"score": score})
    categories = [{"id": label.id, "name": label.name} for label in overseer.label_set.foreground]
    pictures = [
        {"id": number, "height": image.shape[0], "width": image.shape[1]}
        for number, image in enumerate(images)
    ]
    return _coco_precision(pictures, categories, truth, found)


def _entry(image_id: int, class_id: int, rle: RLE) -> dict[str, Any]:
    return {
        "image_id": image_id,
        "category_id": class_id,
        "segmentation": rle.to_coco(),
        "area": rle_area(rle),
        "bbox": list(rle_box(rle)),
    }


def _coco_precision(
    images: list[dict[str, Any]],
    categories: list[dict[str, Any]],
    truth: list[dict[str, Any]],
    found: list[dict[str, Any]],
) -> dict[str, float]:
    if not truth or not found:
        return {"map": 0.0, "ap50": 0.0}
    # pycocotools prints as it works.
    with contextlib.redirect_stdout(io.StringIO()):
        right = COCO()
        right.dataset = {
            "images": images,
            "categories": categories,
            "annotations": truth,
        }
        right.createIndex()
        judged = COCOeval(right, right.loadRes(found), "segm")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    return {"map": max(float(judged.stats[0]), 0.0), "ap50": max(float(judged.stats[1]), 0.0)}
