"""Annotations without instances: one region for each class, as plain masks have them."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from pycocotools import mask as coco_mask

from pipeline.annotation_set import AnnotationSet
from pipeline.mask_folder import MaskFolder
from pipeline.masks import RLE
from pipeline.records import FrameAnnotation, TrackAnnotation


def comparable_frames(
    frames: Iterable[FrameAnnotation], truth: AnnotationSet | MaskFolder
) -> Iterator[FrameAnnotation]:
    """Return frames with their instances, or without where the truth does not tell them apart."""
    return merge_by_class(frames) if isinstance(truth, MaskFolder) else iter(frames)


def merge_by_class(frames: Iterable[FrameAnnotation]) -> Iterator[FrameAnnotation]:
    """Yield frames in which each class is one track, whose id is the class id."""
    for frame in frames:
        by_class: dict[int, list[TrackAnnotation]] = {}
        for track in frame.tracks:
            by_class.setdefault(track.class_id, []).append(track)
        yield replace(frame, tracks=tuple(_merged(tracks) for tracks in by_class.values()))


def _merged(tracks: list[TrackAnnotation]) -> TrackAnnotation:
    union = coco_mask.merge([track.rle.to_coco() for track in tracks])
    return replace(
        tracks[0],
        track_id=tracks[0].class_id,
        rle=RLE(tracks[0].rle.size, union["counts"]),
        quality=float(np.mean([track.quality for track in tracks])),
        presence=max(track.presence for track in tracks),
    )
