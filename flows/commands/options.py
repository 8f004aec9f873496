"""Options that several commands have, one by one or as a group."""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from inspect import Parameter
from typing import Annotated, Any, get_type_hints

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


def takes_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each field of those of its parameters that are dataclasses.

    typer reads the options of a command from its signature, which is made here.
    """
    own = inspect.signature(command).parameters
    groups: dict[str, Any] = {
        name: part.annotation for name, part in own.items() if is_dataclass(part.annotation)
    }
    options = [
        option.replace(kind=Parameter.KEYWORD_ONLY)
        for name, part in own.items()
        for option in (_options_of(groups[name]) if name in groups else [part])
    ]

    @wraps(command)
    def with_options(**given: Any) -> None:
        for name, group in groups.items():
            own_fields = [field.name for field in fields(group)]
            given[name] = group(**{field: given.pop(field) for field in own_fields})
        command(**given)

    with_options.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    with_options.__annotations__ = {option.name: option.annotation for option in options}
    return with_options


def _options_of(group: Any) -> list[Parameter]:
    types = get_type_hints(group, include_extras=True)
    return [
        Parameter(
            field.name,
            Parameter.KEYWORD_ONLY,
            default=Parameter.empty if field.default is MISSING else field.default,
            annotation=types[field.name],
        )
        for field in fields(group)
    ]
