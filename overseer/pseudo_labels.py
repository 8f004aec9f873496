"""Frames that nobody labelled, with the masks that an annotation set has for them.

After weak-to-strong consistency (FixMatch, arXiv 2001.07685; in surgery SSS): what overseer and
tracker found together on the frame as it is, an overseer learns to find on the frame made hard to
read. A frame counts by how sure the tracker was and how far an overseer agrees with it.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from overseer.datasets.annotation_sets import find_sets, spaced_frames
from overseer.datasets.labelled_frames import Instance, clip_of_instances
from overseer.mask_rcnn import MaskRCNNOverseer
from overseer.validation import agreement
from pipeline.annotation_set import AnnotationSet
from pipeline.errors import InputError
from pipeline.frames import VIDEO_SUFFIXES
from pipeline.labelled_clip import LabelledClip
from pipeline.labels import LabelSet
from pipeline.masks import decode_mask
from pipeline.records import FrameAnnotation

# Of a track that the tracker doubts so much, nothing is learned, neither that it is there nor that
# it is not.
_DOUBTFUL_QUALITY = 0.5
_LEAST_WEIGHT = 0.3
_NAMES_OF_ANY_FRAME = {"frame", "frames", "image", "images", "img", "picture"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PseudoLabels:
    """Frames with the masks of annotation sets.

    Attributes:
        clips: the frames, each a clip of its own; what is doubtful in them is ignored.
        weights: float64[N], how far each is trusted, 0..1.
        left_out: sets that nothing is learned from, since their videos are not to be learned from.
    """

    clips: Sequence[LabelledClip]
    weights: NDArray[np.float64]
    left_out: Sequence[Path]


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeBy:
    """The overseer that an annotation set was made with.

    Attributes:
        path: the set, for messages.
        name: of the overseer, or its folder.
        weights: checkpoint of a published overseer.
        sha256: of its weights then, hexadecimal.
    """

    path: Path
    name: str
    weights: Path | None
    sha256: str


def read_pseudo_labels(
    paths: Sequence[Path],
    label_set: LabelSet,
    open_overseer: Callable[[MadeBy], MaskRCNNOverseer],
    longest_side: int,
    withheld_videos: Collection[str],
) -> PseudoLabels:
    """Read frames of annotation sets with the masks in them, evenly spaced.

    Args:
        paths: the sets, or folders that hold them at any depth.
        label_set: the classes that are learned; those of the sets are matched by their names.
        open_overseer: opens the overseer that a set was made with, whose agreement counts.
        longest_side: larger pictures are shrunk to this many pixels.
        withheld_videos: names of videos that are measured on, now or later; their sets are left
            out, since frames that were learned from would flatter the overseer.

    Raises:
        InputError: there is no set, it is damaged or has other classes, its video is not there,
            or no frame can be trusted.
    """
    clips: list[LabelledClip] = []
    weights: list[float] = []
    left_out: list[Path] = []
    for path in find_pseudo_labels(paths):
        annotated = AnnotationSet(path)
        if _is_withheld(annotated, withheld_videos):
            left_out.append(path)
            continue
        own_class = _classes(annotated, label_set)
        overseer = open_overseer(_made_by(annotated))
        for frame, image in spaced_frames(annotated):
            if not frame.tracks:
                continue
            (detections,) = overseer.detect(image[None])
            weight = _quality(frame) * agreement(frame, detections)
            if weight < _LEAST_WEIGHT:
                continue
            clips.append(clip_of_instances(image, _instances(frame, own_class), longest_side))
            weights.append(weight)
    if not clips and left_out:
        raise InputError(
            f"{', '.join(map(str, paths))}: the videos of all these sets are measured on or left "
            "out; give --pseudo-labels sets of other videos"
        )
    if not clips:
        raise InputError(
            f"{', '.join(map(str, paths))}: overseer and tracker agree on no frame well enough to "
            "learn from it; leave out --pseudo-labels"
        )
    return PseudoLabels(clips=clips, weights=np.array(weights), left_out=left_out)


def _is_withheld(annotated: AnnotationSet, withheld_videos: Collection[str]) -> bool:
    """Return whether a set may be of a video that is not to be learned from; a doubt counts.

    Data sets call a video after its file, its folder or several of them, such as `site/op1`.
    """
    video = annotated.manifest.video
    place = PurePosixPath(video.path)
    parts = {*place.parent.parts, place.stem, place.name, video.name}
    return any(_likely_names(PurePosixPath(name)) & parts for name in withheld_videos)


def _likely_names(video: PurePosixPath) -> set[str]:
    """Return what the file or folder may be called that a video of a data set was."""
    # COCO's videos are called as their pictures begin, such as `op1/frame`.
    named = video.parent if video.name.lower() in _NAMES_OF_ANY_FRAME else video
    # It may have been recoded since.
    is_file = named.suffix.lower() in VIDEO_SUFFIXES
    return {video.name, named.name, named.stem if is_file else named.name} - {""}


def find_pseudo_labels(paths: Sequence[Path]) -> list[Path]:
    """Return annotation sets, and those in folders at any depth; none is opened.

    Raises:
        InputError: a path does not exist, or holds no set.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise InputError(f"{path} does not exist; give what `annotate` wrote")
        sets = find_sets(path)
        if not sets:
            raise InputError(f"{path} holds no annotation set; give what `annotate` wrote")
        found += sets
    return found


def _made_by(annotated: AnnotationSet) -> MadeBy:
    overseer = annotated.manifest.models.get("overseer")
    if overseer is None:
        raise InputError(
            f"{annotated.path} was made without an overseer, so nothing says how far to trust it; "
            "annotate the video with one"
        )
    weights = annotated.manifest.settings.get("overseer_weights")
    return MadeBy(
        path=annotated.path,
        name=overseer["name"],
        weights=None if weights is None else Path(weights),
        sha256=overseer["sha256"],
    )


def _classes(annotated: AnnotationSet, label_set: LabelSet) -> dict[int, int]:
    """Return the id in the label set of each class of an annotation set."""
    ids = {label.name: label.id for label in label_set.foreground}
    unknown = [label.name for label in annotated.label_set.foreground if label.name not in ids]
    if unknown:
        raise InputError(
            f"{annotated.path} has a class {unknown[0]} that label set {label_set.name} does not "
            "know; annotate the video with an overseer of these classes"
        )
    return {label.id: ids[label.name] for label in annotated.label_set.foreground}


def _quality(frame: FrameAnnotation) -> float:
    return float(np.mean([track.quality for track in frame.tracks]))


def _instances(frame: FrameAnnotation, own_class: dict[int, int]) -> list[Instance]:
    return [
        (
            own_class[track.class_id] if track.quality >= _DOUBTFUL_QUALITY else None,
            decode_mask(track.rle),
        )
        for track in frame.tracks
    ]
