"""The options that `annotate`, `archive` and `serve` share: each is a setting of an annotation."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import MODELS, PROMPTING, DeviceOption


class ViewsChoice(StrEnum):
    """How the overseer looks at a frame."""

    one = "one"
    mirrored = "mirrored"


class PicturesChoice(StrEnum):
    """At which size videos are decoded and masks are worked with."""

    reduced = "reduced"
    full = "full"


class BadFrameChoice(StrEnum):
    """What is done about a frame that cannot be decoded."""

    stop = "stop"
    skip = "skip"


class RuntimeChoice(StrEnum):
    """What computes the image encoder and the overseer's backbone."""

    torch = "torch"
    compiled = "compiled"
    openvino = "openvino"


class PrecisionChoice(StrEnum):
    """In which the networks compute convolutions and products."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingOptions:
    """What was given of the settings, by the fields of `AnnotateSettings`; None if it was not."""

    overseer_every: Annotated[
        str | None,
        typer.Option(
            metavar="N|adaptive",
            help="The overseer looks at each Nth frame, or when something changes.  "
            "[default: adaptive]",
            rich_help_panel=PROMPTING,
        ),
    ] = None
    overseer_views: Annotated[
        ViewsChoice | None,
        typer.Option(
            help="The overseer sees a frame as it is, or its mirror image as well, which sees "
            "better and takes twice as long.  [default: one]",
            rich_help_panel=PROMPTING,
        ),
    ] = None
    steady: Annotated[
        float | None,
        typer.Option(
            help="How much of an outline comes from each neighbouring frame, 0 to 0.9; "
            "constellation without --prompts.  [default: 0.8]",
            rich_help_panel=PROMPTING,
        ),
    ] = None
    overseer: Annotated[
        str | None,
        typer.Option(help="Name or model folder.  [default: scopeline]", rich_help_panel=MODELS),
    ] = None
    overseer_weights: Annotated[
        Path | None,
        typer.Option(
            "--weights",
            help="Checkpoint of a published overseer, such as sasvi/cadis.",
            rich_help_panel=MODELS,
        ),
    ] = None
    tracker: Annotated[
        str | None,
        typer.Option(
            help="Name, model folder or official checkpoint.  [default: scopeline]",
            rich_help_panel=MODELS,
        ),
    ] = None
    device: DeviceOption = None
    runtime: Annotated[
        RuntimeChoice | None,
        typer.Option(
            metavar="NAME",
            help="What computes the models' image trunks: torch; openvino, faster on a CPU; "
            "compiled, by torch in a minute or two.  [default: torch]",
            rich_help_panel=MODELS,
        ),
    ] = None
    precision: Annotated[
        PrecisionChoice | None,
        typer.Option(
            metavar="NAME",
            help="Of the networks: float32, bfloat16, or auto: bfloat16 on a GPU that has it, else "
            "float32.  [default: auto]",
            rich_help_panel=MODELS,
        ),
    ] = None
    pictures: Annotated[
        PicturesChoice | None,
        typer.Option(
            help="Decode to what the networks need, or to the video's size; masks are stored at "
            "the video's size either way.  [default: reduced]",
            rich_help_panel=MODELS,
        ),
    ] = None
    on_bad_frame: Annotated[
        BadFrameChoice | None,
        typer.Option(
            help="A frame that cannot be decoded: end there, or go on and flag it.  [default: stop]"
        ),
    ] = None
