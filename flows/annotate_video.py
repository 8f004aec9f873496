"""Annotate one video: the steps, and the Prefect flow over the same steps."""

import shutil
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact

from flows.given_prompts import given_policy, open_given
from flows.models import (
    choose_device,
    describe_model,
    open_overseer,
    open_tracker,
    overseer_labels,
)
from flows.settings import AnnotateSettings
from pipeline.annotate import annotate, annotate_framewise
from pipeline.annotation_set import SUFFIX, AnnotationSet, AnnotationSetWriter, new_manifest
from pipeline.constellation import Constellation
from pipeline.constellation_settings import ConstellationSettings, Rule
from pipeline.errors import OutputError
from pipeline.exports import Selection, export
from pipeline.frames import VideoInfo, VideoSource, open_video
from pipeline.labels import LabelSet
from pipeline.looks import Adaptive, EveryNth
from pipeline.manifest import Manifest
from pipeline.policy import AdoptingPolicy, FirstFrame, Policy, WithGivenPrompts
from pipeline.records import FrameAnnotation
from pipeline.sasvi import annotate_sasvi

_BATCH_FRAMES = 8
_SOFTWARE = ("scopeline", "torch", "torchvision", "RF-SAM-2", "av")


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoJob:
    """One video to annotate.

    Attributes:
        video: file or folder of frames.
        out: folder that receives `NAME.annset`.
        settings: how to annotate.
        resume: keep a finished set of the same job; otherwise begin anew.
    """

    video: Path
    out: Path
    settings: AnnotateSettings
    resume: bool = True

    @property
    def set_path(self) -> Path:
        """Where the annotation set is written."""
        name = self.video.resolve().name if self.video.is_dir() else self.video.stem
        return self.out / f"{name}{SUFFIX}"


def annotate_job(
    job: VideoJob, on_frame: Callable[[int, int], None] | None = None
) -> AnnotationSet:
    """Annotate a video and write its set; a finished set of the same job is left as it is.

    Args:
        job: what to do.
        on_frame: is called with (frames done, frames in all).

    Raises:
        ScopelineError: the video, a model or a setting is not usable, or the set cannot be
            written. A set that was begun then says that it failed, and why.
    """
    settings = job.settings
    video = open_video(job.video, settings.on_bad_frame)
    manifest = _manifest(video.info, settings)
    finished = _finished_set(job, manifest)
    if finished is not None:
        return finished
    frames = _frames(video, settings)
    total = min(video.info.frame_count, settings.max_frames or video.info.frame_count)
    with AnnotationSetWriter(job.set_path, manifest) as writer, closing(frames):
        for done, frame in enumerate(frames, start=1):
            writer.add(frame)
            if on_frame is not None:
                on_frame(done, total)
    return AnnotationSet(job.set_path)


def _manifest(info: VideoInfo, settings: AnnotateSettings) -> Manifest:
    models = {}
    if settings.policy != "given":
        models["overseer"] = describe_model(settings.overseer, "overseer")
    if settings.policy != "framewise":
        models["tracker"] = describe_model(settings.tracker, "tracking")
    return new_manifest(
        info,
        _label_set(settings),
        models=models,
        settings=settings.identity(),
        software={name: version(name) for name in _SOFTWARE},
    )


def _finished_set(job: VideoJob, manifest: Manifest) -> AnnotationSet | None:
    """Return the finished set of the very same job, if there is one.

    Raises:
        OutputError: there is a finished set of another job.
    """
    if not job.set_path.exists():
        return None
    existing = AnnotationSet(job.set_path)
    if not job.resume:
        shutil.rmtree(job.set_path)
        return None
    if not existing.is_complete:
        return None
    known = existing.manifest
    same_video = known.video.sha256 == manifest.video.sha256
    if same_video and (known.settings, known.models) == (manifest.settings, manifest.models):
        return existing
    difference = "with other settings or models" if same_video else "of another video"
    raise OutputError(
        f"{job.set_path} is a finished set {difference}; choose another --out, or --no-resume "
        "to replace it"
    )


@lru_cache(maxsize=2)
def _open_models(overseer: str | None, tracker: str | None, device: str) -> tuple[Any, Any]:
    """Load models once for all the videos of a process; None is not loaded."""
    place = choose_device(device)
    return (
        open_overseer(overseer, place) if overseer is not None else None,
        open_tracker(tracker, place) if tracker is not None else None,
    )


def open_models(settings: AnnotateSettings) -> tuple[Any, Any]:
    """Return overseer and tracker, loaded once a process; None where the policy needs none.

    Raises:
        ModelError: one is unknown or does not load.
        UsageError: the device is not there.
    """
    overseer = None if settings.policy == "given" else settings.overseer
    tracker = None if settings.policy == "framewise" else settings.tracker
    return _open_models(overseer, tracker, settings.device)


def _label_set(settings: AnnotateSettings) -> LabelSet:
    if settings.policy == "given" and settings.prompts is not None:
        return open_given(settings.prompts, settings.labels).label_set
    return overseer_labels(settings.overseer)


def _frames(
    video: VideoSource, settings: AnnotateSettings
) -> Generator[FrameAnnotation, None, None]:
    """Load what the job needs, and return the frames to come.

    Models and prompts are read here and not with the first frame, so that a bad one is
    found before there is a set.
    """
    overseer, tracker = open_models(settings)
    batches = video.batches(_BATCH_FRAMES, settings.max_frames)
    if settings.policy == "framewise":
        return annotate_framewise(batches, overseer)
    tracker.reset()
    if settings.policy == "sasvi":
        return annotate_sasvi(batches, overseer=overseer, tracker=tracker)
    policy = _policy(video.info, settings)
    return annotate(batches, overseer=overseer, tracker=tracker, policy=policy)


def _policy(info: VideoInfo, settings: AnnotateSettings) -> Policy:
    given = None
    if settings.prompts is not None:
        given = given_policy(
            open_given(settings.prompts, settings.labels),
            info,
            frames=settings.prompt_frames,
            kind=settings.prompt_kind,
        )
        if settings.policy == "given":
            return given
    policy: AdoptingPolicy = FirstFrame()
    if settings.policy == "constellation":
        policy = _constellation(settings)
    return policy if given is None else WithGivenPrompts(policy, given)


def _constellation(settings: AnnotateSettings) -> Constellation:
    every = settings.overseer_every
    return Constellation(
        overseer_labels(settings.overseer),
        ConstellationSettings(rules=frozenset(Rule) - set(settings.without)),
        EveryNth(every) if isinstance(every, int) else Adaptive(),
    )


@task(name="probe video")
def probe_video(video: Path) -> dict[str, Any]:
    """Read what a video says of itself, so that a bad file fails before models load."""
    info = open_video(video).info
    return {"name": info.name, "frames": info.frame_count, "size": f"{info.width}x{info.height}"}


@task(name="annotate")
def write_annotations(job: VideoJob) -> Path:
    """Annotate a video; returns the path of its set."""
    logger = get_run_logger()

    def report(done: int, total: int) -> None:
        if done % 50 == 0 or done == total:
            logger.info("%s: %d of %d frames", job.video.name, done, total)

    return annotate_job(job, report).path


@task(name="export overlay")
def export_overlay(set_path: Path) -> Path:
    """Write the overlay video beside a set; returns its path."""
    path = set_path.with_suffix(".mp4")
    export(Selection(annotation_set=AnnotationSet(set_path)), "mp4", path)
    return path


@task(name="record what was found")
def record_findings(set_path: Path, overlay: Path) -> None:
    """Keep a table of what was found with the flow run."""
    manifest = AnnotationSet(set_path).manifest
    counts = manifest.counts
    create_markdown_artifact(
        key="annotation-set",
        description=f"Annotations of {manifest.video.name}",
        markdown=(
            "| video | frames | tracks | masks | prompts | set | overlay |\n"
            "|---|---|---|---|---|---|---|\n"
            f"| {manifest.video.name} | {counts.frames} | {counts.tracks} | {counts.masks} "
            f"| {counts.prompts} | `{set_path}` | `{overlay}` |\n"
        ),
    )


@flow(name="annotate-video", flow_run_name="annotate {video.name}")
def annotate_video(
    video: Path, out: Path, settings: AnnotateSettings | None = None
) -> dict[str, str]:
    """Annotate one video as a Prefect flow: probe, annotate, export the overlay, record.

    Args:
        video: file or folder of frames.
        out: folder that receives `NAME.annset` and `NAME.mp4`.
        settings: how to annotate; defaults and `SCOPELINE_*` variables without it.

    Returns:
        The paths of the set and of the overlay.
    """
    job = VideoJob(video=video, out=out, settings=settings or AnnotateSettings())
    found = probe_video(video)
    get_run_logger().info("%(name)s: %(frames)d frames of %(size)s", found)
    set_path = write_annotations(job)
    overlay = export_overlay(set_path)
    record_findings(set_path, overlay)
    return {"set": str(set_path), "overlay": str(overlay)}
