"""Layout `annset`: annotation sets of our own, with the videos that they annotate."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from overseer.datasets.labelled_frames import (
    FRAMES_OF_A_VIDEO,
    Instance,
    LabelledFrames,
    clip_of_instances,
)
from pipeline.annotation_set import SUFFIX, AnnotationSet
from pipeline.corrections.corrected_set import refuse_corrections
from pipeline.drafts import BLANK_FLAGS
from pipeline.errors import InputError
from pipeline.exports.selection import Selection
from pipeline.labelled_clip import LabelledClip
from pipeline.labels import LabelSet
from pipeline.masks import decode_mask
from pipeline.records import FrameAnnotation


def read_annotation_sets(
    folder: Path, label_set: LabelSet | None, longest_side: int
) -> LabelledFrames:
    """Read frames of annotation sets, at most 200 of each, evenly spaced.

    Args:
        folder: a set, or a folder that holds sets, at any depth.
        label_set: must be None, since the sets say what their classes are.
        longest_side: larger pictures are shrunk to this many pixels.

    Raises:
        InputError: labels are given, the sets have different classes, or no frame can be used.
    """
    if label_set is not None:
        raise InputError(f"{folder}: annotation sets have classes of their own; leave out --labels")
    clips: list[tuple[Path, str, LabelledClip]] = []
    problems: list[str] = []
    classes: LabelSet | None = None
    for path in find_sets(folder):
        try:
            annotated = AnnotationSet(path)
            refuse_corrections(annotated)
            classes = _same_classes(classes, annotated)
            name = annotated.manifest.video.name
            clips += [(path, name, clip) for clip in _clips(annotated, longest_side)]
        except InputError as error:
            problems.append(str(error))
    if classes is None or not clips:
        nothing = f"there is no *{SUFFIX} in it; check the folder, or --layout"
        if classes is not None:
            nothing = "no frame of its sets is of the body and could be outlined"
        reason = problems[0] if problems else nothing
        raise InputError(f"{folder} has no frame to learn from: {reason}")
    return LabelledFrames(
        label_set=classes,
        clips=tuple(clip for _, _, clip in clips),
        paths=tuple(path for path, _, _ in clips),
        videos=tuple(video for _, video, _ in clips),
        problems=tuple(problems),
    )


def _same_classes(known: LabelSet | None, annotated: AnnotationSet) -> LabelSet:
    if known is not None and known.uncoloured != annotated.label_set.uncoloured:
        raise InputError(
            f"{annotated.path} has other classes than the sets before it; read it by itself"
        )
    return annotated.label_set


def find_sets(path: Path) -> list[Path]:
    """Return a set, or the sets in a folder at any depth."""
    return [path] if path.suffix == SUFFIX else sorted(path.rglob(f"*{SUFFIX}"))


def spaced_frames(
    annotated: AnnotationSet,
) -> Iterator[tuple[FrameAnnotation, NDArray[np.uint8]]]:
    """Yield frames of the body that could be outlined, at most 200 of a set, evenly spaced.

    Raises:
        InputError: the set's video is not there, or a part is damaged.
    """
    every = max(1, -(-annotated.manifest.counts.frames // FRAMES_OF_A_VIDEO))
    selection = Selection(annotation_set=annotated, every=every)
    for frame, image in selection.frames_with_pictures():
        if _teaches(frame):
            yield frame, image


def _teaches(frame: FrameAnnotation) -> bool:
    """Return whether what a frame does not outline is not there."""
    if {"out_of_body", "undecodable"} & set(frame.flags):
        return False
    # Frames that nobody could outline show objects all the same; those of a human have them.
    return bool(frame.tracks) or BLANK_FLAGS.isdisjoint(frame.flags)


def _clips(annotated: AnnotationSet, longest_side: int) -> list[LabelledClip]:
    return [
        clip_of_instances(image, _instances(frame), longest_side)
        for frame, image in spaced_frames(annotated)
    ]


def _instances(frame: FrameAnnotation) -> list[Instance]:
    return [(track.class_id, decode_mask(track.rle)) for track in frame.tracks]
