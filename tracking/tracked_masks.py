"""Masks at the video's size from what the network says of each track."""

from collections.abc import Mapping

import numpy as np
import torch

from pipeline.enlarged_masks import enlarged_masks
from pipeline.masks import iou_matrix
from pipeline.records import TrackedMasks
from tracking.frame_features import TrackOutput


def masks_of_outputs(outputs: Mapping[int, TrackOutput], size: tuple[int, int]) -> TrackedMasks:
    """Return the masks of all tracks of a frame; each pixel goes to the highest logit.

    Args:
        outputs: what the network says, by track id.
        size: height and width of the video.
    """
    track_ids = sorted(outputs)
    if not track_ids:
        return TrackedMasks.empty(*size)
    coarse = torch.stack([outputs[track_id].logits for track_id in track_ids])
    logits = coarse.float().cpu().numpy()
    return TrackedMasks(
        track_ids=np.array(track_ids, np.int64),
        masks=enlarged_masks(logits, size),
        quality=np.array([outputs[t].quality for t in track_ids], np.float32),
        presence=np.array([outputs[t].presence for t in track_ids], np.float32),
        claims=iou_matrix(logits > 0, logits > 0).astype(np.float32),
    )


def areas_of(tracked: TrackedMasks) -> dict[int, int]:
    """Return how many pixels each track has in a frame, by track id."""
    areas = np.count_nonzero(tracked.masks, axis=(1, 2)).tolist()
    return dict(zip(tracked.track_ids.tolist(), areas, strict=True))
