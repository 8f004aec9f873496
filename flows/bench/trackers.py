"""How the tracker compares: with more objects, with the official predictor, with SASVi's loop."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from flows.annotation_loops import open_models
from flows.bench.clock import in_turns, mean_of, seconds_of
from flows.bench.official import OfficialTracker, follow_with_predictor, predictor_like
from flows.models import numbers_of
from flows.settings import BATCH_FRAMES
from flows.video_job import VideoJob, annotate_job
from pipeline.annotate import PromptedTracking, run
from pipeline.annotation_set import AnnotationSet
from pipeline.frames import open_video
from pipeline.masks import decode_mask
from pipeline.networks.devices import computing
from pipeline.policies.given import Given
from pipeline.policies.sasvi import Sasvi
from pipeline.records import Prompt, PromptReason
from pipeline.single_frames import numbered_frames
from tracking.tracker import Sam2Tracker

OBJECT_COUNTS = (1, 4, 8, 16)
_OFFICIAL_OBJECTS = 8


def object_prompts(truth: AnnotationSet, count: int) -> tuple[Prompt, ...]:
    """Return masks of the first frame to follow: the largest ones, halved until there are enough.

    Args:
        truth: what is in the video.
        count: how many objects to follow.
    """
    frame = next(iter(truth.frames()))
    masks = [decode_mask(track.rle) for track in frame.tracks]
    while len(masks) < count:
        masks.sort(key=np.count_nonzero)
        masks.extend(_halves(masks.pop()))
    masks.sort(key=np.count_nonzero, reverse=True)
    return tuple(
        Prompt(
            frame_index=0,
            track_id=number + 1,
            class_id=frame.tracks[0].class_id,
            reason=PromptReason.HUMAN,
            mask=mask,
        )
        for number, mask in enumerate(masks[:count])
    )


def _halves(mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Cut a mask in two at the median of its pixels, across its longer side."""
    places = np.argwhere(mask)
    axis = int(np.ptp(places[:, 1]) > np.ptp(places[:, 0]))
    line = np.arange(mask.shape[axis]) < np.median(places[:, axis])
    first = mask & (line[:, None] if axis == 0 else line[None, :])
    return [first, mask & ~first]


def measure_objects(job: VideoJob, truth: AnnotationSet, rounds: int) -> dict[str, Any]:
    """Measure the loop with given masks and no overseer, by the number of objects."""
    _, tracker = open_models(job.settings)

    def follow(count: int) -> None:
        tracker.reset()
        policy = Given({0: object_prompts(truth, count)})
        batches = open_video(job.video).batches(BATCH_FRAMES, job.settings.max_frames)
        loop = PromptedTracking(overseer=None, tracker=tracker, policy=policy)
        for _ in run(loop, batches):
            pass

    seconds = in_turns(
        {str(count): partial(seconds_of, partial(follow, count)) for count in OBJECT_COUNTS}, rounds
    )
    frames = _frame_count(job)
    return {
        "frames_per_second": {count: frames / value for count, value in seconds.items()},
        "times_the_cost_of_one": {
            count: value / seconds[str(OBJECT_COUNTS[0])] for count, value in seconds.items()
        },
    }


def measure_official(job: VideoJob, truth: AnnotationSet, rounds: int) -> dict[str, Any]:
    """Measure our tracker and the official predictor: the same weights, numbers, frames, prompts.

    Both begin with decoded frames and end with masks at the video's size.
    """
    _, tracker = open_models(job.settings)
    predictor = predictor_like(tracker.network)
    images = _images(job)
    prompts = object_prompts(truth, _OFFICIAL_OBJECTS)

    def official() -> list[Tensor]:
        with computing(*numbers_of(job.settings)):
            return follow_with_predictor(predictor, images, prompts)

    seconds = in_turns(
        {
            "scopeline": lambda: seconds_of(lambda: follow_with_tracker(tracker, images, prompts)),
            "official": lambda: seconds_of(official),
        },
        rounds,
    )
    ours = follow_with_tracker(tracker, images, prompts)
    theirs = [masks.numpy() for masks in official()]
    return {
        "objects": len(prompts),
        "frames": len(images),
        "frames_per_second": {name: len(images) / value for name, value in seconds.items()},
        "times_as_fast": seconds["official"] / seconds["scopeline"],
        "mask_agreement": mask_agreement(ours, theirs),
    }


def follow_with_tracker(
    tracker: Sam2Tracker, images: Sequence[NDArray[np.uint8]], prompts: Sequence[Prompt]
) -> list[NDArray[np.bool_]]:
    """Follow masks of the first frame through a video, as `annotate` does: encoded in batches.

    Returns:
        bool[M, H, W] for each frame.
    """
    tracker.reset()
    found = []
    for index, image in enumerate(images):
        if index % BATCH_FRAMES == 0:
            batch = np.stack(images[index : index + BATCH_FRAMES])
            tracker.encode_ahead(range(index, index + len(batch)), batch)
        tracker.track(index, image)
        if index == 0:
            tracker.prompt(prompts)
        found.append(tracker.result().masks)
    return found


def mask_agreement(
    first: Iterable[NDArray[np.bool_]], second: Iterable[NDArray[np.bool_]]
) -> float:
    """Return the mean IoU of masks bool[M, H, W] of the same objects, where either has any."""
    overlaps = []
    for ours, theirs in zip(first, second, strict=True):
        union = np.count_nonzero(ours | theirs, axis=(1, 2))
        common = np.count_nonzero(ours & theirs, axis=(1, 2))
        overlaps.extend((common[union > 0] / union[union > 0]).tolist())
    return mean_of(overlaps)


def measure_sasvi(job: VideoJob, rounds: int) -> dict[str, Any]:
    """Measure the constellation policy and SASVi's loop, one frame at a time.

    Once with our tracker, and once as it was published, on the official predictor.
    """
    overseer, tracker = open_models(job.settings)
    official = OfficialTracker(predictor_like(tracker.network))

    def sasvi(follower: Any) -> None:
        follower.reset()
        batches = open_video(job.video).batches(1, job.settings.max_frames)
        for _ in run(Sasvi(overseer=overseer, tracker=follower), batches):
            pass

    seconds = in_turns(
        {
            "constellation": lambda: seconds_of(lambda: annotate_job(job)),
            "sasvi": lambda: seconds_of(lambda: sasvi(tracker)),
            "sasvi_on_official_predictor": lambda: seconds_of(lambda: sasvi(official)),
        },
        rounds,
    )
    frames = _frame_count(job)
    return {
        "frames_per_second": {name: frames / value for name, value in seconds.items()},
        "times_as_fast": {
            name: value / seconds["constellation"] for name, value in seconds.items()
        },
    }


def _frame_count(job: VideoJob) -> int:
    count = open_video(job.video).info.frame_count
    return min(count, job.settings.max_frames or count)


def _images(job: VideoJob) -> list[NDArray[np.uint8]]:
    frames = numbered_frames(open_video(job.video), job.settings.max_frames)
    return [image for _, image in frames]
