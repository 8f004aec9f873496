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
from pipeline.labelled_clip import IGNORED, LabelledClip
from pipeline.labels import LabelSet
from pipeline.masks import RLE, encode_mask, rle_area, rle_box
from pipeline.records import Detections


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
    pictures: list[dict[str, Any]] = []
    truth: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for clip in clips:
        frames = sorted(set(np.linspace(0, len(clip) - 1, frames_per_clip).astype(int).tolist()))
        seen = overseer.detect(np.ascontiguousarray(clip.images[frames]))
        for frame, detections in zip(frames, seen, strict=True):
            number = len(pictures)
            height, width = clip.track_maps[frame].shape
            pictures.append({"id": number, "height": height, "width": width})
            for track_id, mask in clip.masks(frame):
                entry = _entry(number, clip.class_of_track[track_id], encode_mask(mask))
                truth.append(entry | {"id": len(truth) + 1, "iscrowd": 0})
            for entry in _ignored(number, clip.track_maps[frame], overseer.label_set):
                truth.append(entry | {"id": len(truth) + 1, "iscrowd": 1})
            found += _found(number, detections)
    categories = [{"id": label.id, "name": label.name} for label in overseer.label_set.foreground]
    return _coco_precision(pictures, categories, truth, found)


def _ignored(
    image_id: int, track_map: NDArray[np.uint8], label_set: LabelSet
) -> list[dict[str, Any]]:
    """Return the ignored region as a crowd of each class: what is found there does not count."""
    region = track_map == IGNORED
    if not region.any():
        return []
    rle = encode_mask(region)
    return [_entry(image_id, label.id, rle) for label in label_set.foreground]


def _found(image_id: int, detections: Detections) -> list[dict[str, Any]]:
    rows = zip(detections.class_ids, detections.scores, detections.masks, strict=True)
    return [
        _entry(image_id, int(class_id), encode_mask(mask)) | {"score": float(score)}
        for class_id, score, mask in rows
    ]


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
