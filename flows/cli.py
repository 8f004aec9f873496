"""The command line: `scopeline`."""

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)

from flows import (
    archive_commands,
    bench_commands,
    correction_commands,
    measure_commands,
    set_commands,
)
from flows.archive_commands import RunnerChoice, RunnerOption
from flows.data_commands import data_app
from flows.model_commands import (
    FamilyChoice,
    FamilyOption,
    JsonOption,
    LookChoice,
    LookOption,
    PhotographsOption,
    screen,
    train_app,
    weights_app,
)
from pipeline.errors import ScopelineError, UsageError

app = typer.Typer(
    name="scopeline",
    help="Annotate surgical videos: an overseer looks, SAM-2 memory tracking follows.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.add_typer(train_app, name="train")
app.add_typer(weights_app, name="weights")
app.add_typer(data_app, name="data")
app.command(
    epilog="Example: `scopeline evaluate out/video.annset --truth scene/truth.annset --json`"
)(measure_commands.evaluate)
app.command(
    epilog="Example: `scopeline compare scene/video.mp4 --truth scene/truth.annset "
    "--policies constellation,sasvi`"
)(measure_commands.compare)
app.command(
    epilog="Example: `scopeline archive recordings --out annotations --workers 2`  \n"
    "Example: `scopeline archive 's3://theatre/2026' --out annotations`"
)(archive_commands.archive)
app.command(
    epilog="Example: `scopeline serve inbox --out annotations --every 15m`  \n"
    "Example: `scopeline serve inbox --out annotations --cron '0 2 * * *'`"
)(archive_commands.serve)
app.command(epilog="Example: `scopeline status annotations`")(archive_commands.status)
app.command(
    epilog="Example: `scopeline bench --json`  \n"
    "Example: `scopeline bench --only objects,decoders --size 480x270 --frames 24`"
)(bench_commands.bench)
app.command(
    name="export",
    epilog="Example: `scopeline export op.annset --format mp4 --out op.mp4`  \n"
    "Example: `scopeline export op.annset --format coco --every 25 --out op-coco`",
)(set_commands.export_set)
app.command(
    name="import",
    epilog="Example: `scopeline import corrected.zip --format cvat --set op.annset "
    "--out corrections.annset`",
)(correction_commands.import_corrections)
app.command(epilog="Example: `scopeline report op.annset --out op.html`")(set_commands.report)
app.command(
    epilog="Example: `scopeline info op.mp4`  \nExample: `scopeline info op.annset --json`"
)(set_commands.info)


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


class BadFrameChoice(StrEnum):
    """What `annotate` does about a frame that cannot be decoded."""

    stop = "stop"
    skip = "skip"


@app.command(
    epilog="Example: `scopeline annotate op1.mp4 op2.mp4 --out annotations`  \n"
    "Example: `scopeline annotate frames/ --out out --policy given --prompts masks/ "
    "--prompt-frames 0,30`  \n"
    "Example: `scopeline annotate op1.mp4 --corrections corrections.annset --out corrected`"
)
def annotate(
    videos: Annotated[
        list[Path], typer.Argument(metavar="VIDEO...", help="Video files or folders of frames.")
    ],
    out: Annotated[Path, typer.Option(help="Folder that receives NAME.annset.")],
    overseer: Annotated[str | None, typer.Option(help="Name or model folder.")] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Checkpoint of a published overseer, such as sasvi/cadis.")
    ] = None,
    tracker: Annotated[
        str | None, typer.Option(help="Name, model folder or official checkpoint.")
    ] = None,
    policy: Annotated[PolicyChoice | None, typer.Option(help="When to prompt.")] = None,
    overseer_every: Annotated[
        str | None,
        typer.Option(
            metavar="N|adaptive",
            help="The overseer looks at each Nth frame; adaptive: when something changes.",
        ),
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="True masks: an annotation set or a folder of PNGs.")
    ] = None,
    prompt_frames: Annotated[
        str | None,
        typer.Option(
            help="Frames of --prompts to use, such as 0,30,60; first: each object's first."
        ),
    ] = None,
    prompt_kind: Annotated[
        PromptKindChoice | None, typer.Option(help="Hint that is made of a true mask.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="JSON file: what the values in mask PNGs mean.")
    ] = None,
    corrections: Annotated[
        Path | None,
        typer.Option(
            metavar="SET",
            help="What `import` wrote: only what it can change in the set that it corrects is "
            "tracked again.",
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    max_frames: Annotated[int | None, typer.Option(min=1, help="Stop after N frames.")] = None,
    on_bad_frame: Annotated[
        BadFrameChoice | None,
        typer.Option(help="A frame that cannot be decoded: end there, or go on and flag it."),
    ] = None,
    segments: Annotated[
        int,
        typer.Option(min=1, help="Divide each video at cuts of the camera, and join the parts."),
    ] = 1,
    workers: Annotated[
        int, typer.Option(min=1, help="Segments that are annotated at the same time.")
    ] = 2,
    runner: RunnerOption = RunnerChoice.local,
    resume: Annotated[
        bool, typer.Option(help="Keep finished sets of the same job, or begin anew.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Annotate videos; one that fails does not stop the others."""
    given = {
        "overseer": overseer,
        "overseer_weights": weights,
        "tracker": tracker,
        "policy": None if policy is None else policy.value,
        "overseer_every": None if overseer_every is None else _look_schedule(overseer_every),
        "prompts": prompts,
        "prompt_frames": None if prompt_frames is None else _frame_list(prompt_frames),
        "prompt_kind": None if prompt_kind is None else prompt_kind.value,
        "labels": labels,
        "device": device,
        "max_frames": max_frames,
        "on_bad_frame": None if on_bad_frame is None else on_bad_frame.value,
    }
    given = {key: value for key, value in given.items() if value is not None}
    _refuse_equal_names(videos)
    if corrections is None:
        from flows.settings import settings_of

        settings = settings_of(**given)
        if segments == 1:
            results = [_annotate_one(video, out, settings, resume=resume) for video in videos]
        else:
            whole = [(video, out, settings, resume) for video in videos]
            results = archive_commands.run_in_segments(whole, segments, workers, runner, _run)
    else:
        results = [_correct_one(videos, out, corrections, given, resume=resume)]
    if as_json:
        typer.echo(json.dumps({"videos": results}, indent=2))
    if any("error" in result for result in results):
        raise typer.Exit(1)


def _annotate_one(video: Path, out: Path, settings: Any, *, resume: bool) -> dict[str, Any]:
    from flows.stage_counters import StageCounters
    from flows.video_job import VideoJob, annotate_job

    job = VideoJob(video=video, out=out, settings=settings, resume=resume)
    counters = StageCounters()
    result = _run(job, partial(annotate_job, counters=counters))
    return result if "error" in result else {**result, "stages": counters.to_json()}


def _correct_one(
    videos: list[Path], out: Path, corrections: Path, given: dict[str, Any], *, resume: bool
) -> dict[str, Any]:
    from flows.correct_video import CorrectionJob, correct_job

    if len(videos) > 1:
        raise UsageError("--corrections are of one video; give that one alone")
    unused = sorted(set(given) - {"tracker", "device"})
    if unused:
        raise UsageError(
            f"--corrections keeps to the corrected set; leave out --{unused[0].replace('_', '-')}"
        )
    job = CorrectionJob(video=videos[0], corrections=corrections, out=out, resume=resume, **given)
    return _run(job, correct_job)


def _run(job: Any, work: Callable[..., Any]) -> dict[str, Any]:
    """Do one video's job with a progress bar; what goes wrong becomes part of the result."""
    video = job.video
    started = time.monotonic()
    try:
        with _progress(video.name) as advance:
            manifest = work(job, advance).manifest
    except UsageError:
        raise
    except ScopelineError as error:
        if _debugging():
            raise
        _complain(error)
        return {"video": str(video), "error": str(error)}
    seconds = time.monotonic() - started
    counts = manifest.counts
    screen.print(
        f"{job.set_path}: {counts.frames} frames, {counts.tracks} tracks, "
        f"{counts.prompts} prompts in {seconds:.1f} s",
        highlight=False,
        soft_wrap=True,
    )
    return {
        "video": str(video),
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


def _refuse_equal_names(videos: list[Path]) -> None:
    names = [video.stem for video in videos]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"two videos are named {name}, their sets would overwrite each other; annotate "
                "them into different --out folders"
            )


@app.command(epilog="Example: `scopeline render --seed 7 --frames 250 --size 480x270 --out scene`")
def render(
    seed: Annotated[int, typer.Option(min=0, help="Everything random follows from it.")],
    frames: Annotated[int, typer.Option(min=1, help="Length in frames at 25 frames/s.")],
    out: Annotated[Path, typer.Option(help="Folder for video.mp4 and truth.annset.")],
    size: Annotated[str, typer.Option(metavar="WxH", help="Even numbers.")] = "480x270",
    look: LookOption = LookChoice.laparoscopic,
    family: FamilyOption = FamilyChoice.plain,
    photographs: PhotographsOption = None,
) -> None:
    """Render a scene of the simulated theatre with its exact truth."""
    from samples.theatre.looks import find_scenery
    from samples.theatre.render import render as render_scene

    width, height = _size(size)
    with _progress("rendering") as advance:
        done = iter(range(1, frames + 1))
        render_scene(
            seed=seed,
            frame_count=frames,
            width=width,
            height=height,
            folder=out,
            scenery=find_scenery([look], [family], photographs),
            on_frame=lambda: advance(next(done), frames),
        )
    screen.print(f"{out / 'video.mp4'} and {out / 'truth.annset'}", soft_wrap=True)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    numbers = (int(width), int(height)) if width.isdigit() and height.isdigit() else (0, 0)
    if min(numbers) < 64 or any(number % 2 for number in numbers):
        raise UsageError(f"--size {text} is not WxH in even numbers from 64, such as 480x270")
    return numbers


class _FrameRate(ProgressColumn):
    def render(self, task: Task) -> str:
        return f"{task.speed:.1f} frames/s" if task.speed else ""


@contextmanager
def _progress(title: str) -> Any:
    """Show a progress bar on stderr; yields a function of (done, total)."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _FrameRate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=screen, disable=not screen.is_terminal) as progress:
        bar = progress.add_task(title, total=None)

        def advance(done: int, total: int) -> None:
            progress.update(bar, completed=done, total=total)

        report: Callable[[int, int], None] = advance
        yield report


def _complain(error: Exception) -> None:
    print(f"scopeline: {error}", file=sys.stderr)


def _debugging() -> bool:
    return bool(os.environ.get("SCOPELINE_DEBUG"))


def main() -> None:
    """Run the command line: exit code 0 done, 1 failed, 2 wrong use."""
    if "--debug" in sys.argv:
        sys.argv.remove("--debug")
        os.environ["SCOPELINE_DEBUG"] = "1"
    try:
        app()
    except UsageError as error:
        if _debugging():
            raise
        _complain(error)
        sys.exit(2)
    except KeyboardInterrupt:
        _complain(Exception("stopped; what was committed stays"))
        sys.exit(1)
    # The last resort: a user gets one sentence, a developer asks for --debug.
    except Exception as error:
        if _debugging():
            raise
        text = " ".join(str(error).split()) or type(error).__name__
        known = isinstance(error, ScopelineError)
        _complain(error if known else Exception(f"{text}; run again with --debug to see where"))
        sys.exit(1)


if __name__ == "__main__":
    main()
