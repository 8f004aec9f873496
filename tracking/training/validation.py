"""How well a tracker carries masks through labelled clips, or finds them, for training curves."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.annotate import Tracker
from pipeline.labelled_clip import IGNORED, LabelledClip
from pipeline.masks import boxes_of_masks
from pipeline.records import Prompt, PromptReason, TrackedMasks
from tracking.training.batches import MIN_AREA_SHARE


def region_similarity(tracker: Tracker, clips: Sequence[LabelledClip]) -> float:
    """Prompt with the true masks of each clip's first frame, track, and compare.

    Args:
        tracker: is reset before each clip.
        clips: labelled clips of at least two frames.

    Returns:
        DAVIS' J: the mean IoU over the objects and, for each, over the frames after the
        first in which the object or its mask shows; 0..1.
    """
    scores: list[float] = []
    for clip in clips:
        tracker.reset()
        overlaps: dict[int, list[float]] = {}
        for frame in range(len(clip)):
            tracker.track(frame, np.array(clip.images[frame]))
            if frame == 0:
                tracker.prompt(_true_prompts(clip))
                continue
            for track_id, overlap in _overlaps(tracker.result(), clip.track_maps[frame]):
                overlaps.setdefault(track_id, []).append(overlap)
        scores += [float(np.mean(of_object)) for of_object in overlaps.values()]
    return float(np.mean(scores)) if scores else 0.0


def first_mask_similarity(tracker: Tracker, clips: Sequence[LabelledClip]) -> float:
    """Prompt with the true boxes of each clip's first frame, and compare the masks in that frame.

    Args:
        tracker: is reset before each clip.
        clips: labelled clips.

    Returns:
        The mean IoU over the objects, 0..1.
    """
    scores: list[float] = []
    for clip in clips:
        tracker.reset()
        tracker.track(0, np.array(clip.images[0]))
        tracker.prompt([_by_box(prompt) for prompt in _true_prompts(clip)])
        overlaps = _overlaps(tracker.result(), clip.track_maps[0])
        scores += [overlap for _, overlap in overlaps]
    return float(np.mean(scores)) if scores else 0.0


def _by_box(prompt: Prompt) -> Prompt:
    """Return a prompt by the box around its mask instead."""
    assert prompt.mask is not None
    return replace(prompt, mask=None, box=boxes_of_masks(prompt.mask[None])[0])


def _true_prompts(clip: LabelledClip) -> list[Prompt]:
    min_area = int(MIN_AREA_SHARE * clip.track_maps[0].size)
    return [
        Prompt(
            frame_index=0,
            track_id=track_id,
            class_id=clip.class_of_track[track_id],
            reason=PromptReason.HUMAN,
            mask=mask,
        )
        for track_id, mask in clip.masks(0, max(min_area, 1))
    ]


def _overlaps(tracked: TrackedMasks, track_map: NDArray[np.uint8]) -> list[tuple[int, float]]:
    """Return (track id, IoU with the truth) of each track that shows in either."""
    overlaps: list[tuple[int, float]] = []
    for track_id, mask in zip(tracked.track_ids.tolist(), tracked.masks, strict=True):
        true = track_map == track_id
        found = mask & (track_map != IGNORED)
        union = np.count_nonzero(found | true)
        if union:
            overlaps.append((track_id, float(np.count_nonzero(found & true) / union)))
    return overlaps
