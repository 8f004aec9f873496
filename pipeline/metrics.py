"""Accuracy of an annotation set against the truth.

Region similarity J and boundary accuracy F follow DAVIS (Perazzi et al., CVPR 2016), for
objects that are matched one to one over the whole video; IoU and Dice are per class.
"""

from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask
from scipy.optimize import linear_sum_assignment

from pipeline.boundaries import boundary_accuracy, boundary_of
from pipeline.courses import Course, Overlaps
from pipeline.errors import InputError
from pipeline.frame_pairs import common_frames
from pipeline.labels import LabelSet
from pipeline.masks import RLE, decode_mask, rle_area, rle_iou_matrix
from pipeline.records import FrameAnnotation

# A new object, or one that is back, counts from where it covers this share of the picture.
_CLEAR_AREA_SHARE = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassScore:
    """How well one class is annotated.

    Attributes:
        name: of the class.
        iou: mean intersection over union, over the frames where the class is or is said to be.
        dice: mean Dice coefficient, over the same frames.
        frames: how many frames these are.
    """

    name: str
    iou: float
    dice: float
    frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """How well a set is annotated.

    Attributes:
        j: mean region similarity over true objects, each over the frames where it or its
            matched track is.
        f: mean boundary accuracy over the same.
        j_and_f: mean of the two.
        miou: mean of the classes' IoU, over the classes that are in the truth.
        dice: likewise of Dice.
        per_class: by class id, for all classes in the truth or in the set.
        presence: share of (object, frame) pairs in which the matched track shows exactly
            where the object does, 0..1.
        found_again: share of the times that an object came back after 10 to 30 hidden frames
            and its track had it again (IoU above 0.5) before it had covered 0.1 % of the picture
            for 5 frames; None if there were none, or frames in between are not compared.
        entered_on_time: share of the objects that come into the picture after the first frame
            whose track begins at most 2 frames from there; None likewise.
        frames: frames compared.
        objects: true objects.
        unmatched_tracks: tracks of the set that match no true object.
    """

    j: float
    f: float
    j_and_f: float
    miou: float
    dice: float
    per_class: dict[int, ClassScore]
    presence: float
    found_again: float | None
    entered_on_time: float | None
    frames: int
    objects: int
    unmatched_tracks: int

    def to_json(self) -> dict[str, Any]:
        """Return the evaluation as JSON values, classes by name."""
        document = asdict(self)
        document["per_class"] = {
            score.name: {"iou": score.iou, "dice": score.dice, "frames": score.frames}
            for score in self.per_class.values()
        }
        return document


def evaluate(
    annotated: Iterable[FrameAnnotation], truth: Iterable[FrameAnnotation], label_set: LabelSet
) -> Evaluation:
    """Compare annotations with the truth, frame by frame in the same order.

    Args:
        annotated: what is judged, by ascending index; it may end before the truth does.
        truth: what is right, likewise.
        label_set: gives the names of the classes.

    Raises:
        InputError: there is nothing to compare, or the masks are of different size.
    """
    evaluator = Evaluator(label_set)
    for found, true in common_frames(annotated, truth):
        evaluator.add(found, true)
    return evaluator.evaluation()


class Evaluator:
    """Compares annotations with the truth, a frame at a time; only figures are kept of a frame.

    Args:
        label_set: gives the names of the classes.
    """

    def __init__(self, label_set: LabelSet) -> None:
        self._label_set = label_set
        self._frames = 0
        self._first_index = self._last_index = 0
        # The frames in which each true object and each track shows, by their place in order.
        self._objects: defaultdict[int, array[int]] = defaultdict(lambda: array("q"))
        self._tracks: defaultdict[int, array[int]] = defaultdict(lambda: array("q"))
        # Likewise those in which an object is more than a speck.
        self._clear: defaultdict[int, array[int]] = defaultdict(lambda: array("q"))
        # By true object and track.
        self._overlaps: defaultdict[tuple[int, int], Overlaps] = defaultdict(Overlaps)
        # Sums of IoU over the frames in which both are of one class.
        self._gains: defaultdict[tuple[int, int], float] = defaultdict(float)
        self._class_scores: defaultdict[int, _ClassScores] = defaultdict(_ClassScores)
        self._true_classes: set[int] = set()

    def add(self, found: FrameAnnotation, true: FrameAnnotation) -> None:
        """Compare the next frame.

        Raises:
            InputError: the masks are of different size.
        """
        _check_size(found, true)
        if not self._frames:
            self._first_index = true.index
        self._last_index = true.index
        for track in true.tracks:
            self._objects[track.track_id].append(self._frames)
            if _is_clear(track.rle):
                self._clear[track.track_id].append(self._frames)
        for track in found.tracks:
            self._tracks[track.track_id].append(self._frames)
        self._compare_masks(found, true)
        self._compare_classes(found, true)
        self._frames += 1

    def _compare_masks(self, found: FrameAnnotation, true: FrameAnnotation) -> None:
        if not found.tracks or not true.tracks:
            return
        iou = rle_iou_matrix(
            [track.rle for track in true.tracks], [track.rle for track in found.tracks]
        )
        boundaries = [boundary_of(decode_mask(track.rle)) for track in found.tracks]
        for row, true_track in enumerate(true.tracks):
            true_boundary = boundary_of(decode_mask(true_track.rle))
            for column, track in enumerate(found.tracks):
                key = (true_track.track_id, track.track_id)
                overlap = float(iou[row, column])
                accuracy = boundary_accuracy(boundaries[column], true_boundary)
                # Who is matched with whom is known at the end alone, so all that touch are kept.
                if overlap or accuracy:
                    self._overlaps[key].add(self._frames, overlap, accuracy)
                if overlap and true_track.class_id == track.class_id:
                    self._gains[key] += overlap

    def _compare_classes(self, found: FrameAnnotation, true: FrameAnnotation) -> None:
        true_classes = {track.class_id for track in true.tracks}
        self._true_classes |= true_classes
        for class_id in true_classes | {track.class_id for track in found.tracks}:
            self._class_scores[class_id].add(*_class_areas(found, true, class_id))

    def evaluation(self) -> Evaluation:
        """Return how well the frames so far are annotated.

        Raises:
            InputError: there is none.
        """
        if not self._frames:
            raise InputError(
                "the set and the truth have no frame in common; compare sets of the same video"
            )
        matches = self._matches()
        # A truth of some frames does not say on which one something came.
        in_full = self._last_index - self._first_index == self._frames - 1
        regions, boundaries, returns, entries = [], [], [], []
        right = 0
        for object_id in sorted(self._objects):
            course = self._course(object_id, matches.get(object_id))
            regions.append(course.over_its_frames(course.iou))
            boundaries.append(course.over_its_frames(course.boundary))
            right += course.frames_right()
            returns += course.found_again() if in_full else []
            entries += course.entered_on_time() if in_full else []
        per_class = {
            class_id: self._class_scores[class_id].score(self._name(class_id))
            for class_id in sorted(self._class_scores)
        }
        true_classes = sorted(self._true_classes)
        j, f = _mean(regions), _mean(boundaries)
        return Evaluation(
            j=j,
            f=f,
            j_and_f=(j + f) / 2,
            miou=_mean([per_class[class_id].iou for class_id in true_classes]),
            dice=_mean([per_class[class_id].dice for class_id in true_classes]),
            per_class=per_class,
            presence=right / (len(self._objects) * self._frames) if self._objects else 0.0,
            found_again=_mean(returns) if returns else None,
            entered_on_time=_mean(entries) if entries else None,
            frames=self._frames,
            objects=len(self._objects),
            unmatched_tracks=len(self._tracks.keys() - set(matches.values())),
        )

    def _matches(self) -> dict[int, int]:
        """Match true objects with tracks of their class: the sum of IoU over time is largest."""
        rows, columns = sorted(self._objects), sorted(self._tracks)
        row_of = {object_id: row for row, object_id in enumerate(rows)}
        column_of = {track_id: column for column, track_id in enumerate(columns)}
        gains = np.zeros((len(rows), len(columns)))
        for (object_id, track_id), total in self._gains.items():
            gains[row_of[object_id], column_of[track_id]] = total
        chosen = zip(*linear_sum_assignment(-gains), strict=True)
        return {rows[row]: columns[column] for row, column in chosen if gains[row, column] > 0}

    def _course(self, object_id: int, track_id: int | None) -> Course:
        shows, clearly = self._objects[object_id], self._clear.get(object_id, ())
        if track_id is None:
            return Course.of(self._frames, shows, clearly, (), Overlaps())
        overlaps = self._overlaps[object_id, track_id]
        return Course.of(self._frames, shows, clearly, self._tracks[track_id], overlaps)

    def _name(self, class_id: int) -> str:
        known = class_id in self._label_set
        return self._label_set[class_id].name if known else f"class {class_id}"


def _check_size(found: FrameAnnotation, true: FrameAnnotation) -> None:
    sizes = {track.rle.size for track in (*found.tracks, *true.tracks)}
    if len(sizes) > 1:
        (height, width), (other_height, other_width) = sorted(sizes)[:2]
        raise InputError(
            f"frame {found.index} has masks of {width}x{height} and of "
            f"{other_width}x{other_height}; compare sets of the same video"
        )


def _is_clear(rle: RLE) -> bool:
    return rle_area(rle) >= _CLEAR_AREA_SHARE * rle.size[0] * rle.size[1]


@dataclass(slots=True)
class _ClassScores:
    """IoU and Dice of a class in each frame where it is or is said to be."""

    iou: "array[float]" = field(default_factory=lambda: array("d"))
    dice: "array[float]" = field(default_factory=lambda: array("d"))

    def add(self, first: float, second: float, common: float) -> None:
        """Take the areas of a class in both frames and of what is common, in pixels."""
        self.iou.append(common / max(first + second - common, 1))
        self.dice.append(2 * common / max(first + second, 1))

    def score(self, name: str) -> ClassScore:
        """Return the means so far."""
        return ClassScore(
            name=name, iou=_mean(self.iou), dice=_mean(self.dice), frames=len(self.iou)
        )


def _class_areas(
    found: FrameAnnotation, true: FrameAnnotation, class_id: int
) -> tuple[float, float, float]:
    """Return the areas of a class in both frames and of what is common, in pixels."""
    merged = [
        coco_mask.merge([t.rle.to_coco() for t in frame.tracks if t.class_id == class_id])
        for frame in (found, true)
    ]
    sizes = [float(coco_mask.area(rle)) if rle["counts"] else 0.0 for rle in merged]
    if not all(sizes):
        return sizes[0], sizes[1], 0.0
    common = coco_mask.merge(merged, intersect=True)
    return sizes[0], sizes[1], float(coco_mask.area(common))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0
