"""The command line: `scopeline`."""

import os
import signal
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.annotate import annotate
from flows.commands.archive import archive, serve, status
from flows.commands.bench import bench
from flows.commands.corrections import import_corrections
from flows.commands.data import data_app
from flows.commands.info import info
from flows.commands.measure import compare, evaluate
from flows.commands.sets import export_set, report
from flows.commands.train import train_app
from flows.commands.training_options import (
    FamilyChoice,
    FamilyOption,
    LookChoice,
    LookOption,
    PhotographsOption,
)
from flows.commands.weights import weights_app
from flows.complaints import complain, complain_of_usage, debugging, unexplained, unusable
from flows.consoles import screen
from flows.frame_progress import frame_progress
from pipeline.errors import ScopelineError, UsageError

_INTERRUPTED = 130
# What each of these has committed, the same command goes on from.
_COMMITTING = ("annotate", "archive", "serve", "train", "weights")
# With one of these, the first of them begins anew.
_ANEW = ("--corrections", "--no-resume")
_ANNOTATE, _USE, _TRAIN, _MEASURE = "Annotate", "Look, export, correct", "Train", "Measure"

app = typer.Typer(
    name="scopeline",
    epilog="Example: `scopeline annotate op.mp4 --out annotations`  \n"
    "Example: `scopeline report annotations/op.annset --out op.html`  \n"
    "Each command has `--help` with examples of its own.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.command(
    rich_help_panel=_ANNOTATE,
    epilog="Example: `scopeline annotate op1.mp4 op2.mp4 --out annotations`  \n"
    "Example: `scopeline annotate frames/ --out out --policy given --prompts masks/ "
    "--prompt-frames 0,30`  \n"
    "Example: `scopeline annotate op1.mp4 --corrections corrections.annset --out corrected`",
)(annotate)
app.command(
    rich_help_panel=_ANNOTATE,
    epilog="Example: `scopeline archive recordings --out annotations --workers 2`  \n"
    "Example: `scopeline archive 's3://theatre/2026' --out annotations`",
)(archive)
app.command(
    rich_help_panel=_ANNOTATE,
    epilog="Example: `scopeline serve inbox --out annotations --every 15m`  \n"
    "Example: `scopeline serve inbox --out annotations --cron '0 2 * * *'`",
)(serve)
app.command(rich_help_panel=_ANNOTATE, epilog="Example: `scopeline status annotations`")(status)
app.command(
    rich_help_panel=_USE,
    epilog="Example: `scopeline info op.mp4`  \nExample: `scopeline info op.annset --json`",
)(info)
app.command(rich_help_panel=_USE, epilog="Example: `scopeline report op.annset --out op.html`")(
    report
)
app.command(
    name="export",
    rich_help_panel=_USE,
    epilog="Example: `scopeline export op.annset --format mp4 --out overlay.mp4`  \n"
    "Example: `scopeline export op.annset --format coco --every 25 --out op-coco`",
)(export_set)
app.command(
    name="import",
    rich_help_panel=_USE,
    epilog="Example: `scopeline import corrected.zip --format cvat --set op.annset "
    "--out corrections.annset`",
)(import_corrections)
app.add_typer(train_app, name="train", rich_help_panel=_TRAIN)
app.add_typer(data_app, name="data", rich_help_panel=_TRAIN)
app.add_typer(weights_app, name="weights", rich_help_panel=_TRAIN)
app.command(
    rich_help_panel=_MEASURE,
    epilog="Example: `scopeline evaluate out/video.annset --truth scene/truth.annset --json`",
)(evaluate)
app.command(
    rich_help_panel=_MEASURE,
    epilog="Example: `scopeline compare scene/video.mp4 --truth scene/truth.annset "
    "--policies constellation,sasvi`",
)(compare)
app.command(
    rich_help_panel=_MEASURE,
    epilog="Example: `scopeline bench --json`  \n"
    "Example: `scopeline bench --only objects,decoders --size 480x270 --frames 24`",
)(bench)


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"scopeline {version('scopeline')}")
        raise typer.Exit


@app.callback()
def every_command(
    asks_version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_say_version, is_eager=True, help="Say which version this is."
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where an error comes from, with any command.")
    ] = False,
) -> None:
    """Annotate surgical videos: an overseer looks, SAM-2 memory tracking follows."""


@app.command(
    rich_help_panel=_MEASURE,
    epilog="Example: `scopeline render --seed 7 --frames 250 --size 480x270 --out scene`",
)
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
    with frame_progress("rendering") as advance:
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
    numbers = (int(width), int(height)) if width.isdecimal() and height.isdecimal() else (0, 0)
    if min(numbers) < 64 or any(number % 2 for number in numbers):
        raise UsageError(f"--size {text} is not WxH in even numbers from 64, such as 480x270")
    return numbers


def _sentence_of(error: Exception) -> str:
    """Return what a user is told of an error, whoever thought of it."""
    if isinstance(error, ScopelineError):
        return str(error)
    if isinstance(error, PermissionError):
        return unusable(error, Path.cwd())
    return unexplained(error)


def _what_comes_next(arguments: list[str]) -> str:
    """Return what a command that was stopped leaves, and what the same one will do."""
    begins_anew = any(argument.partition("=")[0] in _ANEW for argument in arguments)
    if arguments[:1] and arguments[0] in _COMMITTING and not begins_anew:
        return "what was committed stays, the same command goes on from it"
    return "the same command begins anew"


def main() -> None:
    """Run the command line: exit code 0 done, 1 failed, 2 wrong use."""
    if "--debug" in sys.argv:
        sys.argv.remove("--debug")
        os.environ["SCOPELINE_DEBUG"] = "1"
    if "" in sys.argv[1:]:
        # It would be the current folder.
        complain("an argument is empty; is a variable of the shell unset?")
        sys.exit(2)
    # Otherwise SIGTERM ends a process on the spot, without a word, and drafts stay behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        # Typer itself would say what is wrong with an option in a box of several lines.
        code = app(prog_name="scopeline", standalone_mode=False)
    except typer.TyperException as error:
        complain_of_usage(error)
        sys.exit(2)
    except UsageError as error:
        if debugging():
            raise
        complain(error)
        sys.exit(2)
    # The last resort: a user gets one sentence, a developer asks for --debug.
    except Exception as error:
        if debugging():
            raise
        complain(_sentence_of(error))
        sys.exit(1)
    if code == _INTERRUPTED:
        # Typer makes this of Ctrl-C and SIGTERM, and says nothing.
        complain(f"stopped; {_what_comes_next(sys.argv[1:])}")
        code = 1
    sys.exit(code or 0)


if __name__ == "__main__":
    main()
