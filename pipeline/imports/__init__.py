"""Imports of corrections: what a human changed in an exported file; one module a format."""

import zlib
from collections.abc import Callable
from pathlib import Path

from pipeline.errors import InputError, UsageError
from pipeline.exports.selection import Selection
from pipeline.imports.changes import find_changes
from pipeline.imports.coco import read_coco
from pipeline.imports.cvat import read_cvat
from pipeline.imports.davis import read_davis
from pipeline.imports.drawing import Drawing
from pipeline.imports.forgotten import MassDeletions, mass_deletions
from pipeline.imports.label_studio import read_label_studio
from pipeline.imports.notes import read_note
from pipeline.records import FrameAnnotation

__all__ = [
    "IMPORTERS",
    "Drawing",
    "MassDeletions",
    "mass_deletions",
    "read_changes",
    "read_note",
]

IMPORTERS: dict[str, Callable[[Path, Selection], Drawing]] = {
    "coco": read_coco,
    "cvat": read_cvat,
    "davis": read_davis,
    "label-studio": read_label_studio,
}
# What comes as one file, and from where.
_FILES = {"cvat": "CVAT", "label-studio": "Label Studio"}


def read_changes(path: Path, format_name: str, selection: Selection) -> list[FrameAnnotation]:
    """Read a corrected file, and return what in it differs from the set.

    Args:
        path: the corrected file or folder.
        format_name: a key of `IMPORTERS`.
        selection: what was exported: the set, with the same frames, classes and areas.

    Returns:
        The frames that the human saw, each with the changed tracks alone; see `find_changes`.

    Raises:
        UsageError: the format is not known.
        InputError: the file is missing or damaged, or does not fit the set.
    """
    if format_name not in IMPORTERS:
        raise UsageError(f"unknown format {format_name}; choose one of {', '.join(IMPORTERS)}")
    if not path.exists():
        raise InputError(f"{path} does not exist; give the file or folder that was corrected")
    if path.is_dir() and format_name in _FILES:
        raise InputError(f"{path} is a folder; give the file that came from {_FILES[format_name]}")
    if format_name == "davis" and not path.is_dir():
        raise InputError(f"{path} is a file; give the folder that holds the pictures")
    try:
        return list(find_changes(IMPORTERS[format_name](path, selection), selection))
    # What other tools write, or a damaged archive holds, is of any kind.
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError, zlib.error) as error:
        raise InputError(
            f"{path} cannot be read as {format_name} ({error}); export it from the tool again"
        ) from error
