"""Annotations as plain masks have them: one region for each class, nothing where they are open."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from pipeline.annotation_set import AnnotationSet
from pipeline.errors import InputError
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
) -> tuple[list[FrameAnnotation], LabelSet]:
    """Give true masks the class ids of what they judge, since ids say nothing beyond their set.

    Args:
        frames: the true masks.
        truth: their classes.
        judged: the classes of what is judged.

    Returns:
        The true masks, whose classes are those of the same name, and the judged classes with
        those that only the truth has, under ids of their own.
    """
    labels, renamed = joined(judged, truth)
    mapped = [
        replace(
            frame,
            tracks=tuple(
                replace(track, class_id=renamed.get(track.class_id, track.class_id))
                for track in frame.tracks
            ),
        )
        for frame in frames
    ]
    return mapped, labels


def classes_without_match(
    frames: Iterable[FrameAnnotation], truth: LabelSet, judged: LabelSet
) -> list[str]:
    """Return the names of the classes that true masks show and what they judge does not know.

    Args:
        frames: the true masks, as they are.
        truth: their classes.
        judged: the classes of what is judged.
    """
    known = {label.name for label in judged.classes}
    shown = {track.class_id for frame in frames for track in frame.tracks}
    names = [truth[class_id].name for class_id in sorted(shown)]
    return [name for name in names if name not in known]


def require_objects(frames: Iterable[FrameAnnotation], truth: Path) -> None:
    """Check that there is anything to compare with.

    Args:
        frames: the true masks.
        truth: where they come from, for the message.

    Raises:
        InputError: no frame shows any object.
    """
    if not any(frame.tracks for frame in frames):
        raise InputError(
            f"{truth} shows no object of the classes that are compared; say by --labels what its "
            "values mean"
        )


def require_masks_of(
    frames: Iterable[FrameAnnotation], truth: Path, size: tuple[int, int], video: Path
) -> None:
    """Check that true masks can be of a video, before it is annotated to be compared with them.

    Args:
        frames: the true masks.
        truth: where they come from, for the message.
        size: height and width of the video.
        video: the video or its set, for the message.

    Raises:
        InputError: a mask has another size.
    """
    sizes = {track.rle.size for frame in frames for track in frame.tracks}
    for rows, columns in sorted(sizes - {size}):
        raise InputError(
            f"{truth} has masks of {columns}x{rows}, {video} is {size[1]}x{size[0]}; give the true "
            "masks of that video"
        )


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
