"""The ledger of an archive: what is done, what runs where, what failed; a SQLite file."""

import math
import os
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import psutil

from flows.archive_source import FoundVideo
from pipeline.errors import AnnotationAbandonedError, OutputError

FOLDER = ".scopeline"
_FILE = "ledger.sqlite"
_BUSY_TIMEOUT_S = 60.0
# A process that lives renews its lease several times in its length, so this long without one means
# that its machine is gone; processes of the same machine are asked for directly.
LEASE_S = 300.0
_RENEWALS = 5
_BOOT = Path("/proc/sys/kernel/random/boot_id")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS videos (
    name TEXT PRIMARY KEY,
    address TEXT NOT NULL,
    size INTEGER NOT NULL,
    modified TEXT NOT NULL,
    unchanged_since REAL NOT NULL,
    job TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    tries INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    frames_done INTEGER NOT NULL DEFAULT 0,
    frames_total INTEGER NOT NULL DEFAULT 0,
    started_frames INTEGER NOT NULL DEFAULT 0,
    started_at REAL,
    updated_at REAL,
    owner TEXT,
    lease_until REAL
)
"""


class EntryState(StrEnum):
    """Where a video of an archive stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    ASIDE = "put aside"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A video of an archive, and where it stands.

    Attributes:
        name: see `FoundVideo`.
        address: see `FoundVideo`.
        size: in bytes.
        modified: as the store says it.
        unchanged_since: when it was first seen with this size and change, seconds since 1970.
        job: hash of settings and models.
        state: where it stands.
        reason: why it failed.
        tries: how often it has been begun since it last changed.
        failures: how often it has failed since, however often each was tried at once.
        frames_done: frames annotated so far.
        frames_total: frames in all, 0 while it is not known.
        started_frames: frames that were done when the running process began.
        started_at: when the running process began, seconds since 1970.
        updated_at: when it last said how far it is.
        owner: the process that annotates it.
        lease_until: when that process must have been heard of again.
    """

    name: str
    address: str
    size: int
    modified: str
    unchanged_since: float
    job: str
    state: EntryState
    reason: str | None
    tries: int
    failures: int
    frames_done: int
    frames_total: int
    started_frames: int
    started_at: float | None
    updated_at: float | None
    owner: str | None
    lease_until: float | None

    @property
    def is_held(self) -> bool:
        """Whether a process that still lives annotates it."""
        if self.state is not EntryState.RUNNING or self.owner is None:
            return False
        return (self.lease_until or 0.0) > time.time() and not _is_dead(self.owner)


class LeaseLostError(AnnotationAbandonedError):
    """Another process has taken over the video."""


def this_process() -> str:
    """Return a name for this process that no other process ever has."""
    process_id = os.getpid()
    return f"{socket.gethostname()}/{process_id}/{_started(process_id)}"


def _is_dead(owner: str) -> bool:
    """Return whether a process of this machine is gone; of others nothing is known."""
    host, process_id, created = owner.rsplit("/", 2)
    if host != socket.gethostname():
        return False
    try:
        return _started(int(process_id)) != created
    except (psutil.NoSuchProcess, OSError):
        return True


def _started(process_id: int) -> str:
    """Return when a process began, in words that stay the same when the clock is set.

    Raises:
        psutil.NoSuchProcess: there is none.
        OSError: likewise.
    """
    if not _BOOT.exists():
        return f"{psutil.Process(process_id).create_time():.2f}"
    # Behind the command's name, which may hold anything: ticks since the machine was started.
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return f"{_BOOT.read_text().strip()}:{fields[19]}"


class Ledger:
    """Remembers an archive's videos in `DEST/.scopeline`; any number of processes may share it.

    Args:
        dest: the folder of the sets.

    Raises:
        OutputError: the folder cannot be written; all methods raise it.
    """

    def __init__(self, dest: Path) -> None:
        self.path = dest / FOLDER / _FILE
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error
        with self._transaction() as database:
            database.execute(_SCHEMA)

    @staticmethod
    def exists(dest: Path) -> bool:
        """Return whether a folder has a ledger."""
        return (dest / FOLDER / _FILE).is_file()

    def _unwritable(self, error: Exception) -> OutputError:
        return OutputError(
            f"{self.path} cannot be written ({error}); free space or choose another --out"
        )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._opened() as database:
                yield database
        except sqlite3.Error as error:
            if type(error) is sqlite3.DatabaseError:
                raise OutputError(
                    f"{self.path} is damaged ({error}); remove it: the sets say what is done"
                ) from error
            raise self._unwritable(error) from error

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self.path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
        database.row_factory = sqlite3.Row
        try:
            # Taken for writing at once: of two processes that look and then write, one waits.
            database.execute("BEGIN IMMEDIATE")
            yield database
            database.execute("COMMIT")
        finally:
            # Without a commit everything is as it was.
            database.close()

    def entries(self) -> list[Entry]:
        """Return all entries, by name."""
        with self._transaction() as database:
            rows = database.execute("SELECT * FROM videos ORDER BY name").fetchall()
        return [_entry(row) for row in rows]

    def look(self, videos: Sequence[FoundVideo], job: str) -> list[Entry]:
        """Take note of the videos that an archive holds now; returns their entries.

        A video that has changed, or that another job is to annotate, waits again.
        """
        with self._transaction() as database:
            known = {row["name"]: row for row in database.execute("SELECT * FROM videos")}
            changed = [
                video for video in videos if not _is_known(video, job, known.get(video.name))
            ]
            database.executemany(
                "INSERT INTO videos (name, address, size, modified, unchanged_since, job, state) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT(name) DO UPDATE SET "
                "address = excluded.address, size = excluded.size, modified = excluded.modified, "
                "unchanged_since = excluded.unchanged_since, job = excluded.job, "
                "state = excluded.state, reason = NULL, tries = 0, failures = 0, frames_done = 0, "
                "frames_total = 0, owner = NULL, lease_until = NULL",
                [
                    (
                        video.name,
                        video.address,
                        video.size,
                        video.modified,
                        time.time(),
                        job,
                        EntryState.WAITING.value,
                    )
                    for video in changed
                ],
            )
        names = {video.name for video in videos}
        return [entry for entry in self.entries() if entry.name in names]

    def reopen(self, names: Sequence[str]) -> None:
        """Let videos wait again that ended; how often they were tried is not forgotten."""
        with self._transaction() as database:
            database.executemany(
                "UPDATE videos SET state = ?, reason = NULL WHERE name = ? AND owner IS NULL",
                [(EntryState.WAITING.value, name) for name in names],
            )

    def claim(self, name: str, owner: str) -> Entry | None:
        """Take a video that nobody annotates; None if somebody does, or it is done."""
        with self._transaction() as database:
            row = database.execute("SELECT * FROM videos WHERE name = ?", (name,)).fetchone()
            if row is None:
                return None
            entry = _entry(row)
            if entry.state in (EntryState.DONE, EntryState.ASIDE) or entry.is_held:
                return None
            now = time.time()
            database.execute(
                "UPDATE videos SET state = ?, owner = ?, lease_until = ?, tries = tries + 1, "
                "started_at = ?, updated_at = ?, started_frames = -1 WHERE name = ?",
                (EntryState.RUNNING.value, owner, now + LEASE_S, now, now, name),
            )
        return entry

    @contextmanager
    def kept(self, name: str, owner: str) -> Iterator[None]:
        """Renew the lease of a video for the time of the block, whatever takes long in it.

        To fetch a large video or to hash it can take longer than a lease, and tells no progress.
        """
        ended = threading.Event()

        def renew() -> None:
            while not ended.wait(LEASE_S / _RENEWALS):
                # What cannot be written now can be the next time; else the lease runs out.
                with suppress(OutputError), self._transaction() as database:
                    database.execute(
                        "UPDATE videos SET lease_until = ? WHERE name = ? AND owner = ?",
                        (time.time() + LEASE_S, name, owner),
                    )

        renewing = threading.Thread(target=renew, name="lease", daemon=True)
        renewing.start()
        try:
            yield
        finally:
            ended.set()
            renewing.join()

    def progress(self, name: str, owner: str, done: int, total: int) -> None:
        """Renew the lease of a video, and say how far it is.

        Raises:
            LeaseLostError: another process has taken over the video.
        """
        now = time.time()
        with self._transaction() as database:
            changed = database.execute(
                "UPDATE videos SET lease_until = ?, updated_at = ?, frames_done = ?, "
                "frames_total = ?, started_frames = CASE WHEN started_frames < 0 THEN ? ELSE "
                "started_frames END WHERE name = ? AND owner = ?",
                (now + LEASE_S, now, done, total, done, name, owner),
            ).rowcount
        if not changed:
            raise LeaseLostError(f"{name} is annotated by another process now; left to it")

    def settle(self, name: str, owner: str, state: EntryState, reason: str | None = None) -> None:
        """Give a video back, and say how it ended."""
        with self._transaction() as database:
            database.execute(
                "UPDATE videos SET state = ?, reason = ?, owner = NULL, lease_until = NULL, "
                "updated_at = ? WHERE name = ? AND owner = ?",
                (state.value, reason, time.time(), name, owner),
            )

    def fail(self, name: str, owner: str, reason: str, most: int | None) -> None:
        """Give a video back that failed; put it aside if it has done so `most` times."""
        with self._transaction() as database:
            database.execute(
                "UPDATE videos SET failures = failures + 1, reason = ?, owner = NULL, "
                "lease_until = NULL, updated_at = ?, "
                "state = CASE WHEN failures + 1 >= ? THEN ? ELSE ? END "
                "WHERE name = ? AND owner = ?",
                (
                    reason,
                    time.time(),
                    math.inf if most is None else most,
                    EntryState.ASIDE.value,
                    EntryState.FAILED.value,
                    name,
                    owner,
                ),
            )

    def refuse(self, name: str, reason: str) -> bool:
        """Say that a video cannot be annotated; returns whether that is new."""
        with self._transaction() as database:
            changed = database.execute(
                "UPDATE videos SET state = ?, reason = ?, updated_at = ? "
                "WHERE name = ? AND reason IS NOT ?",
                (EntryState.FAILED.value, reason, time.time(), name, reason),
            ).rowcount
        return changed > 0

    def give_up(self, name: str, reason: str) -> None:
        """Say that a video failed whose process is gone."""
        with self._transaction() as database:
            database.execute(
                "UPDATE videos SET state = ?, reason = ?, owner = NULL, lease_until = NULL "
                "WHERE name = ?",
                (EntryState.FAILED.value, reason, name),
            )


def _entry(row: sqlite3.Row) -> Entry:
    return Entry(**{**dict(row), "state": EntryState(row["state"])})


def _is_known(video: FoundVideo, job: str, row: sqlite3.Row | None) -> bool:
    if row is None:
        return False
    known = (row["address"], row["size"], row["modified"], row["job"])
    return known == (video.address, video.size, video.modified, job)
