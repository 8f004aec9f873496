"""Which frames of a set are worth a picture each, however many there are."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.annotation_set.summary import SetSummary

_BAND_NAMES = {"out_of_body": "outside the body", "black": "black"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Frames in which something happens.

    Attributes:
        shown: what happens in those that are shown, by frame, in order.
        total: number of all.
    """

    shown: dict[int, str]
    total: int


def moments_of(summary: SetSummary, most: int) -> Moments:
    """Choose frames in which something happens, spread over the video where there are too many.

    First come cuts and the beginnings of stretches outside the body or without light, then
    those frames in which tracks begin.

    Args:
        summary: of the set.
        most: how many are shown at most.
    """
    found: dict[int, list[str]] = {frame: ["cut"] for frame in summary.cuts}
    for flag, runs in summary.bands.items():
        for first, _ in runs:
            found.setdefault(first, []).append(_BAND_NAMES[flag])
    scenes = sorted(found)
    for track in summary.tracks.values():
        if track.runs:
            name = f"{track.class_name} {track.track_id}"
            found.setdefault(track.runs[0][0], []).append(name)
    chosen = _spread(scenes, most, ())
    chosen += _spread(sorted(found.keys() - set(scenes)), most - len(chosen), chosen)
    shown = {frame: ", ".join(found[frame]) for frame in sorted(chosen)}
    return Moments(shown=shown, total=len(found))


def _spread(frames: Sequence[int], most: int, others: Collection[int]) -> list[int]:
    """Choose frames, each as far as can be from those before it and from others."""
    if len(frames) <= most:
        return list(frames)
    places = np.array(frames, np.int64)
    distances = np.full(len(places), np.iinfo(np.int64).max)
    for other in others:
        distances = np.minimum(distances, np.abs(places - other))
    chosen: list[int] = []
    while len(chosen) < most:
        chosen.append(frames[int(distances.argmax())])
        distances = np.minimum(distances, np.abs(places - chosen[-1]))
    return chosen
