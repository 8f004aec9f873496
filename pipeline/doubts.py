"""Frames of whose masks the tracker is least sure: those are worth labelling next."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.annotation_set import AnnotationSet
from pipeline.records import PromptReason

_CONTRADICTIONS = (PromptReason.DRIFTED, PromptReason.RECLASSIFIED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A frame that a human should look at.

    Attributes:
        frame_index: the frame.
        time_s: its time in seconds.
        score: how much there is to doubt, 0 to 1; only for ranking.
        contradicted: tracks that the overseer has corrected or renamed in it.
    """

    frame_index: int
    time_s: float
    score: float
    contradicted: tuple[int, ...]

    @property
    def reason(self) -> str:
        """Why, in words."""
        reason = f"mean quality {1 - self.score:.2f}"
        if self.contradicted:
            tracks = ", ".join(map(str, self.contradicted))
            reason += f"; overseer against tracks {tracks}"
        return reason


def worth_labelling(
    annotated: AnnotationSet, *, count: int = 20, apart_s: float = 1.0
) -> list[Doubt]:
    """Rank frames by what the predicted IoU of their tracks lacks to 1, in the mean.

    Where the overseer contradicts a track says less of a frame: the prompt that tells so has just
    mended it.

    Args:
        annotated: the set; no masks are read.
        count: how many are returned at most.
        apart_s: seconds between two of them at the least, since neighbours teach the same.

    Returns:
        The frames, the most doubtful first.

    Raises:
        InputError: a part of the set is missing or damaged.
    """
    doubts = sorted(_doubts(annotated), key=lambda doubt: (-doubt.score, doubt.frame_index))
    chosen: list[Doubt] = []
    for doubt in doubts:
        if len(chosen) == count:
            break
        if all(abs(doubt.time_s - other.time_s) >= apart_s for other in chosen):
            chosen.append(doubt)
    return chosen


def _doubts(annotated: AnnotationSet) -> Iterator[Doubt]:
    for part in range(annotated.manifest.parts):
        qualities, contradicted = defaultdict(list), defaultdict(set)
        for row in annotated.rows("masks", part, ["frame_index", "quality"]):
            qualities[row["frame_index"]].append(row["quality"])
        for row in annotated.rows("prompts", part, ["frame_index", "track_id", "reason"]):
            if row["reason"] in _CONTRADICTIONS:
                contradicted[row["frame_index"]].add(row["track_id"])
        for row in annotated.rows("frames", part, ["frame_index", "time"]):
            index = row["frame_index"]
            score = 1 - float(np.mean(qualities.get(index, [1.0])))
            if score > 0:
                yield Doubt(
                    frame_index=index,
                    time_s=row["time"],
                    score=score,
                    contradicted=tuple(sorted(contradicted.get(index, ()))),
                )
