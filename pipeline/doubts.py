"""Frames in which overseer and tracker disagree: those are worth labelling next."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pipeline.records import FrameAnnotation, PromptReason

_CONTRADICTIONS = (PromptReason.DRIFTED, PromptReason.RECLASSIFIED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A frame that a human should look at.

    Attributes:
        frame_index: the frame.
        time_s: its time in seconds.
        score: how much there is to doubt; only for ranking.
        reason: why, in words.
    """

    frame_index: int
    time_s: float
    score: float
    reason: str


def worth_labelling(
    frames: Iterable[FrameAnnotation], *, count: int = 20, apart_s: float = 1.0
) -> list[Doubt]:
    """Rank frames by how much overseer and tracker disagree in them, and how unsure they are.

    A prompt that corrects or renames a track counts with the overseer's score, since it was
    given against what the tracker held; to it comes the mean of what the predicted IoU of the
    tracks lacks to 1.

    Args:
        frames: in order.
        count: how many are returned at most.
        apart_s: seconds between two of them at the least, since neighbours teach the same.

    Returns:
        The frames, the most doubtful first.
    """
    doubts = sorted(
        (doubt for frame in frames if (doubt := _doubt(frame)) is not None),
        key=lambda doubt: (-doubt.score, doubt.frame_index),
    )
    chosen: list[Doubt] = []
    for doubt in doubts:
        if len(chosen) == count:
            break
        if all(abs(doubt.time_s - other.time_s) >= apart_s for other in chosen):
            chosen.append(doubt)
    return chosen


def _doubt(frame: FrameAnnotation) -> Doubt | None:
    contradictions = [prompt for prompt in frame.prompts if prompt.reason in _CONTRADICTIONS]
    unsure = 1 - float(np.mean([track.quality for track in frame.tracks])) if frame.tracks else 0.0
    score = sum(prompt.score for prompt in contradictions) + unsure
    if not score:
        return None
    corrected = sorted({prompt.track_id for prompt in contradictions})
    reason = f"mean quality {1 - unsure:.2f}"
    if corrected:
        reason = f"overseer against tracks {', '.join(map(str, corrected))}; {reason}"
    return Doubt(frame_index=frame.index, time_s=frame.time_s, score=score, reason=reason)
