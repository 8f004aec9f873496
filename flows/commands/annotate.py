"""The command line's part about annotating videos: `scopeline annotate`."""

import json
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.commands.archive import RunnerChoice, RunnerOption, quiet_prefect
from flows.commands.options import AT_ONCE, PROMPTING, JsonOption, takes_groups
from flows.commands.setting_options import SettingOptions
from flows.complaints import UnforeseenError, complain, debugging, unforeseen
from flows.consoles import screen
from flows.frame_progress import frame_bars, frame_progress
from pipeline.errors import ScopelineError, UsageError

_BY_HAND = "True masks and corrections"
# Segments that are annotated at the same time, unless --workers says it.
_WORKERS = 2


class PolicyChoice(StrEnum):
    """The policies that `annotate` knows."""

    constellation = "constellation"
    sasvi = "sasvi"
    first_frame = "first-frame"
    framewise = "framewise"
    given = "given"


class PromptKindChoice(StrEnum):
    """What `annotate` makes of a true mask."""

    mask = "mask"
    box = "box"
    points = "points"


@takes_groups
def annotate(
    videos: Annotated[
        list[Path],
        typer.Argument(
            # One that cannot be read is one that fails, and does not stop the others.
            metavar="VIDEO",
            help="Video files or folders of frames, one or more.",
            readable=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder that receives NAME.annset.")],
    *,
    policy: Annotated[
        PolicyChoice | None,
        typer.Option(
            metavar="NAME",
            help="constellation, sasvi, first-frame, framewise or given.  [default: constellation]",
            rich_help_panel=PROMPTING,
        ),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(
            help="True masks: an annotation set or a folder of PNGs.", rich_help_panel=_BY_HAND
        ),
    ] = None,
    prompt_frames: Annotated[
        str | None,
        typer.Option(
            help="Frames of --prompts to use, such as 0,30,60; first: each object's first.  "
            "[default: 0]",
            rich_help_panel=_BY_HAND,
        ),
    ] = None,
    prompt_kind: Annotated[
        PromptKindChoice | None,
        typer.Option(
            help="Hint that is made of a true mask.  [default: mask]", rich_help_panel=_BY_HAND
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="JSON file: what the values in mask PNGs mean.", rich_help_panel=_BY_HAND
        ),
    ] = None,
    corrections: Annotated[
        Path | None,
        typer.Option(
            metavar="SET",
            help="What `import` wrote: only what it can change in the set that it corrects is "
            "tracked again.",
            rich_help_panel=_BY_HAND,
        ),
    ] = None,
    given: SettingOptions,
    max_frames: Annotated[int | None, typer.Option(min=1, help="Stop after N frames.")] = None,
    segments: Annotated[
        int,
        typer.Option(
            min=1,
            help="Divide each video at cuts of the camera, and join the parts.",
            rich_help_panel=AT_ONCE,
        ),
    ] = 1,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Segments that are annotated at the same time, 2 if not said.",
            rich_help_panel=AT_ONCE,
        ),
    ] = None,
    together: Annotated[
        int,
        typer.Option(
            min=1,
            help="Videos that are annotated at the same time, the image encoder seeing their "
            "frames in one batch: for a GPU that those of one do not fill.",
            rich_help_panel=AT_ONCE,
        ),
    ] = 1,
    runner: RunnerOption = RunnerChoice.local,
    resume: Annotated[
        bool, typer.Option(help="Keep finished sets of the same job, or begin anew.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Annotate videos; one that fails does not stop the others."""
    every = given.overseer_every
    options = asdict(given) | {
        "policy": policy,
        "overseer_every": None if every is None else _look_schedule(every),
        "prompts": prompts,
        "prompt_frames": None if prompt_frames is None else _frame_list(prompt_frames),
        "prompt_kind": prompt_kind,
        "labels": labels,
        "max_frames": max_frames,
    }
    chosen = {name: value for name, value in options.items() if value is not None}
    _refuse_equal_names(videos, out)
    if together > 1 and (segments > 1 or corrections is not None):
        raise UsageError("--together goes with whole videos, without --segments or --corrections")
    if segments > 1 and corrections is not None:
        raise UsageError("--segments goes with whole videos, without --corrections")
    if segments == 1 and (workers is not None or runner is not RunnerChoice.local):
        raise UsageError("--workers and --runner go with --segments; say how many to divide into")
    if corrections is None:
        from flows.settings import settings_from_options

        settings = settings_from_options(**chosen)
        _refuse_unused(chosen, settings)
        if together > 1:
            results = _annotate_together(videos, out, settings, together, resume=resume)
        elif segments == 1:
            results = [_annotate_one(video, out, settings, resume=resume) for video in videos]
        else:
            whole = [(video, out, settings, resume) for video in videos]
            results = _annotate_in_segments(whole, segments, workers or _WORKERS, runner)
    else:
        results = [_correct_one(videos, out, corrections, chosen, resume=resume)]
    if as_json:
        typer.echo(json.dumps({"videos": results}, indent=2))
    _say_what_next(results)
    if any("error" in result for result in results):
        raise typer.Exit(1)


def _annotate_one(video: Path, out: Path, settings: Any, *, resume: bool) -> dict[str, Any]:
    from flows.stage_counters import StageCounters
    from flows.video_job import VideoJob, annotate_job

    job = VideoJob(video=video, out=out, settings=settings, resume=resume)
    counters = StageCounters()
    result = _run(job, partial(annotate_job, counters=counters))
    return result if "error" in result else {**result, "stages": counters.to_json()}


def _annotate_together(
    videos: Sequence[Path], out: Path, settings: Any, at_once: int, *, resume: bool
) -> list[dict[str, Any]]:
    from flows.annotate_together import annotate_together
    from flows.video_job import VideoJob

    jobs = [VideoJob(video=video, out=out, settings=settings, resume=resume) for video in videos]
    started: dict[Path, float] = {}
    results: dict[Path, dict[str, Any]] = {}
    with frame_bars() as add:

        def begin(job: VideoJob) -> Callable[[int, int], None]:
            started[job.video] = time.monotonic()
            advance: Callable[[int, int], None] = add(job.video.name)
            return advance

        for ended in annotate_together(jobs, at_once, begin):
            video = ended.job.video
            if isinstance(ended.outcome, ScopelineError):
                results[video] = _failed(video, ended.outcome)
                continue
            seconds = time.monotonic() - started[video]
            done = _done(ended.job, ended.outcome.manifest, seconds)
            results[video] = {**done, "stages": ended.counters.to_json()}
    return [results[video] for video in videos]


def _annotate_in_segments(
    whole: Sequence[tuple[Path, Path, Any, bool]], count: int, workers: int, runner: RunnerChoice
) -> list[dict[str, Any]]:
    """Annotate videos one after the other, each in segments beside each other.

    Args:
        whole: video, folder of the set, settings and whether to resume, of each.
        count: segments of each.
        workers: segments at the same time.
        runner: where they run.
    """
    quiet_prefect()
    from flows.annotate_segments import SegmentsJob, annotate_in_segments
    from flows.prefect_server import prefect_api
    from flows.video_job import VideoJob

    jobs = [
        SegmentsJob(
            whole=VideoJob(video=video, out=out, settings=settings, resume=resume),
            count=count,
            workers=workers,
            runner=runner.value,
        )
        for video, out, settings, resume in whole
    ]
    with prefect_api():
        return [_run(job, annotate_in_segments) for job in jobs]


def _correct_one(
    videos: list[Path], out: Path, corrections: Path, given: dict[str, Any], *, resume: bool
) -> dict[str, Any]:
    from flows.correct_video import CorrectionJob, correct_job
    from flows.settings import option_of

    if len(videos) > 1:
        raise UsageError("--corrections are of one video; give that one alone")
    unused = sorted(set(given) - {"tracker", "device"})
    if unused:
        raise UsageError(
            f"--corrections keeps to the corrected set; leave out {option_of(unused[0])}"
        )
    job = CorrectionJob(video=videos[0], corrections=corrections, out=out, resume=resume, **given)
    return _run(job, correct_job)


def _run(job: Any, work: Callable[..., Any]) -> dict[str, Any]:
    """Do one video's job with a progress bar; what goes wrong becomes part of the result."""
    started = time.monotonic()
    is_new = False

    def note(done: int, total: int) -> None:
        nonlocal is_new
        is_new = True
        advance(done, total)

    try:
        with frame_progress(job.video.name) as advance:
            manifest = work(job, note).manifest
    except UsageError:
        raise
    except ScopelineError as error:
        return _failed(job.video, error)
    # Whatever it is, it does not stop the other videos.
    except Exception as error:
        return _failed(job.video, unforeseen(job.video, error))
    if not is_new:
        screen.print(f"{job.set_path} has been made before, with these settings", soft_wrap=True)
    return _done(job, manifest, time.monotonic() - started)


def _say_what_next(results: Sequence[dict[str, Any]]) -> None:
    """Tell a person at a terminal what to do with a set."""
    done = next((result["set"] for result in results if "error" not in result), None)
    if done is not None and screen.is_terminal:
        name = shlex.quote(done)
        screen.print(f"look at it:  scopeline report {name} --out report.html", soft_wrap=True)
        screen.print(
            f"overlay:     scopeline export {name} --format mp4 --out overlay.mp4", soft_wrap=True
        )


def _failed(video: Path, error: ScopelineError) -> dict[str, Any]:
    """Say why a video has failed, and return it as part of the result."""
    if debugging():
        raise (error.__cause__ if isinstance(error, UnforeseenError) else None) or error
    complain(error)
    return {"video": str(video), "error": str(error)}


def _done(job: Any, manifest: Any, seconds: float) -> dict[str, Any]:
    """Say what has become of a video, and return it as part of the result."""
    counts = manifest.counts
    screen.print(
        f"{job.set_path}: {counts.frames} frames, {counts.tracks} tracks, "
        f"{counts.prompts} prompts in {seconds:.1f} s",
        soft_wrap=True,
    )
    return {
        "video": str(job.video),
        "set": str(job.set_path),
        "state": manifest.state,
        "frames": counts.frames,
        "tracks": counts.tracks,
        "masks": counts.masks,
        "prompts": counts.prompts,
        "seconds": round(seconds, 3),
    }


def _frame_list(text: str) -> tuple[int, ...] | str:
    if text == "first":
        return text
    try:
        frames = tuple(int(part) for part in text.split(","))
    except ValueError:
        frames = (-1,)
    if min(frames) < 0:
        raise UsageError(
            f"--prompt-frames {text} is neither a list of frame numbers such as 0,30,60 nor first"
        )
    return frames


def _look_schedule(text: str) -> int | str:
    if text == "adaptive":
        return text
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--overseer-every {text} is neither a number of frames nor adaptive")
    return int(text)


def _refuse_equal_names(videos: list[Path], out: Path) -> None:
    from flows.video_job import set_path_of

    paths = [set_path_of(video, out) for video in videos]
    for path in paths:
        if paths.count(path) > 1:
            raise UsageError(
                f"two videos are named {path.stem}, their sets would overwrite each other; "
                "annotate them into different --out folders"
            )


def _refuse_unused(given: dict[str, Any], settings: Any) -> None:
    """Refuse options about true masks if there are none."""
    unused = [name for name in ("prompt_frames", "prompt_kind", "labels") if name in given]
    if unused and settings.prompts is None:
        raise UsageError(f"--{unused[0].replace('_', '-')} goes with --prompts; add true masks")
