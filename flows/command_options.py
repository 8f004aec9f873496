"""What several commands of the command line have: options, and where messages go."""

from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

# A file may be named `op [2].mp4`, which rich would take for markup.
screen = Console(stderr=True, markup=False, emoji=False, highlight=False)
output = Console(markup=False, emoji=False, highlight=False)

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]

DeviceOption = Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:1.")]


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
    typer.Option(help="Of the networks; auto: bfloat16 on a GPU that has it, else float32."),
]
RuntimeOption = Annotated[
    RuntimeChoice | None,
    typer.Option(
        help="What computes the models' image trunks; openvino is faster on a CPU; compiled "
        "compiles them first, which takes a minute or two."
    ),
]
