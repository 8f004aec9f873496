"""Options that several commands have."""

from typing import Annotated

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]

# The panels that options of `annotate`, `archive` and `serve` are shown in.
MODELS = "Models, and where they run"
PROMPTING = "When the overseer looks and prompts"
AT_ONCE = "Several at a time"

DeviceOption = Annotated[
    str | None,
    typer.Option(help="auto, cpu, cuda or cuda:1.  [default: auto]", rich_help_panel=MODELS),
]
