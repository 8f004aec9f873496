"""How steady the annotations of a video are from frame to frame, with no truth needed.

All figures are of class regions: the union of a class's masks in a frame. Each pair of
neighbouring frames counts once for each class that is in both.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.masks import decode_mask
from pipeline.optical_flow import (
    Flow,
    FlowEstimator,
    scale_flow,
    shrunk_size,
    small_grey,
    warp,
)
from pipeline.records import FrameAnnotation

# A class that is gone for longer than this has left, and has not flickered.
_LONGEST_FLICKER_FRAMES = 5
_FLOW_LONGER_SIDE_PX = 480

Regions = dict[int, NDArray[np.bool_]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TemporalConsistency:
    """How steady annotations are.

    Attributes:
        temporal_iou: mean IoU of a class region with itself one frame before, 0..1.
        contour_distance: mean distance of its outlines in the two frames, both ways, in
            pixels.
        warped_temporal_iou: temporal_iou after the earlier region was moved along the optical
            flow, so that true motion does not count against it.
        warped_contour_distance: likewise.
        sasvi_temporal_iou: as published with SASVi (arXiv 2502.09653): over all classes of a
            pair of frames at once, so that a class in one of them only counts as 0.
        flicker: times that a class vanishes for 1 to 5 frames, per 1,000 frames.
    """

    temporal_iou: float
    contour_distance: float
    warped_temporal_iou: float
    warped_contour_distance: float
    sasvi_temporal_iou: float
    flicker: float

    def to_json(self) -> dict[str, float]:
        """Return the figures by name."""
        return asdict(self)


def temporal_consistency(
    annotated: Mapping[str, Iterable[FrameAnnotation]],
    images: Iterable[NDArray[np.uint8]],
    cuts: frozenset[int] = frozenset(),
) -> dict[str, TemporalConsistency]:
    """Measure how steady annotations of one video are; each step's flow is estimated once.

    Args:
        annotated: by the name of who made them, one annotation for each image in its order.
        images: uint8[H, W, 3], RGB, all of one size.
        cuts: frame indices at which another picture begins; they are not compared with the
            frame before.
    """
    courses = {name: _Steadiness() for name in annotated}
    estimator = FlowEstimator()
    last: NDArray[np.uint8] | None = None
    for image, *frames in zip(images, *annotated.values(), strict=False):
        size = shrunk_size((image.shape[0], image.shape[1]), _FLOW_LONGER_SIDE_PX)
        small = small_grey(image, size)
        flow = None
        if last is not None:
            flow = scale_flow(estimator.between(small, last), image.shape[:2])
        last = small
        for course, frame in zip(courses.values(), frames, strict=True):
            course.add(frame, None if frame.index in cuts else flow)
    return {name: course.figures() for name, course in courses.items()}


class _Steadiness:
    """Collects how one video's annotations change from frame to frame."""

    def __init__(self) -> None:
        self._plain = _PairScores()
        self._warped = _PairScores()
        self._together: list[float] = []
        self._present: list[set[int]] = []
        self._last: Regions = {}

    def add(self, frame: FrameAnnotation, flow: Flow | None) -> None:
        """Compare a frame with the one before, if there is a flow between them."""
        before, after = self._last, _regions(frame)
        self._last = after
        self._present.append(set(after))
        if flow is None:
            return
        self._plain.add(before, after)
        moved = {class_id: warp(region, flow) for class_id, region in before.items()}
        self._warped.add(moved, after)
        classes = before.keys() | after.keys()
        if classes:
            shared = before.keys() & after.keys()
            self._together.append(sum(_iou(before[c], after[c]) for c in shared) / len(classes))

    def figures(self) -> TemporalConsistency:
        """Return the means so far."""
        return TemporalConsistency(
            temporal_iou=_mean(self._plain.ious),
            contour_distance=_mean(self._plain.distances),
            warped_temporal_iou=_mean(self._warped.ious),
            warped_contour_distance=_mean(self._warped.distances),
            sasvi_temporal_iou=_mean(self._together),
            flicker=1000 * count_flicker(self._present) / max(len(self._present), 1),
        )


def _regions(frame: FrameAnnotation) -> Regions:
    regions: Regions = {}
    for track in frame.tracks:
        mask = decode_mask(track.rle)
        if track.class_id in regions:
            mask = regions[track.class_id] | mask
        if mask.any():
            regions[track.class_id] = mask
    return regions


class _PairScores:
    """Collects how well each class region agrees between two frames."""

    def __init__(self) -> None:
        self.ious: list[float] = []
        self.distances: list[float] = []

    def add(self, before: Regions, after: Regions) -> None:
        for class_id in before.keys() & after.keys():
            self.ious.append(_iou(before[class_id], after[class_id]))
            if before[class_id].any():
                self.distances.append(contour_distance(before[class_id], after[class_id]))


def contour_distance(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Return the mean distance between the outlines of two masks bool[H, W], in pixels.

    Both ways: from each outline's pixels to the nearest of the other, averaged over all.
    """
    left, top, width, height = cv2.boundingRect((first | second).view(np.uint8))
    region = slice(top, top + height), slice(left, left + width)
    edges = _closed_outline(first[region]), _closed_outline(second[region])
    distances = [
        cv2.distanceTransform((~other).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[edge]
        for edge, other in (edges, edges[::-1])
    ]
    return float(np.concatenate(distances).mean())


def _closed_outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels of a mask that touch its outside or the picture's border."""
    padded = np.pad(mask, 1).astype(np.uint8)
    inner = np.asarray(cv2.erode(padded, np.ones((3, 3), np.uint8)))[1:-1, 1:-1]
    return np.asarray(mask & (inner == 0), np.bool_)


def count_flicker(present: Sequence[set[int]]) -> int:
    """Count how often a class that was there is gone for 1 to 5 frames and then back.

    Args:
        present: the classes in each frame.
    """
    count = 0
    for class_id in set().union(*present):
        shows = np.flatnonzero([class_id in classes for classes in present])
        gaps = np.diff(shows) - 1
        count += int(((gaps >= 1) & (gaps <= _LONGEST_FLICKER_FRAMES)).sum())
    return count


def _iou(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    union = np.count_nonzero(first | second)
    return float(np.count_nonzero(first & second) / union) if union else 0.0


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0
