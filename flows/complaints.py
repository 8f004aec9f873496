"""What goes wrong, in one sentence on stderr, or with its traceback where that is asked for."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from pipeline.errors import ScopelineError


def complain(what: Exception | str) -> None:
    """Say what went wrong."""
    print(f"scopeline: {what}", file=sys.stderr, flush=True)


def complain_of_usage(error: typer.TyperException) -> None:
    """Say what is wrong with a command line, as Typer found it, and where help is."""
    # Choices are a list of lines; a value that is none of them is a "Value error" of pydantic's.
    text = " ".join(error.format_message().split()).rstrip(".")
    text = text.replace("Value error, ", "").replace(". Choose from", ", choose from")
    if not text:
        # A command that was given nothing has shown its help.
        return
    place = getattr(error, "ctx", None)
    command = "scopeline" if place is None else place.command_path
    complain(f"{text[0].lower()}{text[1:]}; `{command} --help` shows what there is")


def complain_of_classes(names: Sequence[str], truth: Path) -> None:
    """Say which classes of the truth cannot be found, since no class of what is judged is so named.

    Args:
        names: the classes; nothing is said if there are none.
        truth: where the true masks come from.
    """
    if names:
        complain(
            f"{truth} shows {', '.join(names)}, but what is judged has no class of such a name, so "
            "that counts as missed; give classes the same names, by --labels or in the data"
        )


class UnforeseenError(ScopelineError):
    """What nobody has thought of, as a sentence; its cause is what was raised."""


def unforeseen(video: Path, error: Exception) -> UnforeseenError:
    """Return the sentence of an error of a video that nobody has thought of."""
    if isinstance(error, OSError):
        failure = UnforeseenError(unusable(error, video))
    else:
        failure = UnforeseenError(f"{video}: {unexplained(error)}")
    failure.__cause__ = error
    return failure


def unexplained(error: Exception) -> str:
    """Return the sentence of an error of which no more is known than what it says."""
    text = " ".join(str(error).split()) or type(error).__name__
    return f"{text}; run again with --debug to see where"


def unusable(error: OSError, place: Path) -> str:
    """Return the sentence of what the system does not let this user do.

    Args:
        error: what it says.
        place: what was to be done, if it does not say with which file.
    """
    remedy = "check its rights" if isinstance(error, PermissionError) else "check its disk"
    return f"{error.filename or place} cannot be used ({error.strerror or error}); {remedy}"


def debugging() -> bool:
    """Return whether the user wants tracebacks (`--debug`)."""
    return bool(os.environ.get("SCOPELINE_DEBUG"))
