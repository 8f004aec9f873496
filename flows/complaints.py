"""What goes wrong, in one sentence on stderr, or with its traceback where that is asked for."""

import os
import sys


def complain(error: Exception) -> None:
    """Say what went wrong."""
    print(f"scopeline: {error}", file=sys.stderr)


def debugging() -> bool:
    """Return whether the user wants tracebacks (`--debug`)."""
    return bool(os.environ.get("SCOPELINE_DEBUG"))
