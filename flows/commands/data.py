"""The command line's part about labelled data: `scopeline data check`."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from flows.commands.options import JsonOption
from flows.commands.training_options import (
    CheckedSplitOption,
    LayoutOption,
    LeftOutVideosOption,
    ValidationVideosOption,
)
from flows.consoles import output, screen
from pipeline.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from overseer.datasets import LabelledFrames
    from overseer.datasets.splits import Division
    from pipeline.labelled_clip import LabelledClip

data_app = typer.Typer(
    help="Labelled data sets.",
    epilog="Example: `scopeline data check my-frames --layout masks --labels labels.json`",
    no_args_is_help=True,
)
_LONGEST_SIDE = 640
_SHARE = 0.2
# By this text within it, a sheet is known as one.
_WRITTEN_BY, _SHEET = "Software", "scopeline data check"


@data_app.callback()
def data() -> None:
    """Labelled data sets."""


@data_app.command(
    epilog="Example: `scopeline data check my-frames --layout masks --labels labels.json`"
)
def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The data set.")],
    layout: LayoutOption = "masks",
    labels: Annotated[
        Path | None, typer.Option(help="JSON file: what the values in mask PNGs mean.")
    ] = None,
    sheet: Annotated[
        Path, typer.Option(help="Picture to write, of frames with their labels.")
    ] = Path("contact-sheet.png"),
    validation_split: CheckedSplitOption = None,
    validation_videos: ValidationVideosOption = None,
    leave_out_videos: LeftOutVideosOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the split, as in training.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Read a data set and say what is in it; exit code 1 if any frame cannot be used."""
    from overseer.datasets import read_labelled_frames
    from overseer.datasets.splits import Division
    from pipeline.contact_sheet import contact_sheet
    from pipeline.labels import load_label_set

    if validation_split is not None and validation_videos is not None:
        raise UsageError("give only one of --validation-split and --validation-videos")
    named = Division(
        seed=seed, validation_videos=validation_videos, left_out_videos=leave_out_videos
    )
    _refuse_other_picture(sheet)
    label_set = None if labels is None else load_label_set(labels)
    # Thousands of frames take minutes.
    with screen.status(Text(f"reading {folder}")):
        frames = read_labelled_frames(folder, layout, label_set, _LONGEST_SIDE)
    split = _split(folder, frames, named, validation_split or _SHARE)
    names = [path.name for path in frames.paths]
    _write_picture(sheet, contact_sheet(frames.clips, names, frames.label_set))
    document = {**_describe(frames), **split, "sheet": str(sheet)}
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        _print(document)
    if frames.problems:
        raise typer.Exit(1)


def _describe(frames: "LabelledFrames") -> dict[str, Any]:
    instances: Counter[int] = Counter()
    with_class: Counter[int] = Counter()
    for clip in frames.clips:
        instances.update(clip.class_of_track.values())
        with_class.update(set(clip.class_of_track.values()))
    return {
        "frames": len(frames.clips),
        "videos": len(set(frames.videos)),
        "frames_of_videos": _counted(frames.videos),
        "instances": instances.total(),
        "classes": {
            label.name: {"frames": with_class[label.id], "instances": instances[label.id]}
            for label in frames.label_set.foreground
        },
        "ignored": round(fmean(_ignored_share(clip) for clip in frames.clips), 4),
        "problems": list(frames.problems),
    }


def _split(
    folder: Path, frames: "LabelledFrames", named: "Division", share: float
) -> dict[str, Any]:
    """Describe how training would divide the data set, or why it could not.

    Raises:
        UsageError: the videos that are named cannot be.
    """
    from overseer.datasets.splits import divide

    parts = divide(folder, frames, named)
    if parts.validation is None:
        try:
            parts = divide(folder, frames, replace(named, share=share))
        except UsageError as error:
            return {"split": None, "no_split": str(error)}
    sides = {
        "training": parts.training.videos,
        "validation": parts.validation.videos if parts.validation else (),
        "left_out": parts.left_out.videos,
    }
    return {"split": {name: _counted(videos) for name, videos in sides.items()}}


def _counted(videos: Iterable[str]) -> dict[str, int]:
    """Return how many frames each video has."""
    from natsort import natsorted

    return dict(natsorted(Counter(videos).items()))


def _ignored_share(clip: "LabelledClip") -> float:
    """Return which share of the pixels the labels leave open, 0..1."""
    from pipeline.labelled_clip import IGNORED

    return float((clip.track_maps == IGNORED).mean())


def _print(document: dict[str, Any]) -> None:
    output.print("frames: {frames}, videos: {videos}, instances: {instances}".format(**document))
    table = Table("class", "frames", "instances")
    for name, counts in document["classes"].items():
        table.add_row(name, str(counts["frames"]), str(counts["instances"]))
    output.print(table)
    if document["ignored"]:
        screen.print(f"{document['ignored']:.1%} of the pixels are ignored")
    _print_split(document)
    for problem in document["problems"]:
        screen.print(f"left out: {problem}", soft_wrap=True)
    screen.print(document["sheet"], soft_wrap=True)


def _print_split(document: dict[str, Any]) -> None:
    if document["split"] is None:
        screen.print(f"no split: {document['no_split']}", soft_wrap=True)
    parts = document["split"] or {"videos": document["frames_of_videos"]}
    for part, videos in parts.items():
        if videos:
            names = ", ".join(f"{video} ({count})" for video, count in videos.items())
            text = f"{part.replace('_', ' ')}: {sum(videos.values())} frames, {names}"
            screen.print(text, soft_wrap=True)


def _refuse_other_picture(path: Path) -> None:
    """Refuse to write the sheet over anything but the sheet of an earlier check.

    Raises:
        OutputError: something else is there.
    """
    from PIL import Image

    from pipeline.errors import OutputError

    if not path.exists():
        return
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            is_sheet = picture.info.get(_WRITTEN_BY) == _SHEET
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        is_sheet = False
    if not is_sheet:
        raise OutputError(
            f"{path} exists already and is no sheet of `data check`; remove it or choose another "
            "--sheet"
        )


def _write_picture(path: Path, picture: "NDArray[np.uint8]") -> None:
    """Write a picture, in place of the one that an earlier check has written."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    from pipeline.output import replaced_file

    note = PngInfo()
    note.add_text(_WRITTEN_BY, _SHEET)
    with replaced_file(path, "--sheet") as draft:
        Image.fromarray(picture).save(draft, format="PNG", pnginfo=note)
