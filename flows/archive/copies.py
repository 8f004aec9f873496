"""Copies of videos in object stores: fetched to be annotated, removed afterwards."""

import errno
import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import fsspec

from flows.archive.entry import Entry, EntryState
from flows.archive.ledger import FOLDER, Ledger
from flows.archive.source import unreachable
from pipeline.errors import InputError, UnreachableError
from pipeline.remedies import unwritable

_FETCHED = "fetched"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)


@contextmanager
def local_copy(entry: Entry, out: Path) -> Iterator[Path]:
    """Give the path of a video, for the time of the block, also of one in a store."""
    if "://" not in entry.address:
        yield Path(entry.address)
        return
    folder = out / FOLDER / _FETCHED / _copy_name(entry)
    path = folder / PurePosixPath(entry.address).name
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _fetch(entry.address, path)
        yield path
    finally:
        # What cannot be removed now is so at the next run, and hides no error of this one.
        shutil.rmtree(folder, ignore_errors=True)


def _copy_name(entry: Entry) -> str:
    """Return what the folder of a fetched copy is called; names in a store may be of any length."""
    return hashlib.sha256(entry.name.encode()).hexdigest()[:32]


def _fetch(address: str, path: Path) -> None:
    try:
        store, inside = fsspec.core.url_to_fs(address)
        store.get(inside, str(path))
    except FileNotFoundError as error:
        raise InputError(f"{address} is gone; look at the archive again") from error
    # Each kind of store raises errors of its own kind; what cannot be reached now may be later.
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            raise unwritable(path, error) from error
        raise UnreachableError(str(unreachable(address, error))) from error


def remove_left_copies(out: Path, ledger: Ledger) -> None:
    """Remove what processes that were killed had fetched, of whichever source.

    Others may annotate another source into the same folder now. A process has its video before it
    fetches it, so whoever is asked after the copies were listed knows of all of them.
    """
    folder = out / FOLDER / _FETCHED
    copies = list(folder.iterdir()) if folder.exists() else []
    running = ledger.entries(EntryState.RUNNING) if copies else []
    held = {_copy_name(entry) for entry in running if entry.is_held}
    for copy in copies:
        if copy.name not in held:
            shutil.rmtree(copy, ignore_errors=True)
