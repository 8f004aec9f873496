"""Names of files that are not UTF-8, which no set, ledger or message can hold."""

import os
from pathlib import Path

from pipeline.errors import InputError

_UNKNOWN = "\N{REPLACEMENT CHARACTER}"


def printable(name: str) -> str:
    """Return the name of a file, in which what is not UTF-8 is marked."""
    return os.fsencode(name).decode(errors="replace")


def require_printable(path: Path) -> None:
    """Refuse a file whose name is not UTF-8, or marked as such.

    Raises:
        InputError: it is.
    """
    if _UNKNOWN in (name := printable(str(path))):
        raise InputError(f"{name} has a name that is not UTF-8; rename it")
