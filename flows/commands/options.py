"""Options that several commands have."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]

# The panels that options of `annotate`, `archive` and `serve` are shown in.
MODELS = "Models, and where they run"
PROMPTING = "When the overseer looks and prompts"
AT_ONCE = "Several at a time"

OverseerOption = Annotated[
    str | None,
    typer.Option(help="Name or model folder.  [default: scopeline]", rich_help_panel=MODELS),
]
WeightsOption = Annotated[
    Path | None,
    typer.Option(
        help="Checkpoint of a published overseer, such as sasvi/cadis.", rich_help_panel=MODELS
    ),
]
TrackerOption = Annotated[
    str | None,
    typer.Option(
        help="Name, model folder or official checkpoint.  [default: scopeline]",
        rich_help_panel=MODELS,
    ),
]
EveryOption = Annotated[
    str | None,
    typer.Option(
        metavar="N|adaptive",
        help="The overseer looks at each Nth frame, or when something changes.  "
        "[default: adaptive]",
        rich_help_panel=PROMPTING,
    ),
]


class ViewsChoice(StrEnum):
    """How the overseer looks at a frame."""

    one = "one"
    mirrored = "mirrored"


ViewsOption = Annotated[
    ViewsChoice | None,
    typer.Option(
        help="The overseer sees a frame as it is, or its mirror image as well, which sees "
        "better and takes twice as long.  [default: one]",
        rich_help_panel=PROMPTING,
    ),
]
SteadyOption = Annotated[
    float | None,
    typer.Option(
        help="How much of an outline comes from each neighbouring frame, 0 to 0.9; "
        "constellation without --prompts.  [default: 0.8]",
        rich_help_panel=PROMPTING,
    ),
]


class PicturesChoice(StrEnum):
    """At which size videos are decoded and masks are worked with."""

    reduced = "reduced"
    full = "full"


PicturesOption = Annotated[
    PicturesChoice | None,
    typer.Option(
        help="Decode to what the networks need, or to the video's size; masks are stored at "
        "the video's size either way.  [default: reduced]",
        rich_help_panel=MODELS,
    ),
]


class BadFrameChoice(StrEnum):
    """What is done about a frame that cannot be decoded."""

    stop = "stop"
    skip = "skip"


BadFrameOption = Annotated[
    BadFrameChoice | None,
    typer.Option(
        help="A frame that cannot be decoded: end there, or go on and flag it.  [default: stop]"
    ),
]
DeviceOption = Annotated[
    str | None,
    typer.Option(help="auto, cpu, cuda or cuda:1.  [default: auto]", rich_help_panel=MODELS),
]


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


PrecisionOption = Annotated[
    PrecisionChoice | None,
    typer.Option(
        metavar="NAME",
        help="Of the networks: float32, bfloat16, or auto: bfloat16 on a GPU that has it, else "
        "float32.  [default: auto]",
        rich_help_panel=MODELS,
    ),
]
RuntimeOption = Annotated[
    RuntimeChoice | None,
    typer.Option(
        metavar="NAME",
        help="What computes the models' image trunks: torch; openvino, faster on a CPU; compiled, "
        "by torch in a minute or two.  [default: torch]",
        rich_help_panel=MODELS,
    ),
]
