"""Accuracy of an annotation set against the truth.

Region similarity J and boundary accuracy F follow DAVIS (Perazzi et al., CVPR 2016), for
objects that are matched one to one over the whole video; IoU and Dice are per class.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from scipy.optimize import linear_sum_assignment

from pipeline.errors import InputError
from pipeline.labels import LabelSet
from pipeline.masks import RLE, decode_mask, rle_area, rle_iou_matrix
from pipeline.records import FrameAnnotation

# DAVIS: the boundary may be off by this share of the picture's diagonal.
_BOUNDARY_TOLERANCE = 0.008
# A new object, or one that is back, counts from where it covers this share of the picture.
_CLEAR_AREA_SHARE = 0.001
_ENTERED_WITHIN_FRAMES = 2
# How long an object must have been hidden, and how soon its track must have it again.
_HIDDEN_FRAMES = (10, 30)
_FOUND_WITHIN_FRAMES, _FOUND_IOU = 5, 0.5


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
        annotated: what is judged; it may end before the truth does.
        truth: what is right.
        label_set: gives the names of the classes.

    Raises:
        InputError: there is nothing to compare, or the masks are of different size.
    """
    found = list(annotated)
    by_index = {frame.index: frame for frame in truth}
    pairs = [(frame, by_index[frame.index]) for frame in found if frame.index in by_index]
    if not pairs:
        raise InputError(
            "the set and the truth have no frame in common; compare sets of the same video"
        )
    _check_sizes(pairs)
    matches, objects, tracks = _match_objects(pairs)
    true_masks = _masks_by_track(true for _, true in pairs)
    found_masks = _masks_by_track(found for found, _ in pairs)
    courses = [
        _course(len(pairs), true_masks[truth_id], found_masks.get(matches.get(truth_id, -1), {}))
        for truth_id in objects
    ]
    indices = [found.index for found, _ in pairs]
    # A truth of some frames does not say on which one something came.
    in_full = courses if indices == list(range(indices[0], indices[0] + len(indices))) else []
    returns = [found for course in in_full for found in course.found_again()]
    entries = [on_time for course in in_full for on_time in course.entered_on_time()]
    per_class = _class_scores(pairs, label_set)
    true_classes = {track.class_id for _, true in pairs for track in true.tracks}
    j = _mean([course.over_its_frames(course.iou) for course in courses])
    f = _mean([course.over_its_frames(course.boundary) for course in courses])
    return Evaluation(
        j=j,
        f=f,
        j_and_f=(j + f) / 2,
        miou=_mean([per_class[class_id].iou for class_id in true_classes]),
        dice=_mean([per_class[class_id].dice for class_id in true_classes]),
        per_class=per_class,
        presence=_mean([right for course in courses for right in course.presence_right()]),
        found_again=_mean(returns) if returns else None,
        entered_on_time=_mean(entries) if entries else None,
        frames=len(pairs),
        objects=len(objects),
        unmatched_tracks=len(tracks - set(matches.values())),
    )


def boundary_accuracy(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Return DAVIS' boundary F of two masks bool[H, W], 0..1; 1 where both are empty."""
    edge, true_edge = _outline(mask), _outline(truth)
    if not edge.any() and not true_edge.any():
        return 1.0
    if not edge.any() or not true_edge.any():
        return 0.0
    reach = int(np.ceil(_BOUNDARY_TOLERANCE * np.hypot(*mask.shape)))
    away = np.arange(-reach, reach + 1) ** 2
    # Not OpenCV's ellipse, which is larger.
    disk = (away[:, None] + away <= reach**2).astype(np.uint8)
    near_true = cv2.dilate(true_edge.astype(np.uint8), disk) > 0
    near = cv2.dilate(edge.astype(np.uint8), disk) > 0
    precision = (edge & near_true).sum() / edge.sum()
    recall = (true_edge & near).sum() / true_edge.sum()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels bool[H, W] that differ from one to the right, below or both, as DAVIS."""
    beyond = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    right, below, both = beyond[:-1, 1:], beyond[1:, :-1], beyond[1:, 1:]
    return np.asarray((mask ^ right) | (mask ^ below) | (mask ^ both), np.bool_)


_Pairs = Sequence[tuple[FrameAnnotation, FrameAnnotation]]


def _check_sizes(pairs: _Pairs) -> None:
    for found, true in pairs:
        sizes = {track.rle.size for track in (*found.tracks, *true.tracks)}
        if len(sizes) > 1:
            (height, width), (other_height, other_width) = sorted(sizes)[:2]
            raise InputError(
                f"frame {found.index} has masks of {width}x{height} and of "
                f"{other_width}x{other_height}; compare sets of the same video"
            )


def _match_objects(pairs: _Pairs) -> tuple[dict[int, int], list[int], set[int]]:
    """Match true objects with tracks of their class: the sum of IoU over time is largest."""
    totals: dict[tuple[int, int], float] = {}
    objects: set[int] = set()
    tracks: set[int] = set()
    for found, true in pairs:
        objects |= {track.track_id for track in true.tracks}
        tracks |= {track.track_id for track in found.tracks}
        iou = rle_iou_matrix(
            [track.rle for track in true.tracks], [track.rle for track in found.tracks]
        )
        for row, true_track in enumerate(true.tracks):
            for column, track in enumerate(found.tracks):
                if true_track.class_id == track.class_id and iou[row, column] > 0:
                    key = (true_track.track_id, track.track_id)
                    totals[key] = totals.get(key, 0.0) + float(iou[row, column])
    rows, columns = sorted(objects), sorted(tracks)
    gains = np.zeros((len(rows), len(columns)))
    for (truth_id, track_id), total in totals.items():
        gains[rows.index(truth_id), columns.index(track_id)] = total
    chosen = zip(*linear_sum_assignment(-gains), strict=True)
    matches = {rows[row]: columns[column] for row, column in chosen if gains[row, column] > 0}
    return matches, rows, tracks


@dataclass(frozen=True, slots=True)
class _Course:
    """How one object goes through a video, frame by frame.

    Attributes:
        shows: bool[T], whether the object shows.
        shows_clearly: bool[T], whether it covers at least 0.1 % of the picture.
        followed: bool[T], whether its matched track shows.
        iou: float64[T], of the two where both show, else 0.
        boundary: float64[T], DAVIS' F where both show, else 0.
    """

    shows: NDArray[np.bool_]
    shows_clearly: NDArray[np.bool_]
    followed: NDArray[np.bool_]
    iou: NDArray[np.float64]
    boundary: NDArray[np.float64]

    def over_its_frames(self, values: NDArray[np.float64]) -> float:
        """Return the mean of values float64[T] over the frames where either shows."""
        return _mean(values[self.shows | self.followed].tolist())

    def presence_right(self) -> list[float]:
        return list((self.shows == self.followed).astype(float))

    def entered_on_time(self) -> list[float]:
        """Say for an object that comes in after the first frame whether its track did so too."""
        if self.shows[0] or not self.shows_clearly.any():
            return []
        if not self.followed.any():
            return [0.0]
        begins = int(self.followed.argmax())
        earliest = int(self.shows.argmax()) - _ENTERED_WITHIN_FRAMES
        latest = int(self.shows_clearly.argmax()) + _ENTERED_WITHIN_FRAMES
        return [float(earliest <= begins <= latest)]

    def found_again(self) -> list[float]:
        """Say for each return after 10 to 30 hidden frames whether the track had it again.

        An object that slides back into the picture is a speck at first, which no mask can match.
        """
        edges = np.flatnonzero(np.diff(self.shows, prepend=False, append=False))
        found = []
        for (_, gone), (back, _) in pairwise(zip(edges[::2], edges[1::2], strict=True)):
            clear = back + np.flatnonzero(self.shows_clearly[back:])
            if len(clear) and _HIDDEN_FRAMES[0] <= back - gone <= _HIDDEN_FRAMES[1]:
                best = self.iou[back : clear[0] + _FOUND_WITHIN_FRAMES].max()
                found.append(float(best > _FOUND_IOU))
        return found


def _masks_by_track(frames: Iterable[FrameAnnotation]) -> dict[int, dict[int, RLE]]:
    """Return the masks of each track by the frame's place in order."""
    masks: dict[int, dict[int, RLE]] = defaultdict(dict)
    for place, frame in enumerate(frames):
        for track in frame.tracks:
            masks[track.track_id][place] = track.rle
    return masks


def _course(length: int, true: Mapping[int, RLE], found: Mapping[int, RLE]) -> _Course:
    iou, boundary = np.zeros(length), np.zeros(length)
    for place in true.keys() & found.keys():
        rle, true_rle = found[place], true[place]
        iou[place] = rle_iou_matrix([rle], [true_rle])[0, 0]
        boundary[place] = boundary_accuracy(decode_mask(rle), decode_mask(true_rle))
    return _Course(
        shows=_at(true, length),
        shows_clearly=_at([place for place, rle in true.items() if _is_clear(rle)], length),
        followed=_at(found, length),
        iou=iou,
        boundary=boundary,
    )


def _at(places: Iterable[int], length: int) -> NDArray[np.bool_]:
    """Return bool[length], true at some places."""
    result = np.zeros(length, np.bool_)
    result[list(places)] = True
    return result


def _is_clear(rle: RLE) -> bool:
    return rle_area(rle) >= _CLEAR_AREA_SHARE * rle.size[0] * rle.size[1]


def _class_scores(pairs: _Pairs, label_set: LabelSet) -> dict[int, ClassScore]:
    ious: dict[int, list[float]] = {}
    dices: dict[int, list[float]] = {}
    for found, true in pairs:
        class_ids = {track.class_id for track in (*found.tracks, *true.tracks)}
        for class_id in class_ids:
            areas = _class_areas(found, true, class_id)
            first, second, common = areas
            ious.setdefault(class_id, []).append(common / max(first + second - common, 1))
            dices.setdefault(class_id, []).append(2 * common / max(first + second, 1))
    return {
        class_id: ClassScore(
            name=label_set[class_id].name if class_id in label_set else f"class {class_id}",
            iou=_mean(ious[class_id]),
            dice=_mean(dices[class_id]),
            frames=len(ious[class_id]),
        )
        for class_id in sorted(ious)
    }


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
