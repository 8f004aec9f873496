"""What computes the models' image trunks fastest: torch or OpenVINO."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.bench_clock import in_turns, mean_of, seconds_of
from flows.settings import RUNTIMES, Runtime
from flows.video_job import VideoJob, annotate_job, open_models
from pipeline.annotation_set import AnnotationSet
from pipeline.frames import open_video
from pipeline.masks import decode_mask, iou_matrix

_BATCH_FRAMES = 8


def measure_runtimes(job: VideoJob, rounds: int) -> dict[str, Any]:
    """Measure both models and `annotate` with each runtime, in turns, and compare the masks.

    Args:
        job: what to annotate; `resume` must be off, so that each run does all the work.
        rounds: of which the medians are returned.

    Raises:
        UsageError: OpenVINO is not installed, or cannot compute on the job's device.
    """
    jobs = {runtime: _job_with(job, runtime) for runtime in RUNTIMES}
    images = next(iter(open_video(job.video).batches(_BATCH_FRAMES))).images
    sets = {runtime: annotate_job(each) for runtime, each in jobs.items()}
    works: dict[str, dict[Runtime, Callable[[], Any]]] = {
        "overseer": {name: partial(_look, each, images) for name, each in jobs.items()},
        "image encoding": {name: partial(_encode, each, images) for name, each in jobs.items()},
        "annotate": {name: partial(annotate_job, each) for name, each in jobs.items()},
    }
    return {
        **{name: _raced(work, rounds) for name, work in works.items()},
        "mask_agreement": set_agreement(*sets.values()),
    }


def _job_with(job: VideoJob, runtime: Runtime) -> VideoJob:
    settings = job.settings.model_copy(update={"runtime": runtime})
    return VideoJob(video=job.video, out=job.out / runtime, settings=settings, resume=False)


def _look(job: VideoJob, images: NDArray[np.uint8]) -> None:
    open_models(job.settings)[0].detect(images)


def _encode(job: VideoJob, images: NDArray[np.uint8]) -> None:
    open_models(job.settings)[1].encode_ahead(range(len(images)), images)


def _raced(works: dict[Runtime, Callable[[], Any]], rounds: int) -> dict[str, float]:
    seconds = in_turns({name: partial(seconds_of, work) for name, work in works.items()}, rounds)
    return {
        **{f"{name}_ms": 1000 * value for name, value in seconds.items()},
        "times_as_fast": seconds["torch"] / seconds["openvino"],
    }


def set_agreement(first: AnnotationSet, second: AnnotationSet) -> float:
    """Return the mean IoU of the masks of equal tracks in equal frames, where either has any."""
    overlaps: list[float] = []
    for ours, theirs in zip(first.frames(), second.frames(), strict=True):
        other = {track.track_id: track for track in theirs.tracks}
        for track in ours.tracks:
            match = other.pop(track.track_id, None)
            if match is None:
                overlaps.append(0.0)
                continue
            mask, its = decode_mask(track.rle), decode_mask(match.rle)
            overlaps.append(float(iou_matrix(mask[None], its[None])[0, 0]))
        overlaps.extend(0.0 for _ in other)
    return mean_of(overlaps)
