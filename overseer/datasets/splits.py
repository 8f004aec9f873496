"""Training and validation parts of data sets: a video is never on both sides.

Neighbouring frames of a video are nearly the same picture; an overseer that has learned one is
flattered by the other.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from overseer.datasets.labelled_frames import LabelledFrames
from pipeline.errors import UsageError

_NAMED_VIDEOS = 5


def split_by_video(
    folder: Path, frames: LabelledFrames, share: float, seed: int
) -> tuple[LabelledFrames, LabelledFrames]:
    """Divide a data set into frames to learn from and frames to measure on.

    Videos are taken for the second part in random order, each if it brings that part's number
    of frames nearer to the share.

    Args:
        folder: the data set, for messages.
        frames: what to divide.
        share: wanted share of the frames in the second part, above 0 and below 1.
        seed: of the order.

    Raises:
        UsageError: all frames are of one video, or both parts have a picture in common.
    """
    counts = Counter(frames.videos)
    if len(counts) < 2:
        raise UsageError(
            f"{folder} holds frames of one video only ({next(iter(counts))}), which a split never "
            "divides; add frames of another video, or measure on another data set with "
            "--validation-data"
        )
    chosen = _choose(counts, share * len(frames.videos), seed)
    numbers = range(len(frames.videos))
    training = _part(frames, (n for n in numbers if frames.videos[n] not in chosen))
    validation = _part(frames, (n for n in numbers if frames.videos[n] in chosen))
    _refuse_equal_pictures(training, validation)
    return training, validation


def refuse_shared_videos(
    folder: Path, frames: LabelledFrames, other_folder: Path, others: LabelledFrames
) -> None:
    """Refuse to learn from one data set and to measure on another that has frames of its videos.

    Args:
        folder: what is learned from, for messages.
        frames: its frames.
        other_folder: what is measured on, for messages.
        others: its frames, read with the same `longest_side`.

    Raises:
        UsageError: both have a video of one name, or the same picture.
    """
    shared = sorted(set(frames.videos) & set(others.videos))
    if shared:
        more = f" and {len(shared) - _NAMED_VIDEOS} more" if len(shared) > _NAMED_VIDEOS else ""
        raise UsageError(
            f"{folder} and {other_folder} both hold frames of {', '.join(shared[:_NAMED_VIDEOS])}"
            f"{more}; keep all frames of a video on one side"
        )
    _refuse_equal_pictures(frames, others)


def _choose(counts: Counter[str], wanted: float, seed: int) -> set[str]:
    """Return the videos of the second part: at least one, but not all."""
    videos = sorted(counts)
    order = [videos[n] for n in np.random.default_rng(seed).permutation(len(videos))]
    chosen: set[str] = set()
    frames = 0
    for video in order:
        nearer = abs(frames + counts[video] - wanted) < abs(frames - wanted)
        if nearer and len(chosen) < len(videos) - 1:
            chosen.add(video)
            frames += counts[video]
    return chosen or {min(order, key=lambda video: counts[video])}


def _part(frames: LabelledFrames, numbers: Iterable[int]) -> LabelledFrames:
    kept = list(numbers)
    return replace(
        frames,
        clips=tuple(frames.clips[n] for n in kept),
        paths=tuple(frames.paths[n] for n in kept),
        videos=tuple(frames.videos[n] for n in kept),
        problems=(),
    )


def _refuse_equal_pictures(frames: LabelledFrames, others: LabelledFrames) -> None:
    known = dict(zip(_contents(frames), frames.paths, strict=True))
    for content, path, video in zip(_contents(others), others.paths, others.videos, strict=True):
        if content in known:
            raise UsageError(
                f"{path} (video {video}) is the same picture as {known[content]}, so it would be "
                "measured on what was learned; remove it on one side"
            )


def _contents(frames: LabelledFrames) -> list[bytes]:
    return [hashlib.sha256(clip.images.tobytes()).digest() for clip in frames.clips]
