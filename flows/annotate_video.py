"""Annotate one video as a Prefect flow."""

from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import flow, get_run_logger, task
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    update_progress_artifact,
)

from flows.retrying import RETRYING, may_pass
from flows.settings import AnnotateSettings
from flows.video_job import VideoJob, annotate_job
from pipeline.annotation_set import AnnotationSet
from pipeline.exports import Selection, export
from pipeline.frames import open_video
from pipeline.report import write_report

_TELL_EVERY_FRAMES = 100


@task(name="probe video")
def probe_video(video: Path) -> dict[str, Any]:
    """Read what a video says of itself, so that a bad file fails before models load."""
    info = open_video(video).info
    return {"name": info.name, "frames": info.frame_count, "size": f"{info.width}x{info.height}"}


@task(
    name="annotate",
    **RETRYING,
)
def write_annotations(job: VideoJob) -> Path:
    """Annotate a video, with a progress artifact; returns the path of its set."""
    logger = get_run_logger()
    name = job.video.name
    told = 0
    bar = create_progress_artifact(progress=0.0, description=f"frames of {name}")
    assert isinstance(bar, UUID)

    def report(done: int, total: int) -> None:
        nonlocal told
        if done - told >= _TELL_EVERY_FRAMES or done == total:
            told = done
            logger.info("%s: %d of %d frames", name, done, total)
            update_progress_artifact(bar, progress=100.0 * done / total)

    return annotate_job(job, report).path


@task(name="export overlay", retries=1, retry_condition_fn=may_pass)
def export_overlay(set_path: Path) -> Path:
    """Write the overlay video beside a set, in place of that of a run before; returns its path."""
    # `NAME.mp4` may be the video itself.
    path = set_path.with_suffix(".overlay.mp4")
    path.unlink(missing_ok=True)
    export(Selection(annotation_set=AnnotationSet(set_path)), "mp4", path)
    return path


@task(name="write report", retries=1, retry_condition_fn=may_pass)
def report_findings(set_path: Path) -> Path:
    """Write the report beside a set, likewise, and link it to the flow run; returns its path."""
    path = set_path.with_suffix(".html")
    path.unlink(missing_ok=True)
    write_report(AnnotationSet(set_path), path, "keep")
    create_link_artifact(link=path.resolve().as_uri(), link_text=f"report of {set_path.stem}")
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
    video: Path,
    out: Path,
    settings: AnnotateSettings | None = None,
    timeout_s: float | None = None,
) -> dict[str, str]:
    """Annotate one video as a Prefect flow: probe, annotate, export the overlay, report.

    Args:
        video: file or folder of frames.
        out: folder that receives `NAME.annset`, `NAME.overlay.mp4` and `NAME.html`.
        settings: how to annotate; defaults and `SCOPELINE_*` variables without it.
        timeout_s: an attempt to annotate ends after so many seconds; the next goes on from
            what it committed.

    Returns:
        The paths of the set, the overlay and the report.
    """
    job = VideoJob(video=video, out=out, settings=settings or AnnotateSettings())
    found = probe_video(video)
    get_run_logger().info("%(name)s: %(frames)d frames of %(size)s", found)
    set_path = write_annotations.with_options(timeout_seconds=timeout_s)(job)
    overlay = export_overlay(set_path)
    report = report_findings(set_path)
    record_findings(set_path, overlay)
    return {"set": str(set_path), "overlay": str(overlay), "report": str(report)}
