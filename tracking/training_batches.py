"""What a step of training learns from: runs of frames of some clips, and tracks in them."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.labelled_clip import LabelledClip
from tracking.trunk_features import TrunkFeatures

_MIN_AREA_SHARE = 0.0008
# Frames of a clip from one frame of a run to the next; real instruments jump at times.
_SPACINGS = (1, 1, 2, 3, 5)
# Most tracks stay in sight; only those that go and return teach to let go and to find again.
_WEIGHT_OF_VANISHING = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A part of the curriculum.

    Attributes:
        until: the stage ends at this share of all steps, 0..1.
        frames: frames in each clip.
        clips: clips in each step.
        tracks: tracks followed in each clip; constant, since the CPU kernels are built
            anew for each new batch size.
    """

    until: float
    frames: int
    clips: int
    tracks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackBatch:
    """Tracks of several clips side by side; B = clips * tracks.

    Attributes:
        features: trunk features of each stride, float32[clips * T, C, h, w].
        targets: float32[B, T, S, S], true masks at the network's input size.
        clip_of_row: int64[B], which clip each row follows.
    """

    features: list[Tensor]
    targets: Tensor
    clip_of_row: Tensor


def sample_batch(
    random: np.random.Generator,
    clips: Sequence[LabelledClip],
    trunk: TrunkFeatures,
    stage: Stage,
    image_size: int,
    group_share: float = 0.0,
) -> TrackBatch:
    """Draw clips, a run of frames in each, and tracks that are visible in its first frame.

    Small tracks are drawn as often as large ones, those that vanish more often than others.
    A clip with too few tracks gives the same track twice.

    Args:
        random: source of randomness.
        clips: to draw from.
        trunk: gives the features of their frames.
        stage: how many clips, frames and tracks.
        image_size: side of the targets in pixels.
        group_share: how often a target is two of a clip's tracks at once, 0..1.
    """
    features: list[list[Tensor]] = []
    targets = []
    while len(features) < stage.clips:
        number = int(random.integers(len(clips)))
        clip = clips[number]
        frames = _draw_frames(random, len(clip), stage.frames)
        min_area = int(_MIN_AREA_SHARE * clip.track_maps[0].size)
        visible = [track_id for track_id, _ in clip.masks(frames[0], min_area)]
        if not visible:
            continue
        chances = _chances(clip, visible, frames)
        few = len(visible) < stage.tracks
        chosen = random.choice(visible, stage.tracks, replace=few, p=chances)
        features.append(trunk.features(number, frames))
        for track_id in chosen:
            group = [track_id]
            if random.random() < group_share:
                group.append(random.choice(visible))
            masks = np.isin(clip.track_maps[frames], group).astype(np.float32)
            targets.append([cv2.resize(mask, (image_size, image_size)) for mask in masks])
    return TrackBatch(
        features=[torch.cat(level) for level in zip(*features, strict=True)],
        targets=(torch.from_numpy(np.array(targets)) >= 0.5).float(),
        clip_of_row=torch.arange(stage.clips).repeat_interleave(stage.tracks),
    )


def _draw_frames(random: np.random.Generator, length: int, count: int) -> list[int]:
    """Draw a run of frames from a clip, evenly spaced, forwards or backwards in time."""
    widest = (length - 1) // max(count - 1, 1)
    spacing = min(int(random.choice(_SPACINGS)), widest)
    start = int(random.integers(0, length - (count - 1) * spacing))
    frames = list(range(start, start + (count - 1) * spacing + 1, spacing))
    if random.random() < 0.5:
        frames.reverse()
    return frames


def _chances(
    clip: LabelledClip, track_ids: Sequence[int], frames: Sequence[int]
) -> NDArray[np.float64]:
    """Return how likely each track is to be drawn."""
    maps = clip.track_maps[frames]
    vanishes = [not (maps == track_id).any((1, 2)).all() for track_id in track_ids]
    weights = np.where(vanishes, _WEIGHT_OF_VANISHING, 1.0)
    return np.asarray(weights / weights.sum(), np.float64)
