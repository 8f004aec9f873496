"""Where `annotate` spends its time, and what the bare networks need for the same tensors."""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch

from flows.annotation_loops import open_models
from flows.bench.clock import (
    Call,
    StageClock,
    in_turns,
    mean_of,
    replace_attribute,
    replace_function,
    seconds_of,
)
from flows.models import numbers_of
from flows.settings import AnnotateSettings
from flows.video_job import VideoJob, annotate_job
from pipeline import frames
from pipeline.annotate import PromptedTracking
from pipeline.annotation_set.writer import AnnotationSetWriter
from pipeline.drafts import Draft
from pipeline.enlarged_masks import enlarged_masks
from pipeline.masks import encode_mask
from pipeline.networks.devices import computing
from pipeline.optical_flow import FlowEstimator
from pipeline.policies.constellation.policy import Constellation
from pipeline.scene_changes import SceneWatch
from pipeline.steadying.steadied import Steadied
from tracking.mask_heads import follow_heads
from tracking.memory_attention import attend_to_memories
from tracking.memory_keys import project_memory
from tracking.sam2_model import normalize_images
from tracking.tracker import Sam2Tracker

OVERSEER, IMAGES, ATTENTION, DECODER, MEMORIES = (
    "overseer network",
    "image encoding",
    "memory attention",
    "mask decoding",
    "memory encoding",
)
NETWORK_STAGES = (OVERSEER, IMAGES, ATTENTION, DECODER, MEMORIES)
# Each frame's tensors take 15 MB with the models that ship and 7 objects.
_KEPT_FRAMES = 24


@dataclass(frozen=True, slots=True)
class StageTimes:
    """What one measured run took.

    Attributes:
        total_s: in all.
        clock: how it divides into stages.
    """

    total_s: float
    clock: StageClock


def measure_annotate(job: VideoJob, rounds: int) -> dict[str, Any]:
    """Measure a job in turns: as it is, by its stages, and the bare networks.

    Args:
        job: what to annotate; `resume` must be off, so that each run does all the work.
        rounds: of which the medians are returned.
    """
    annotated = annotate_job(job)
    found = list(annotated.frames())
    short = _first_frames_of(job)
    calls: list[Call] = []
    time_stages(short, calls)
    runs: list[StageTimes] = []

    def by_stage() -> float:
        runs.append(time_stages(job))
        return runs[-1].total_s

    seconds = in_turns(
        {
            "annotate": lambda: seconds_of(lambda: annotate_job(job)),
            "by stage": by_stage,
            "first frames": lambda: seconds_of(lambda: annotate_job(short)),
            "networks": lambda: seconds_of(lambda: make_again(calls, job.settings)),
        },
        rounds,
    )
    return {
        "frames": len(found),
        "tracks_per_frame": round(mean_of([len(frame.tracks) for frame in found]), 2),
        "prompts": annotated.manifest.counts.prompts,
        "frames_per_second": len(found) / seconds["annotate"],
        "bare_networks_share": seconds["networks"] / seconds["first frames"],
        **_describe(runs, len(found)),
    }


def _describe(runs: list[StageTimes], frame_count: int) -> dict[str, Any]:
    """Return the stages of the run that took the median time."""
    run = sorted(runs, key=lambda run: run.total_s)[len(runs) // 2]
    seconds = dict(run.clock.seconds)
    seconds["rest"] = run.total_s - sum(seconds.values())
    stages = {
        name: {"ms_per_frame": 1000 * value / frame_count, "share": value / run.total_s}
        for name, value in sorted(seconds.items(), key=lambda item: -item[1])
    }
    return {
        "share_in_networks": sum(seconds.get(name, 0.0) for name in NETWORK_STAGES) / run.total_s,
        "stages": stages,
        "on_other_threads_ms_per_frame": {
            name: 1000 * value / frame_count for name, value in run.clock.beside.items()
        },
    }


def time_stages(job: VideoJob, calls: list[Call] | None = None) -> StageTimes:
    """Run a job with every stage on a clock.

    Args:
        job: what to annotate.
        calls: receives the calls of the networks' forward passes.
    """
    overseer, tracker = open_models(job.settings)
    on_cuda = next(tracker.network.parameters()).is_cuda
    clock = StageClock(torch.cuda.synchronize if on_cuda else lambda: None)
    with ExitStack() as stack:
        _wrap_networks(stack, clock, overseer, tracker, calls)
        _wrap_the_rest(stack, clock, overseer)
        started = time.perf_counter()
        annotate_job(job)
        return StageTimes(time.perf_counter() - started, clock)


def _wrap_networks(
    stack: ExitStack, clock: StageClock, overseer: Any, tracker: Any, calls: list[Call] | None
) -> None:
    network = tracker.network
    for owner, name, stage in (
        (overseer.network, "forward", OVERSEER),
        (network, "forward_image", IMAGES),
        (network, "_forward_sam_heads", DECODER),
        (network, "_encode_new_memory", MEMORIES),
    ):
        replace_attribute(stack, owner, name, clock.timed(stage, calls))
    replace_function(stack, project_memory, clock.timed(ATTENTION, calls))
    replace_function(stack, attend_to_memories, clock.timed(ATTENTION, calls))
    replace_function(stack, follow_heads, clock.timed(DECODER, calls))


def _wrap_the_rest(stack: ExitStack, clock: StageClock, overseer: Any) -> None:
    """Put on the clock what is done around the networks, which are stages of their own."""
    for owner, name, stage in (
        (overseer, "detect", "overseer, around its network"),
        (Sam2Tracker, "track", "tracker, around its network"),
        (Sam2Tracker, "prompt", "tracker, around its network"),
        (Sam2Tracker, "back_fill", "tracker, around its network"),
        (Sam2Tracker, "result", "tracker, around its network"),
        (SceneWatch, "look", "scene signs"),
        (Constellation, "decide", "policy"),
        (Constellation, "doubts", "policy"),
        (Draft, "take", "drafts"),
        (FlowEstimator, "between", "steadying, optical flow"),
        (Steadied, "step", "steadying, outlines"),
        (Steadied, "finish", "steadying, outlines"),
        (PromptedTracking, "step", "the loop"),
        (PromptedTracking, "finish", "the loop"),
        (AnnotationSetWriter, "add", "writing"),
        (AnnotationSetWriter, "add_batch", "writing"),
        (AnnotationSetWriter, "_write_part", "writing"),
        (AnnotationSetWriter, "__exit__", "writing"),
    ):
        replace_attribute(stack, owner, name, clock.timed(stage))
    for function, stage in (
        (normalize_images, "resizing for the tracker"),
        (enlarged_masks, "mask enlarging"),
        (encode_mask, "RLE encoding"),
        (frames.open_video, "opening the video"),
    ):
        replace_function(stack, function, clock.timed(stage))
    for video_type in (frames.VideoFile, frames.FrameFolder):
        replace_attribute(
            stack, video_type, "batches", clock.timed_iterator("waiting for decoded frames")
        )
        replace_attribute(stack, video_type, "decode", clock.timed_iterator("decoding"))


def _first_frames_of(job: VideoJob) -> VideoJob:
    limit = min(job.settings.max_frames or _KEPT_FRAMES, _KEPT_FRAMES)
    settings = job.settings.model_copy(update={"max_frames": limit})
    return VideoJob(video=job.video, out=job.out / "first", settings=settings, resume=False)


def make_again(calls: list[Call], settings: AnnotateSettings) -> None:
    """Make the networks' forward passes again, with nothing between them, in the same numbers."""
    with torch.inference_mode(), computing(*numbers_of(settings)):
        for function, args, kwargs in calls:
            function(*args, **kwargs)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
