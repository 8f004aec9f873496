"""How well an overseer finds the objects of labelled frames, for the curve of a training."""

import contextlib
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from overseer.mask_rcnn import MaskRCNNOverseer
from pipeline.labelled_clip import IGNORED, LabelledClip
from pipeline.labels import LabelSet
from pipeline.masks import RLE, decode_mask, encode_mask, rle_area, rle_box
from pipeline.records import Detections, FrameAnnotation


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedFrame:
    """A labelled frame and what an overseer finds on it.

    Attributes:
        clip: the clip that the frame is of.
        frame: its number in the clip.
        detections: what the overseer finds.
    """

    clip: LabelledClip
    frame: int
    detections: Detections

    @property
    def image(self) -> NDArray[np.uint8]:
        """The frame's picture uint8[H, W, 3], RGB."""
        image: NDArray[np.uint8] = self.clip.images[self.frame]
        return image

    @property
    def counted(self) -> Detections:
        """What is found where the labels say what is there, without what mostly lies elsewhere."""
        left_open = self.clip.track_maps[self.frame] == IGNORED
        if not left_open.any():
            return self.detections
        masks = self.detections.masks & ~left_open
        most = 2 * masks.sum((1, 2)) >= self.detections.masks.sum((1, 2))
        rows = np.flatnonzero(most)
        return Detections.from_masks(
            class_ids=self.detections.class_ids[rows],
            scores=self.detections.scores[rows],
            masks=masks[rows],
        )


def judge(
    overseer: MaskRCNNOverseer, clips: Sequence[LabelledClip], frames_per_clip: int
) -> Iterator[JudgedFrame]:
    """Let an overseer look at evenly spaced frames of clips.

    Args:
        overseer: what is judged.
        clips: labelled clips.
        frames_per_clip: frames of each clip that are looked at; a single one is the middle one.
    """
    for clip in clips:
        ends = (0, len(clip) - 1) if frames_per_clip > 1 else (len(clip) // 2, len(clip) // 2)
        frames = sorted(set(np.linspace(*ends, frames_per_clip).astype(int).tolist()))
        seen = overseer.detect(np.ascontiguousarray(clip.images[frames]))
        for frame, detections in zip(frames, seen, strict=True):
            yield JudgedFrame(clip=clip, frame=frame, detections=detections)


def agreement(frame: FrameAnnotation, detections: Detections) -> float:
    """Return how far an overseer finds what a frame's tracks hold.

    Args:
        frame: tracks or labels.
        detections: of the overseer on the same frame.

    Returns:
        The mean IoU over the classes that either has, 0..1; 1 if neither has any.
    """
    tracked: dict[int, NDArray[np.bool_]] = {}
    for track in frame.tracks:
        mask = decode_mask(track.rle)
        known = tracked.get(track.class_id)
        tracked[track.class_id] = mask if known is None else known | mask
    found = set(detections.class_ids.tolist())
    ious = []
    for class_id in sorted(found | tracked.keys()):
        seen = detections.masks[detections.class_ids == class_id].any(0)
        held = tracked.get(class_id, np.zeros_like(seen))
        common, either = int((seen & held).sum()), int((seen | held).sum())
        ious.append(common / max(either, 1))
    return float(np.mean(ious)) if ious else 1.0


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
    judged = coco_evaluation(judge(overseer, clips, frames_per_clip), overseer.label_set)
    if judged is None:
        return {"map": 0.0, "ap50": 0.0}
    return {"map": max(float(judged.stats[0]), 0.0), "ap50": max(float(judged.stats[1]), 0.0)}


def coco_evaluation(frames: Iterable[JudgedFrame], label_set: LabelSet) -> COCOeval | None:
    """Evaluate detections as COCO does; None if there are no objects or no detections.

    Args:
        frames: what is judged.
        label_set: the classes, in the order of COCO's precisions.
    """
    pictures: list[dict[str, Any]] = []
    truth: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for number, judged in enumerate(frames):
        clip, track_map = judged.clip, judged.clip.track_maps[judged.frame]
        height, width = track_map.shape
        pictures.append({"id": number, "height": height, "width": width})
        for track_id, mask in clip.masks(judged.frame):
            entry = _entry(number, clip.class_of_track[track_id], encode_mask(mask))
            truth.append(entry | {"id": len(truth) + 1, "iscrowd": 0})
        for entry in _ignored(number, track_map, label_set):
            truth.append(entry | {"id": len(truth) + 1, "iscrowd": 1})
        found += _found(number, judged.detections)
    categories = [{"id": label.id, "name": label.name} for label in label_set.foreground]
    return _coco_evaluation(pictures, categories, truth, found)


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


def _coco_evaluation(
    images: list[dict[str, Any]],
    categories: list[dict[str, Any]],
    truth: list[dict[str, Any]],
    found: list[dict[str, Any]],
) -> COCOeval | None:
    if not truth or not found:
        return None
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
    return judged
