"""The options that `annotate`, `archive` and `serve` share: each is a setting of an annotation."""

import inspect
from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.commands.options import MODELS, PROMPTING, DeviceOption

_OverseerOption = Annotated[
    str | None,
    typer.Option(help="Name or model folder.  [default: scopeline]", rich_help_panel=MODELS),
]
_WeightsOption = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        help="Checkpoint of a published overseer, such as sasvi/cadis.",
        rich_help_panel=MODELS,
    ),
]
_TrackerOption = Annotated[
    str | None,
    typer.Option(
        help="Name, model folder or official checkpoint.  [default: scopeline]",
        rich_help_panel=MODELS,
    ),
]
_EveryOption = Annotated[
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


_ViewsOption = Annotated[
    ViewsChoice | None,
    typer.Option(
        help="The overseer sees a frame as it is, or its mirror image as well, which sees "
        "better and takes twice as long.  [default: one]",
        rich_help_panel=PROMPTING,
    ),
]
_SteadyOption = Annotated[
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


_PicturesOption = Annotated[
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


_BadFrameOption = Annotated[
    BadFrameChoice | None,
    typer.Option(
        help="A frame that cannot be decoded: end there, or go on and flag it.  [default: stop]"
    ),
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


_PrecisionOption = Annotated[
    PrecisionChoice | None,
    typer.Option(
        metavar="NAME",
        help="Of the networks: float32, bfloat16, or auto: bfloat16 on a GPU that has it, else "
        "float32.  [default: auto]",
        rich_help_panel=MODELS,
    ),
]
_RuntimeOption = Annotated[
    RuntimeChoice | None,
    typer.Option(
        metavar="NAME",
        help="What computes the models' image trunks: torch; openvino, faster on a CPU; compiled, "
        "by torch in a minute or two.  [default: torch]",
        rich_help_panel=MODELS,
    ),
]

# By the field of `AnnotateSettings` that each sets, in the order of `--help`.
_OPTIONS: dict[str, Any] = {
    "overseer_every": _EveryOption,
    "overseer_views": _ViewsOption,
    "steady": _SteadyOption,
    "overseer": _OverseerOption,
    "overseer_weights": _WeightsOption,
    "tracker": _TrackerOption,
    "device": DeviceOption,
    "runtime": _RuntimeOption,
    "precision": _PrecisionOption,
    "pictures": _PicturesOption,
    "on_bad_frame": _BadFrameOption,
}


def takes_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of settings, in place of its parameter `given`.

    The command gets a dictionary of them by the fields of `AnnotateSettings`; what was not given
    is None. typer reads the options of a command from its signature, which is made here.
    """
    own = inspect.signature(command)
    shared = [
        Parameter(field, Parameter.KEYWORD_ONLY, default=None, annotation=option)
        for field, option in _OPTIONS.items()
    ]
    parameters = [
        part.replace(kind=Parameter.KEYWORD_ONLY)
        for parameter in own.parameters.values()
        for part in (shared if parameter.name == "given" else [parameter])
    ]

    @wraps(command)
    def with_options(**options: Any) -> None:
        given = {field: options.pop(field) for field in _OPTIONS}
        command(given=given, **options)

    with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {part.name: part.annotation for part in parameters}
    return with_options
