"""Which detection is which track."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pipeline.labels import LabelSet
from pipeline.masks import containment_matrix, iou_matrix
from pipeline.pairs import cheapest_pairs
from pipeline.policies.constellation.settings import ConstellationSettings
from pipeline.records import Detections, TrackedMasks

Matches = dict[int, int]
"""The row in the tracked masks of each detection that a track explains."""
# The surer of two detections comes first where nothing else tells them apart.
_SURER = 1e-3


def without_second_classes(
    detections: Detections, label_set: LabelSet, least_iou: float
) -> Detections:
    """Leave out things that a surer detection of another class has seen already.

    A detector judges each class by itself, so it may see one instrument as two kinds at once.
    """
    iou = iou_matrix(detections.masks, detections.masks)
    kept: list[int] = []
    for number in np.argsort(-detections.scores, kind="stable").tolist():
        class_id = int(detections.class_ids[number])
        doubles = [
            other
            for other in kept
            if detections.class_ids[other] != class_id
            and not label_set.is_stuff(int(detections.class_ids[other]))
            and iou[number, other] >= least_iou
        ]
        if label_set.is_stuff(class_id) or not doubles:
            kept.append(number)
    return detections.rows(np.array(sorted(kept), np.int64))


def explain(
    detections: Detections,
    tracked: TrackedMasks,
    class_of_track: Mapping[int, int],
    label_set: LabelSet,
    settings: ConstellationSettings,
) -> Matches:
    """Match detections to tracks by their masks, each at most once, of the same class first."""
    if not len(detections) or not len(tracked):
        return {}
    iou = iou_matrix(detections.masks, tracked.masks)
    containment = containment_matrix(detections.masks, tracked.masks)
    track_classes = [class_of_track[track_id] for track_id in tracked.track_ids.tolist()]
    pairs: list[tuple[bool, float, int, int]] = []
    for number, class_id in enumerate(detections.class_ids.tolist()):
        stuff = label_set.is_stuff(class_id)
        for row, track_class in enumerate(track_classes):
            overlaps = (
                iou[number, row] >= settings.explain_iou
                or containment[number, row] >= settings.explain_containment
            )
            same = track_class == class_id
            # A stuff class has one track, so it explains the class wherever it is.
            explains = overlaps or stuff if same else iou[number, row] >= settings.other_class_iou
            if explains:
                pairs.append((same, float(iou[number, row]), number, row))
    matches: Matches = {}
    for _, _, number, row in sorted(pairs, reverse=True):
        if number not in matches and row not in matches.values():
            matches[number] = row
    return matches


def explain_by_class(
    detections: Detections,
    tracked: TrackedMasks,
    class_of_track: Mapping[int, int],
    explained: Matches,
    likeness: NDArray[np.float64],
    least_likeness: float,
) -> Matches:
    """Match what is left to tracks of its class that look like it, wherever they are.

    Args:
        detections: what the overseer sees, N objects.
        tracked: what the tracker follows, M tracks.
        class_of_track: class by track id.
        explained: the matches that are known already.
        likeness: float64[N, M], how much each detection looks like each track has looked.
        least_likeness: what looks less alike is not the same. Of what looks equally alike, the
            surest detection comes first.
    """
    numbers = [number for number in range(len(detections)) if number not in explained]
    rows = [row for row in range(len(tracked)) if row not in explained.values()]
    classes = [class_of_track[int(tracked.track_ids[row])] for row in rows]

    def cost(number: int, row: int, class_id: int) -> float:
        same = class_id == detections.class_ids[number]
        if not same or likeness[number, row] < least_likeness:
            return math.inf
        return -float(likeness[number, row] + _SURER * detections.scores[number])

    costs = [[cost(n, row, c) for row, c in zip(rows, classes, strict=True)] for n in numbers]
    return {numbers[n]: rows[row] for n, row in cheapest_pairs(costs).items()}


def jumped_tracks(
    tracked: TrackedMasks,
    class_of_track: Mapping[int, int],
    label_set: LabelSet,
    least_iou: float,
) -> tuple[int, ...]:
    """Return the ids of tracks of things that have jumped to another's object since the last frame.

    Of two tracks that claim the same pixels, one was there on the frame before, the other was
    elsewhere or nowhere: look-alike objects draw a tracker that has lost its own.
    """
    if tracked.claims is None or tracked.claims_before is None:
        return ()
    now, before = tracked.claims, tracked.claims_before
    ids = tracked.track_ids.tolist()
    things = [not label_set.is_stuff(class_of_track[track_id]) for track_id in ids]
    jumped = {
        row
        for row, owner in np.argwhere(now >= least_iou).tolist()
        if row != owner
        and things[row]
        and things[owner]
        and before[row, owner] >= least_iou
        and before[row, owner] > before[row, row]
        and before[owner, owner] > before[owner, row]
    }
    return tuple(ids[row] for row in sorted(jumped))


def twin_tracks(
    tracked: TrackedMasks,
    explained: Matches,
    class_of_track: Mapping[int, int],
    label_set: LabelSet,
    least_iou: float,
) -> list[tuple[int, int]]:
    """Return pairs of track ids of things that claim the same pixels, if not both are seen."""
    if tracked.claims is None:
        return []
    seen = set(explained.values())
    pairs = []
    for rows in np.argwhere(np.triu(tracked.claims, 1) >= least_iou).tolist():
        first, second = tracked.track_ids[rows].tolist()
        stuff = any(label_set.is_stuff(class_of_track[track_id]) for track_id in (first, second))
        if not stuff and not set(rows) <= seen:
            pairs.append((first, second))
    return pairs
