"""What goes wrong, in one sentence on stderr, or with its traceback where that is asked for."""

import os
import sys
from pathlib import Path

from pipeline.errors import ScopelineError


def complain(what: Exception | str) -> None:
    """Say what went wrong."""
    print(f"scopeline: {what}", file=sys.stderr, flush=True)


class UnforeseenError(ScopelineError):
    """What nobody has thought of, as a sentence; its cause is what was raised."""


def unforeseen(video: Path, error: Exception) -> UnforeseenError:
    """Return the sentence of an error of a video that nobody has thought of."""
    text = " ".join(str(error).split()) or type(error).__name__
    failure = UnforeseenError(f"{video}: {text}; run again with --debug to see where")
    if isinstance(error, OSError):
        failure = UnforeseenError(unusable(error, video))
    failure.__cause__ = error
    return failure


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
