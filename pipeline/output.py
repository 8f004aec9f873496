"""Files and folders that are there when they are complete, and not before."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from pipeline.errors import OutputError
from pipeline.remedies import unwritable


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give a draft folder that is renamed to `path` once everything is in it.

    Raises:
        OutputError: the folder exists already or cannot be written.
    """
    refuse_existing(path)
    with _draft_of(path, "--out") as draft:
        draft.mkdir(parents=True)
        yield draft
        draft.rename(path)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a draft file that is renamed to `path` once everything is in it.

    Raises:
        OutputError: the file exists already or cannot be written.
    """
    refuse_existing_file(path)
    with replaced_file(path) as draft:
        yield draft


@contextmanager
def replaced_file(path: Path, option: str = "--out") -> Iterator[Path]:
    """Give a draft file that takes the place of `path` once everything is in it.

    Args:
        path: the file.
        option: of the command line that names it, for messages.

    Raises:
        OutputError: the file cannot be written.
    """
    with _draft_of(path, option) as draft:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield draft
        draft.replace(path)


def remove_left_drafts(path: Path) -> None:
    """Remove what killed processes have left of drafts of a file that nobody else writes now."""
    for draft in path.parent.glob(f".{path.name}-*.tmp"):
        draft.unlink(missing_ok=True)


def remove_drafts_below(folder: Path) -> None:
    """Remove what killed processes have left of drafts of files anywhere in a folder.

    Nobody else may write in it now.
    """
    for draft in folder.rglob(".*-*.tmp"):
        draft.unlink(missing_ok=True)


def refuse_existing(path: Path) -> None:
    """Refuse to write where something is.

    Raises:
        OutputError: the file or folder exists already, or cannot be.
    """
    if _is_there(path):
        raise OutputError(f"{path} exists already; remove it or choose another --out")


def refuse_existing_file(path: Path) -> None:
    """Refuse to write a file where something is; nobody is told to remove a folder for it.

    Raises:
        OutputError: the file exists already or cannot be, or a folder is there.
    """
    if _is_there(path) and path.is_dir():
        raise OutputError(f"{path} is a folder; give the name of a file, which may be in it")
    refuse_existing(path)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    # It is too long, or in a folder where this user must not look.
    except OSError as error:
        raise unwritable(path, error) from error


@contextmanager
def _draft_of(path: Path, option: str) -> Iterator[Path]:
    """Give a hidden path beside another, and leave nothing there."""
    # Not by the number of the process: in a container, that of the next one is often the same, and
    # what a killed one has left would be in its way.
    draft = path.with_name(f".{path.name}-{uuid4().hex[:8]}.tmp")
    try:
        yield draft
    except OSError as error:
        raise unwritable(path, error, f"choose another {option}") from error
    finally:
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            # Where a file stands for the folder, or nothing can be written, there is none.
            with suppress(OSError):
                draft.unlink(missing_ok=True)
