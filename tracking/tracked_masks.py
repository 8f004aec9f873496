"""Masks at the video's size from what the network says of each track."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.enlarged_masks import enlarged_masks
from pipeline.masks import iou_matrix
from pipeline.records import TrackedMasks
from tracking.frame_features import TrackOutput


def masks_of_outputs(
    outputs: Mapping[int, TrackOutput],
    size: tuple[int, int],
    before: Mapping[int, TrackOutput] | None = None,
) -> TrackedMasks:
    """Return the masks of all tracks of a frame; each pixel goes to the highest logit.

    Args:
        outputs: what the network says, by track id.
        size: height and width of the video.
        before: what it says of the frame before, if that is known.
    """
    track_ids = sorted(outputs)
    if not track_ids:
        return TrackedMasks.empty(*size)
    logits = _logits([outputs[track_id] for track_id in track_ids])
    return TrackedMasks(
        track_ids=np.array(track_ids, np.int64),
        masks=enlarged_masks(logits, size),
        quality=np.array([outputs[t].quality for t in track_ids], np.float32),
        presence=np.array([outputs[t].presence for t in track_ids], np.float32),
        claims=iou_matrix(logits > 0, logits > 0).astype(np.float32),
        claims_before=_claims_before(track_ids, logits, before) if before else None,
    )


def _logits(outputs: Sequence[TrackOutput]) -> NDArray[np.float32]:
    return np.stack([output.logits for output in outputs])


def _claims_before(
    track_ids: Sequence[int], logits: NDArray[np.float32], before: Mapping[int, TrackOutput]
) -> NDArray[np.float32]:
    claims = np.zeros((len(track_ids), len(track_ids)), np.float32)
    known = [column for column, track_id in enumerate(track_ids) if track_id in before]
    if known:
        earlier = _logits([before[track_ids[column]] for column in known])
        claims[:, known] = iou_matrix(logits > 0, earlier > 0)
    return claims


def areas_of(tracked: TrackedMasks) -> dict[int, int]:
    """Return how many pixels each track has in a frame, by track id."""
    areas = np.count_nonzero(tracked.masks, axis=(1, 2)).tolist()
    return dict(zip(tracked.track_ids.tolist(), areas, strict=True))
