"""The file of a ledger, which any number of processes write at once: transactions, and leases."""

import errno
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flows.archive.entry import LEASE_S
from pipeline.errors import OutputError
from pipeline.remedies import remedy, unwritable

_BUSY_TIMEOUT_S = 60.0
_RENEWALS = 5
_CLOSED = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM)
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)


class LedgerFile:
    """A SQLite file.

    Args:
        path: of the file.

    Raises:
        OutputError: its folder cannot be written; all methods raise it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(self._path, error) from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Open the file for the time of the block; if that fails, nothing has changed.

        Raises:
            OutputError: it cannot be written, or is damaged.
        """
        try:
            with self._opened() as database:
                yield database
        except sqlite3.Error as error:
            if type(error) is sqlite3.DatabaseError:
                raise OutputError(
                    f"{self._path} is damaged ({error}); remove it: the sets say what is done"
                ) from error
            raise OutputError(
                f"{self._path} cannot be written ({error}); {_remedy_of(error)}"
            ) from error

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
        database.row_factory = sqlite3.Row
        try:
            # Taken for writing at once: of two processes that look and then write, one waits.
            database.execute("BEGIN IMMEDIATE")
            yield database
            database.execute("COMMIT")
        finally:
            # Without a commit everything is as it was.
            database.close()

    @contextmanager
    def renewed(self, renewal: str, values: dict[str, str]) -> Iterator[None]:
        """Renew a lease again and again on a thread, for the time of the block.

        Args:
            renewal: the statement, with the end of the lease as `:lease`.
            values: what else it names.
        """
        ended = threading.Event()

        def renew() -> None:
            while not ended.wait(LEASE_S / _RENEWALS):
                # What cannot be written now can be the next time; else the lease runs out.
                with suppress(OutputError), self.transaction() as database:
                    database.execute(renewal, {"lease": time.time() + LEASE_S, **values})

        renewing = threading.Thread(target=renew, name="lease", daemon=True)
        renewing.start()
        try:
            yield
        finally:
            ended.set()
            renewing.join()


def _remedy_of(error: sqlite3.Error) -> str:
    """Return what to do about a file that SQLite cannot write."""
    # The upper bits say more than is needed here; what Python itself raises has none at all.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in _CLOSED:
        return remedy(errno.EACCES)
    if code in _LOCKED:
        return "wait for the process that holds it, or choose an --out on a disk with working locks"
    return remedy(errno.ENOSPC if code == sqlite3.SQLITE_FULL else errno.EIO)
