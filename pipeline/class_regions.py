"""Annotations as plain masks have them: one region for each class, nothing where they are open."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from pipeline.annotation_set import AnnotationSet
from pipeline.labels import LabelSet, joined
from pipeline.mask_folder import MaskFolder
from pipeline.masks import RLE, decode_mask, encode_mask
from pipeline.records import FrameAnnotation, TrackAnnotation


def comparable_frames(
    frames: Iterable[FrameAnnotation], truth: AnnotationSet | MaskFolder
) -> Iterator[FrameAnnotation]:
    """Return frames as the truth can judge them.

    Where it does not tell instances apart, each class is one region; what it leaves open counts
    neither for nor against anything.
    """
    if not isinstance(truth, MaskFolder):
        return iter(frames)
    return without_regions(merge_by_class(frames), truth.ignored_region)


def true_frames(
    frames: Iterable[FrameAnnotation], truth: LabelSet, judged: LabelSet
) -> tuple[Iterator[FrameAnnotation], LabelSet]:
    """Give true masks the class ids of what they judge, since ids say nothing beyond their set.

    Args:
        frames: the true masks.
        truth: their classes.
        judged: the classes of what is judged.

    Returns:
        The true masks, one after the other as they are read, whose classes are those of the same
        name, and the judged classes with those that only the truth has, under ids of their own.
    """
    labels, renamed = joined(judged, truth)
    mapped = (
        replace(
            frame,
            tracks=tuple(
                replace(track, class_id=renamed.get(track.class_id, track.class_id))
                for track in frame.tracks
            ),
        )
        for frame in frames
    )
    return mapped, labels


def without_regions(
    frames: Iterable[FrameAnnotation], region_of: Callable[[int], NDArray[np.bool_] | None]
) -> Iterator[FrameAnnotation]:
    """Yield frames whose masks have nothing in a region of the frame.

    Args:
        frames: in any order.
        region_of: from a frame's index to its region bool[H, W], or None where it has none.
    """
    for frame in frames:
        region = region_of(frame.index)
        if region is None:
            yield frame
        else:
            yield replace(frame, tracks=tuple(_outside(frame.tracks, region)))


def _outside(
    tracks: Iterable[TrackAnnotation], region: NDArray[np.bool_]
) -> Iterator[TrackAnnotation]:
    for track in tracks:
        if track.rle.size != region.shape:
            # Whoever compares masks of different sizes says so, and can name both.
            yield track
        elif (left := decode_mask(track.rle) & ~region).any():
            yield replace(track, rle=encode_mask(left))


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
