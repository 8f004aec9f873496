"""Training and validation parts of data sets: a video is never on both sides.

Neighbouring frames of a video are nearly the same picture; an overseer that has learned one is
flattered by the other.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from natsort import natsorted

from overseer.datasets.labelled_frames import LabelledFrames
from pipeline.errors import UsageError
from pipeline.name_lists import listed_names

_NAMED_VIDEOS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """How a data set is to be divided, by video.

    Attributes:
        share: wanted share of the frames to measure on, above 0 and below 1.
        seed: of the order in which videos are taken for that share.
        validation_videos: names of the videos to measure on instead, with commas between them.
        left_out_videos: names of videos that belong to neither part, likewise.
    """

    share: float | None = None
    seed: int = 1
    validation_videos: str | None = None
    left_out_videos: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A divided data set.

    Attributes:
        training: the frames to learn from.
        validation: those to measure on; None where nothing says which.
        left_out: those that belong to neither.
    """

    training: LabelledFrames
    validation: LabelledFrames | None
    left_out: LabelledFrames


def divide(folder: Path, frames: LabelledFrames, division: Division) -> Parts:
    """Divide a data set by the names of its videos, or by a share.

    Args:
        folder: the data set, for messages.
        frames: what to divide.
        division: how.

    Raises:
        UsageError: a video is not known or named twice, nothing is left to learn from, or both
            parts have a picture in common; or as `split_by_video`.
    """
    known = set(frames.videos)
    chosen = named_videos("--validation-videos", division.validation_videos, folder, known)
    left_out = named_videos("--leave-out-videos", division.left_out_videos, folder, known)
    if twice := natsorted(chosen & left_out):
        raise UsageError(
            f"--validation-videos and --leave-out-videos both name {twice[0]}; name it once"
        )
    if chosen | left_out == known:
        raise UsageError(
            f"no video of {folder} is left to learn from; name fewer of its {len(known)} videos"
        )
    kept, others = divide_by_names(frames, left_out)
    if chosen:
        training, validation = divide_by_names(kept, chosen)
        _refuse_equal_pictures(training, validation)
        return Parts(training=training, validation=validation, left_out=others)
    if division.share is None:
        return Parts(training=kept, validation=None, left_out=others)
    first, *further = known - left_out
    if left_out and not further:
        raise UsageError(
            f"{folder} holds frames of one video only ({first}) beside those that are left out, "
            "and a split never divides a video; leave out fewer, add frames of another video, or "
            "measure on another data set with --validation-data"
        )
    training, validation = split_by_video(folder, kept, division.share, division.seed)
    return Parts(training=training, validation=validation, left_out=others)


def named_videos(
    option: str, names: str | None, folder: Path, known: Collection[str]
) -> frozenset[str]:
    """Return the videos of a data set that an option names.

    Args:
        option: of the command line, for messages.
        names: what was given, names with commas between them.
        folder: the data set, for messages.
        known: the names of its videos.

    Raises:
        UsageError: the data set has no such video.
    """
    if names is None:
        return frozenset()
    chosen = listed_names(names, known)
    unknown = [name for name in chosen if name not in known]
    if unknown or not chosen:
        first = unknown[0] if unknown else ""
        raise UsageError(
            f"{option} {names}: {folder} has no video {first!r}; name some of "
            f"{_some_of(natsorted(known))}"
        )
    return frozenset(chosen)


def divide_by_names(
    frames: LabelledFrames, videos: Collection[str]
) -> tuple[LabelledFrames, LabelledFrames]:
    """Return the frames of all other videos, and those of some."""
    numbers = range(len(frames.videos))
    others = _part(frames, (n for n in numbers if frames.videos[n] not in videos))
    return others, _part(frames, (n for n in numbers if frames.videos[n] in videos))


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
    training, validation = divide_by_names(frames, chosen)
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
        raise UsageError(
            f"{folder} and {other_folder} both hold frames of {_some_of(shared)}; keep all frames "
            "of a video on one side"
        )
    _refuse_equal_pictures(frames, others)


def _some_of(videos: Sequence[str]) -> str:
    """Return the first names of a list, and how many more there are."""
    more = f" and {len(videos) - _NAMED_VIDEOS} more" if len(videos) > _NAMED_VIDEOS else ""
    return f"{', '.join(videos[:_NAMED_VIDEOS])}{more}"


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
