"""Annotate one long video in segments beside each other, and join them."""

from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from prefect import flow, task

from flows.retrying import RETRYING
from flows.runners import RunnerName, task_runner
from flows.segment_folders import remove_left_segments, segments_folder, taken
from flows.settings import BATCH_FRAMES
from flows.standing_sets import set_to_keep
from flows.stopping import busy, passing_signals_on, stop_asked
from flows.video_job import VideoJob, annotate_job, manifest_of
from pipeline.annotation_set import AnnotationSet
from pipeline.annotation_set.folders import remove_set
from pipeline.annotation_set.writer import AnnotationSetWriter
from pipeline.errors import (
    AnnotationAbandonedError,
    AnnotationStoppedError,
    InputError,
    UsageError,
)
from pipeline.frames import VideoSource, open_video
from pipeline.manifest import Manifest
from pipeline.scene_changes import SceneWatch
from pipeline.segments import Segment, SegmentJoiner, plan_segments, search_windows
from pipeline.single_frames import numbered_frames

# These look at the video everywhere, so a segment need not know those before it.
_DIVISIBLE = ("constellation", "sasvi", "framewise")


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentsJob:
    """A video that is annotated in segments.

    Attributes:
        whole: the video, where its set goes, and how it is annotated.
        count: segments that are wanted; a short video gets fewer.
        workers: segments that are annotated at the same time.
        runner: local processes, or a cluster of Dask or Ray, which sees the same files.

    Raises:
        UsageError: the policy knows only the video from its beginning.
    """

    whole: VideoJob
    count: int
    workers: int
    runner: RunnerName = "local"

    def __post_init__(self) -> None:
        """Check that the policy can begin anywhere."""
        policy = self.whole.settings.policy
        if policy not in _DIVISIBLE or self.whole.settings.prompts is not None:
            raise UsageError(
                "--segments divides what the overseer looks at everywhere: it goes with --policy "
                f"{', '.join(_DIVISIBLE)} and without --prompts"
            )

    @property
    def set_path(self) -> Path:
        """Where the joined set is written."""
        return self.whole.set_path

    @property
    def video(self) -> Path:
        """The video."""
        return self.whole.video


def annotate_in_segments(
    job: SegmentsJob, on_frame: Callable[[int, int], None] | None = None
) -> AnnotationSet:
    """Annotate a video in segments and join them; a finished set is left as it is.

    A segment that was annotated before a kill or a failure is not annotated again. A damaged frame
    ends the video there, as without segments: the set of the frames before it says that it failed.

    Args:
        job: what to do.
        on_frame: is called with (frames joined, frames in all).

    Raises:
        ScopelineError: the video, a model or a setting is not usable, or the set cannot be
            written.
        AnnotationStoppedError: this process was asked to stop, while it annotated this video or
            one before; the same job goes on from there.
        AnnotationAbandonedError: a worker was killed; the same job goes on from there.
    """
    if stop_asked():
        raise AnnotationStoppedError(
            f"{job.video} was not begun, since a stop was asked for; the same command annotates it"
        )
    video = open_video(job.video, job.whole.settings.on_bad_frame)
    # Where they are follows from their count; to look for cuts is left to who needs them.
    manifest = manifest_of(video.info, job.whole.settings, {"segments": job.count})
    existing = set_to_keep(job.set_path, manifest, resume=job.whole.resume)
    if existing is None or not existing.is_complete:
        folder = segments_folder(job.set_path, manifest)
        with taken(folder):
            _annotate_and_join(job, folder, _plan(job, video), manifest, on_frame)
    remove_left_segments(job.set_path)
    return AnnotationSet(job.set_path)


def _annotate_and_join(
    job: SegmentsJob,
    folder: Path,
    segments: Sequence[Segment],
    manifest: Manifest,
    on_frame: Callable[[int, int], None] | None,
) -> None:
    parts = [
        replace(job.whole, out=folder / f"{number:04}", segment=segment)
        for number, segment in enumerate(segments)
    ]
    runner = task_runner(job.runner, job.workers)
    failure: InputError | None = None
    try:
        paths = annotate_segments.with_options(task_runner=runner)(parts, job.video.name)
    except InputError as error:
        failure, paths = error, _as_far_as_they_go(parts)
        if not paths:
            raise
    except BrokenExecutor as error:
        raise _left_by_a_worker(job.video) from error
    joiner = SegmentJoiner(segments[: len(paths)], AnnotationSet(paths[0]).label_set)
    total = segments[-1].stop
    if not job.whole.resume:
        remove_set(job.set_path)
    # The parts say what computed them, and in which numbers.
    software = AnnotationSet(paths[0]).manifest.software
    manifest = manifest.model_copy(update={"software": software})
    with AnnotationSetWriter(job.set_path, manifest) as writer:
        for frame in joiner.join([AnnotationSet(path).frames() for path in paths]):
            writer.add(frame)
            if on_frame is not None:
                on_frame(frame.index + 1, total)
        writer.settle_classes(joiner.class_of)
        if failure is not None:
            # Here, so that the set notes it.
            raise failure


def _left_by_a_worker(video: Path) -> AnnotationAbandonedError:
    """Say why a worker is gone; a stop ends one that is still starting at once."""
    if stop_asked():
        return AnnotationStoppedError(
            f"{video} was left unfinished; the same command goes on from there"
        )
    return AnnotationAbandonedError(
        f"{video} was left unfinished, since a worker process was killed, as a machine without "
        "memory left does; the same command goes on from there, --workers 1 needs the least memory"
    )


def _as_far_as_they_go(parts: Sequence[VideoJob]) -> list[Path]:
    """Return the sets of segments up to the first one that is not complete, with that one."""
    paths: list[Path] = []
    for part in parts:
        if not part.set_path.exists():
            break
        paths.append(part.set_path)
        if not AnnotationSet(part.set_path).is_complete:
            break
    return paths


@flow(name="annotate-segments", flow_run_name="annotate {name} in segments")
def annotate_segments(parts: Sequence[VideoJob], name: str) -> list[Path]:
    """Annotate segments beside each other; returns the paths of their sets.

    Raises:
        ScopelineError: one has failed; the others are kept for the next time.
    """
    del name
    with passing_signals_on():
        futures = [annotate_segment.submit(part) for part in parts]
        for future in futures:
            future.wait()
        return [future.result() for future in futures]


@task(
    name="annotate segment",
    task_run_name="annotate frames from {job.segment.start}",
    **RETRYING,
)
def annotate_segment(job: VideoJob) -> Path:
    """Annotate one segment into a set of its own; returns its path."""
    # The process that starts workers and joins what they wrote loads no networks.
    import torch

    # The last bits of a mask depend on the threads; sets are the same with however many workers.
    torch.set_num_threads(1)
    with busy() as should_stop:
        return annotate_job(job, should_stop=should_stop).path


def _plan(job: SegmentsJob, video: VideoSource) -> list[Segment]:
    frame_count = min(video.info.frame_count, job.whole.settings.max_frames or 2**62)
    cuts = [
        cut
        for low, high in search_windows(frame_count, job.count)
        for cut in _cuts_between(video, low, high)
    ]
    return plan_segments(frame_count, job.count, cuts, BATCH_FRAMES)


def _cuts_between(video: VideoSource, low: int, high: int) -> list[int]:
    """Return where the camera cuts, as far as the frames can be decoded."""
    watch = SceneWatch()
    cuts: list[int] = []
    # A damaged frame is complained of by who annotates it, with the set of those before it.
    with suppress(InputError):
        for index, image in numbered_frames(video, high, low):
            if watch.look(image).cut:
                cuts.append(index)
    return cuts
