"""What an annotation set holds, gathered in one pass: tracks, cuts, stretches, quality."""

from dataclasses import dataclass, field

import numpy as np

from pipeline.annotation_set import AnnotationSet
from pipeline.masks import rle_area
from pipeline.records import PromptRecord

# Gaps this short in a track's bar could not be seen.
_SHORTEST_GAP_SHARE = 0.001
_QUALITY_BINS = 200
_BANDS = ("out_of_body", "black")

Run = tuple[int, int]


@dataclass(slots=True)
class TrackSummary:
    """A track over the whole video.

    Attributes:
        track_id: its id.
        class_name: its class.
        color: of its class, as CSS has it.
        runs: first and last frame of each stretch in which it shows.
        frames: number of frames in which it shows.
        quality_sum: of its predicted IoU over these.
        area_sum: of its area in pixels over these.
        prompts: (frame index, prompt) of each prompt.
    """

    track_id: int
    class_name: str
    color: str
    runs: list[Run] = field(default_factory=list)
    frames: int = 0
    quality_sum: float = 0.0
    area_sum: float = 0.0
    prompts: list[tuple[int, PromptRecord]] = field(default_factory=list)

    @property
    def quality(self) -> float:
        """Mean predicted IoU, 0..1."""
        return self.quality_sum / max(self.frames, 1)


@dataclass(slots=True)
class SetSummary:
    """What a pass over a set's frames finds.

    Attributes:
        tracks: by track id.
        cuts: frames at which another picture begins.
        bands: first and last frame of each stretch with a flag, by flag.
        out_of_body_frames: number of frames that are flagged as outside the body.
        qualities: mean predicted IoU in each of equal stretches of the video, None without masks.
        overseer_looks: number of frames that the overseer looked at.
    """

    tracks: dict[int, TrackSummary] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    bands: dict[str, list[Run]] = field(default_factory=lambda: {name: [] for name in _BANDS})
    out_of_body_frames: int = 0
    qualities: list[float | None] = field(default_factory=list)
    overseer_looks: int = 0


def summarize(annotated: AnnotationSet) -> SetSummary:
    """Gather what the report shows, in one pass over the frames."""
    summary = SetSummary()
    frame_count = annotated.manifest.counts.frames
    bins = min(_QUALITY_BINS, frame_count)
    gap = max(1, round(_SHORTEST_GAP_SHARE * frame_count))
    quality_sums, quality_counts = np.zeros(bins), np.zeros(bins, np.int64)
    for number, frame in enumerate(annotated.frames()):
        summary.overseer_looks += frame.overseer_ran
        if "cut" in frame.flags:
            summary.cuts.append(frame.index)
        summary.out_of_body_frames += "out_of_body" in frame.flags
        for name in _BANDS:
            if name in frame.flags:
                _extend(summary.bands[name], frame.index, gap)
        for track in frame.tracks:
            known = _track(summary, annotated, track.track_id, track.class_id)
            known.frames += 1
            known.quality_sum += track.quality
            known.area_sum += rle_area(track.rle)
            _extend(known.runs, frame.index, gap)
            place = number * bins // frame_count
            quality_sums[place] += track.quality
            quality_counts[place] += 1
        for prompt in frame.prompts:
            known = _track(summary, annotated, prompt.track_id, prompt.class_id)
            known.prompts.append((frame.index, prompt))
    summary.qualities = [
        float(total / count) if count else None
        for total, count in zip(quality_sums, quality_counts, strict=True)
    ]
    return summary


def _track(
    summary: SetSummary, annotated: AnnotationSet, track_id: int, class_id: int
) -> TrackSummary:
    """Return the summary of a track, which has the class that it has last."""
    label = annotated.label_set[class_id]
    known = summary.tracks.setdefault(
        track_id, TrackSummary(track_id=track_id, class_name="", color="")
    )
    known.class_name, known.color = label.name, label.hex_color
    return known


def _extend(runs: list[Run], frame_index: int, gap: int) -> None:
    """Add a frame to the last run, or begin another after a gap that shows."""
    if runs and frame_index - runs[-1][1] <= gap + 1:
        runs[-1] = (runs[-1][0], frame_index)
    else:
        runs.append((frame_index, frame_index))
