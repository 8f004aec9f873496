"""What computes the models fastest: torch, OpenVINO, or torch in bfloat16."""

from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.annotation_loops import open_models, picture_size
from flows.bench.clock import in_turns, mean_of, seconds_of
from flows.models import choose_device
from flows.settings import BATCH_FRAMES
from flows.video_job import VideoJob, annotate_job
from pipeline.annotation_set import AnnotationSet
from pipeline.frames import open_video
from pipeline.masks import decode_mask, iou_matrix
from pipeline.records import FrameAnnotation

_USUAL = "torch"
# Settings that differ from the usual ones.
_WAYS: Mapping[str, Mapping[str, str]] = {
    _USUAL: {"runtime": "torch", "precision": "float32"},
    "openvino": {"runtime": "openvino", "precision": "float32"},
    "bfloat16": {"runtime": "torch", "precision": "bfloat16"},
}


def measure_runtimes(job: VideoJob, rounds: int) -> dict[str, Any]:
    """Measure both models and `annotate` computed in each way, in turns, and compare the masks.

    OpenVINO is left out where it is not installed, and on a GPU, on which it does not compute.

    Args:
        job: what to annotate; `resume` must be off, so that each run does all the work.
        rounds: of which the medians are returned.
    """
    jobs = {way: _job_with(job, way, settings) for way, settings in _ways(job).items()}
    images = _pictures(job)
    sets = {way: annotate_job(each) for way, each in jobs.items()}
    # Held here, since a process keeps the last ones alone, and loading them is not measured.
    models = {way: _ready_models(each, images) for way, each in jobs.items()}
    works: dict[str, dict[str, Callable[[], float]]] = {
        "overseer": {
            way: partial(seconds_of, partial(overseer.detect, images))
            for way, (overseer, _) in models.items()
        },
        "image encoding": {
            way: partial(seconds_of, partial(tracker.encoder.encode, images))
            for way, (_, tracker) in models.items()
        },
        "annotate": {way: partial(_annotate, each, images) for way, each in jobs.items()},
    }
    return {
        **{name: _raced(work, rounds) for name, work in works.items()},
        "mask_agreement": {
            way: set_agreement(sets[_USUAL], found) for way, found in sets.items() if way != _USUAL
        },
    }


def _ways(job: VideoJob) -> Mapping[str, Mapping[str, str]]:
    """Return the ways that there are on this machine."""
    on_processor = choose_device(job.settings.device).type == "cpu"
    if on_processor and find_spec("openvino") is not None:
        return _WAYS
    return {way: settings for way, settings in _WAYS.items() if settings["runtime"] != "openvino"}


def _job_with(job: VideoJob, way: str, settings: Mapping[str, str]) -> VideoJob:
    own = job.settings.model_copy(update=dict(settings))
    return VideoJob(video=job.video, out=job.out / way, settings=own, resume=False)


def _pictures(job: VideoJob) -> NDArray[np.uint8]:
    """Return the first pictures as the networks are given them, uint8[N, H, W, 3]."""
    video = open_video(job.video)
    shrunk = video.shrunk_to(picture_size(video.info, job.settings))
    return next(iter(shrunk.batches(BATCH_FRAMES))).images


def _annotate(job: VideoJob, images: NDArray[np.uint8]) -> float:
    """Return how long a job takes once its models are loaded."""
    _ready_models(job, images)
    return seconds_of(partial(annotate_job, job))


def _ready_models(job: VideoJob, images: NDArray[np.uint8]) -> tuple[Any, Any]:
    """Return overseer and tracker after a first look, in which OpenVINO compiles for a size."""
    overseer, tracker = open_models(job.settings)
    overseer.detect(images)
    tracker.encoder.encode(images)
    return overseer, tracker


def _raced(works: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    seconds = in_turns(dict(works), rounds)
    gains = {way: seconds[_USUAL] / value for way, value in seconds.items() if way != _USUAL}
    return {
        **{f"{way}_ms": 1000 * value for way, value in seconds.items()},
        **{f"{way}_times_as_fast": gain for way, gain in gains.items()},
    }


def set_agreement(first: AnnotationSet, second: AnnotationSet) -> float:
    """Return the mean IoU of each mask of two sets with the one that it overlaps most.

    Only masks of equal classes in equal frames are compared; which track they are of does not
    count, since tracks that start together may be numbered the other way round.
    """
    overlaps: list[float] = []
    for ours, theirs in zip(first.frames(), second.frames(), strict=True):
        classes = {track.class_id for track in (*ours.tracks, *theirs.tracks)}
        for class_id in sorted(classes):
            iou = iou_matrix(_masks_of(ours, class_id), _masks_of(theirs, class_id))
            overlaps += iou.max(1, initial=0.0).tolist() + iou.max(0, initial=0.0).tolist()
    return mean_of(overlaps)


def _masks_of(frame: FrameAnnotation, class_id: int) -> NDArray[np.bool_]:
    """Return the masks bool[M, H, W] of a class; M may be 0."""
    masks = [decode_mask(track.rle) for track in frame.tracks if track.class_id == class_id]
    size = frame.tracks[0].rle.size if frame.tracks else (0, 0)
    return np.stack(masks) if masks else np.zeros((0, *size), np.bool_)
