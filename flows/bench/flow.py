"""What a flow costs beside the plain functions that it calls."""

import time
from collections.abc import Callable
from dataclasses import replace
from shutil import rmtree
from typing import Any

from flows.annotate_video import annotate_video, export_overlay
from flows.bench.clock import in_turns, seconds_of
from flows.bench.processes import repeat_video
from flows.prefect_server import prefect_api
from flows.video_job import VideoJob, annotate_job
from pipeline.report import write_report


def measure_flow(job: VideoJob, frame_count: int, rounds: int) -> dict[str, Any]:
    """Annotate a long video through the Prefect flow and by the functions in it, in turns.

    Both write set, overlay and report. The server is started before, and what that takes is given
    apart: a flow that reports to a server of the group's own does not start one.

    Args:
        job: names a clip, which is repeated.
        frame_count: of the long video.
        rounds: each is measured so many times, in turns.
    """
    job.out.mkdir(parents=True, exist_ok=True)
    long = replace(
        job,
        video=job.out / "flow.mp4",
        out=job.out / "flow",
        settings=job.settings.model_copy(update={"max_frames": frame_count}),
    )
    repeat_video(job.video, frame_count, long.video)
    started = time.perf_counter()
    with prefect_api():
        server_start_s = time.perf_counter() - started
        variants = {"plain": _afresh(_annotate_plainly, long), "flow": _afresh(_run_flow, long)}
        seconds = in_turns(variants, rounds)
    return {
        "frames": frame_count,
        "seconds": seconds,
        "own_cost": seconds["flow"] / seconds["plain"] - 1,
        "server_start_s": server_start_s,
    }


def _afresh(annotate: Callable[[VideoJob], None], job: VideoJob) -> Callable[[], float]:
    """Return what removes the results of the last turn and measures another one."""

    def measure() -> float:
        rmtree(job.out, ignore_errors=True)
        return seconds_of(lambda: annotate(job))

    return measure


def _run_flow(job: VideoJob) -> None:
    annotate_video(job.video, job.out, job.settings)


def _annotate_plainly(job: VideoJob) -> None:
    annotated = annotate_job(job)
    export_overlay.fn(annotated.path)
    write_report(annotated, annotated.path.with_suffix(".html"), "keep")
