"""What several commands of the command line have: options, and where messages go."""

from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

# A file may be named `op [2].mp4`, which rich would take for markup.
screen = Console(stderr=True, markup=False, emoji=False, highlight=False)
output = Console(markup=False, emoji=False, highlight=False)

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]

# The panels that options of `annotate`, `archive` and `serve` are shown in.
MODELS = "Models, and where they run"
PROMPTING = "When the overseer looks and prompts"
AT_ONCE = "Several at a time"

OverseerOption = Annotated[
    str | None,
    typer.Option(help="Name or model folder.  [default: scopeline]", rich_help_panel=MODELS),
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
