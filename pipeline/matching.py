"""Which detection is which track."""

from collections.abc import Mapping

import numpy as np

from pipeline.constellation_settings import ConstellationSettings
from pipeline.labels import LabelSet
from pipeline.masks import containment_matrix, iou_matrix
from pipeline.records import Detections, TrackedMasks

Matches = dict[int, int]
"""The row in the tracked masks of each detection that a track explains."""


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
) -> Matches:
    """Match what is left by class alone, the surest detection first."""
    matches: Matches = {}
    for number in np.argsort(-detections.scores, kind="stable").tolist():
        taken = {*explained.values(), *matches.values()}
        class_id = int(detections.class_ids[number])
        free = [
            row
            for row, track_id in enumerate(tracked.track_ids.tolist())
            if row not in taken and class_of_track[track_id] == class_id
        ]
        if number not in explained and free:
            matches[number] = free[0]
    return matches


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
