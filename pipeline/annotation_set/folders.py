"""The folder of an annotation set: taken for one writer, made room for, removed as a whole."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path

from pipeline.annotation_set import AnnotationSet
from pipeline.annotation_set.rows import SCHEMAS
from pipeline.errors import InputError, OutputError, SetTakenError
from pipeline.remedies import unwritable

RESUME, MANIFEST_DRAFT = "resume", ".manifest.json.tmp"


def require_replaceable(path: Path) -> None:
    """Refuse to write a set in place of what holds anything else than a set does.

    Raises:
        OutputError: something else than a set, whole or damaged, is there.
    """
    if path.exists() and not (_is_set(path) or _holds_nothing_else(path)):
        raise OutputError(
            f"{path} exists and is not an annotation set; move it away or choose another --out"
        )


def _is_set(path: Path) -> bool:
    try:
        AnnotationSet(path)
    except InputError:
        return False
    return True


def _holds_nothing_else(path: Path) -> bool:
    """Return whether all that a folder holds may be what is left of a set."""
    own = {"manifest.json", MANIFEST_DRAFT, RESUME, *SCHEMAS}
    return path.is_dir() and own.issuperset(file.name for file in path.iterdir())


def remove_set(path: Path) -> None:
    """Remove an annotation set, if there is one; a part of it never looks like a set.

    Raises:
        OutputError: it cannot be removed, or something else is there.
    """
    require_replaceable(path)
    removed = _on_its_way_out(path)
    try:
        if removed.exists():
            shutil.rmtree(removed)
        if path.exists():
            with taken_for_writing(path):
                path.rename(removed)
            shutil.rmtree(removed)
    except OSError as error:
        raise unwritable(path, error) from error


def _on_its_way_out(path: Path) -> Path:
    """Return where a set is while its files are removed."""
    return path.with_name(f".{path.name}.removed")


def move_aside(path: Path) -> Path:
    """Give a set a name that says of which content it was, and leave its place free.

    Args:
        path: the set, `NAME.annset`.

    Returns:
        Where it is now: `NAME.annset.old-` and the beginning of its video's hash, with a number
        where that is taken.

    Raises:
        InputError: it is no set that can be read.
        OutputError: it cannot be moved.
    """
    name = f"{path.name}.old-{AnnotationSet(path).manifest.video.sha256[:8]}"
    names = chain([name], (f"{name}-{number}" for number in count(2)))
    place = next(path.with_name(each) for each in names if not path.with_name(each).exists())
    try:
        with taken_for_writing(path):
            path.rename(place)
    except OSError as error:
        raise unwritable(path, error) from error
    return place


def take_for_writing(folder: Path) -> int:
    """Take a set, or the folder of a training, for this process alone.

    It is so for as long as the returned descriptor is open. Where file systems have no locks, as
    over some networks, nothing is taken.

    Raises:
        SetTakenError: another process has taken it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if isinstance(error, BlockingIOError):
            os.close(descriptor)
            raise SetTakenError(
                f"{folder} is being written by another process; wait for it, or choose another "
                "--out"
            ) from None
    return descriptor


@contextmanager
def taken_for_writing(folder: Path) -> Iterator[None]:
    """Have a folder for this process alone, as `take_for_writing` takes it, in the block."""
    descriptor = take_for_writing(folder)
    try:
        yield
    finally:
        os.close(descriptor)


def make_room(path: Path) -> None:
    """Remove an unfinished set where another one is to be written.

    Raises:
        OutputError: a finished set, or something else, is there.
    """
    if not path.exists():
        # Of a process that was killed while it removed a set.
        shutil.rmtree(_on_its_way_out(path), ignore_errors=True)
        return
    try:
        existing = AnnotationSet(path)
    except InputError as error:
        raise OutputError(
            f"{path} exists and is not an annotation set; move it away or choose another --out"
        ) from error
    if existing.is_complete:
        raise OutputError(
            f"{path} is already complete; remove it or choose another --out to annotate again"
        )
    remove_set(path)
