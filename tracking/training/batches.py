"""What a step of training learns from: runs of frames of some clips, and tracks in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.errors import InputError
from pipeline.labelled_clip import IGNORED, LabelledClip, masks_of_map
from pipeline.masks import boxes_of_masks
from tracking.regions import Region, region_around
from tracking.training.trunk_features import TrunkFeatures

# How often each kind of prompt begins a clip: all of them, or masks alone, where a network of its
# own answers boxes and points.
EVERY_KIND: Mapping[str, float] = {"mask": 0.25, "rough-mask": 0.25, "box": 0.25, "points": 0.25}
MASKS_ALONE: Mapping[str, float] = {"mask": 0.5, "rough-mask": 0.5}
# Share of a picture; smaller objects are neither prompted nor learned from.
MIN_AREA_SHARE = 0.0008
# For each clip of a batch; where objects are, one frame in some has a large one.
_MOST_DRAWS = 1000
# Sides of a view from near, in sides of the box around a track: about those of the views in which
# the tracker looks at a box or points.
_NEAR_MARGINS = (1.3, 3.0)
_SMALLEST_VIEW = 40
# How near a view comes to the box's own proportions, 0..1: it is a square mostly, as the tracker's.
_PROPORTIONS = (0.0, 0.0, 0.0, 0.5, 1.0)
# Frames of a clip from one frame of a run to the next; real instruments jump at times.
_SPACINGS = (1, 1, 2, 3, 5)
# Two frames on either side of a leap, at least.
_FEWEST_FRAMES_TO_LEAP = 4
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
        near_share: how often the surroundings of a track are all that a clip shows, 0..1.
        prompts: how often each kind of prompt begins a clip of several frames, 0..1.
        leap_share: how often a run of frames leaves out a long stretch, as what is hidden for long
            comes back elsewhere, 0..1.
    """

    until: float
    frames: int
    clips: int
    tracks: int
    near_share: float = 0.0
    prompts: Mapping[str, float] = field(default_factory=lambda: EVERY_KIND)
    leap_share: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackBatch:
    """Tracks of several clips side by side; B = clips * tracks.

    Attributes:
        features: trunk features of each stride, float32[clips * T, C, h, w].
        targets: float32[B, T, S, S], true masks at the network's input size.
        clip_of_row: int64[B], which clip each row follows.
        ignored: float32[B, T, S, S], 1 where the labels are left open; None if they are nowhere.
    """

    features: list[Tensor]
    targets: Tensor
    clip_of_row: Tensor
    ignored: Tensor | None = None


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

    Raises:
        InputError: hardly any clip has a track that is large enough.
    """
    drawn: list[_DrawnTracks] = []
    draws = 0
    while len(drawn) < stage.clips:
        draws += 1
        if draws > _MOST_DRAWS * stage.clips:
            raise InputError(
                f"of {draws} frames that were drawn to learn from, {len(drawn)} have an object "
                "that is large enough to follow; label more or larger objects"
            )
        tracks = _draw_tracks(random, clips, stage, image_size, group_share)
        if tracks is not None:
            drawn.append(tracks)
    features = [trunk.features(one.clip_number, one.frames, one.region) for one in drawn]
    targets = np.concatenate([one.masks for one in drawn])
    ignored = np.repeat([one.ignored for one in drawn], stage.tracks, axis=0)
    return TrackBatch(
        features=[torch.cat(level) for level in zip(*features, strict=True)],
        targets=torch.from_numpy(targets).float(),
        clip_of_row=torch.arange(stage.clips).repeat_interleave(stage.tracks),
        ignored=torch.from_numpy(ignored).float() if ignored.any() else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _DrawnTracks:
    """Tracks of one clip to learn from.

    Attributes:
        clip_number: of the clip.
        frames: of the run, T of them.
        region: the part of the picture that is seen; None: all.
        masks: bool[tracks, T, S, S].
        ignored: bool[T, S, S], where the labels are left open.
    """

    clip_number: int
    frames: list[int]
    region: Region | None
    masks: NDArray[np.bool_]
    ignored: NDArray[np.bool_]


def _draw_tracks(
    random: np.random.Generator,
    clips: Sequence[LabelledClip],
    stage: Stage,
    image_size: int,
    group_share: float,
) -> _DrawnTracks | None:
    """Draw a clip, a run of frames and tracks; None where none is large enough to follow."""
    number = int(random.integers(len(clips)))
    clip = clips[number]
    frames = _draw_frames(random, len(clip), stage.frames, stage.leap_share)
    region = _draw_region(random, clip, frames[0], stage.near_share)
    maps = clip.track_maps[frames]
    if region is not None:
        maps = region.cut_from(maps)
    min_area = int(MIN_AREA_SHARE * maps[0].size)
    visible = [track_id for track_id, _ in masks_of_map(maps[0], clip.class_of_track, min_area)]
    if not visible:
        return None
    few = len(visible) < stage.tracks
    chosen = random.choice(visible, stage.tracks, replace=few, p=_chances(maps, visible))
    masks = np.stack(
        [
            _masks_of(_group_of(random, track_id, visible, group_share), maps, image_size)
            for track_id in chosen
        ]
    )
    # What is too thin for the network's input cannot be followed either.
    if not masks[:, 0].any((1, 2)).all():
        return None
    return _DrawnTracks(
        clip_number=number,
        frames=frames,
        region=region,
        masks=masks,
        ignored=_masks_of([IGNORED], maps, image_size),
    )


def _group_of(
    random: np.random.Generator, track_id: int, visible: Sequence[int], group_share: float
) -> list[int]:
    """Return a track, now and then together with another one."""
    return [track_id, random.choice(visible)] if random.random() < group_share else [track_id]


def _masks_of(
    track_ids: Sequence[int], maps: NDArray[np.uint8], image_size: int
) -> NDArray[np.bool_]:
    """Return the masks bool[T, S, S] of some tracks as one, from maps uint8[T, H, W]."""
    masks = np.isin(maps, track_ids).astype(np.float32)
    return np.stack([cv2.resize(mask, (image_size, image_size)) >= 0.5 for mask in masks])


def _draw_frames(
    random: np.random.Generator, length: int, count: int, leap_share: float
) -> list[int]:
    """Draw a run of frames from a clip, evenly spaced, forwards or backwards in time.

    A run that leaps goes on far from where it was.
    """
    widest = (length - 1) // max(count - 1, 1)
    can_leap = leap_share > 0 and count >= _FEWEST_FRAMES_TO_LEAP
    leaps = can_leap and random.random() < leap_share
    spacing = min(int(random.choice(_SPACINGS[:2] if leaps else _SPACINGS)), widest)
    spare = length - 1 - (count - 1) * spacing
    leap = int(random.integers(spare // 2, spare + 1)) if leaps else 0
    start = int(random.integers(0, spare - leap + 1))
    before_leap = int(random.integers(2, count - 1)) if leaps else count
    frames = [
        start + number * spacing + (leap if number >= before_leap else 0) for number in range(count)
    ]
    if random.random() < 0.5:
        frames.reverse()
    return frames


def _draw_region(
    random: np.random.Generator, clip: LabelledClip, frame: int, near_share: float
) -> Region | None:
    """Draw the surroundings of a track of a frame; None where the whole picture is to be seen."""
    if not near_share or random.random() >= near_share:
        return None
    masks = list(clip.masks(frame, int(MIN_AREA_SHARE * clip.track_maps[0].size)))
    if not masks:
        return None
    _, mask = masks[int(random.integers(len(masks)))]
    box = boxes_of_masks(mask[None])[0].astype(np.float64)
    sides = box[2:] - box[:2]
    proportion = float(random.choice(_PROPORTIONS))
    shown = sides.max() ** (1 - proportion) * sides**proportion
    view = np.maximum(shown * random.uniform(*_NEAR_MARGINS), _SMALLEST_VIEW)
    center = (box[:2] + box[2:]) / 2 + random.uniform(-0.1, 0.1, 2) * sides
    return region_around(center, view, mask.shape)


def _chances(maps: NDArray[np.uint8], track_ids: Sequence[int]) -> NDArray[np.float64]:
    """Return how likely each track is to be drawn, from the track maps uint8[T, H, W] of a run."""
    vanishes = [not (maps == track_id).any((1, 2)).all() for track_id in track_ids]
    weights = np.where(vanishes, _WEIGHT_OF_VANISHING, 1.0)
    return np.asarray(weights / weights.sum(), np.float64)
