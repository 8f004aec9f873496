"""What several commands of the command line have: options, and where messages go."""

from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

screen = Console(stderr=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]

DeviceOption = Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:1.")]


class RuntimeChoice(StrEnum):
    """What computes the image encoder and the overseer's backbone."""

    torch = "torch"
    openvino = "openvino"


RuntimeOption = Annotated[
    RuntimeChoice | None,
    typer.Option(help="What computes the models' image trunks; openvino is faster on a CPU."),
]
