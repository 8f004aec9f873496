"""The ledger of an archive: what is done, what runs where, what failed; a SQLite file."""

import math
import sqlite3
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from flows.archive.entry import LEASE_S, Claim, Entry, EntryState, lives
from flows.archive.ledger_file import LedgerFile
from flows.archive.source import FoundVideo
from pipeline.errors import AnnotationAbandonedError, OutputError, UsageError

FOLDER = ".scopeline"
_FILE = "ledger.sqlite"

_VIDEOS = """
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
# What earlier versions did not note.
_LATER_COLUMNS = {"blocked_by": "TEXT", "source": "TEXT", "gone_since": "REAL"}
_COMMANDS = """
CREATE TABLE IF NOT EXISTS commands (
    owner TEXT NOT NULL,
    source TEXT NOT NULL,
    settings TEXT NOT NULL,
    lease_until REAL NOT NULL,
    PRIMARY KEY (owner, source, settings)
)
"""


class LeaseLostError(AnnotationAbandonedError):
    """Another process has taken over the video."""


class Ledger:
    """Remembers an archive's videos in `DEST/.scopeline`; any number of processes may share it.

    Args:
        dest: the folder of the sets.

    Raises:
        OutputError: the folder cannot be written; all methods raise it.
    """

    def __init__(self, dest: Path) -> None:
        self.dest = dest
        self._file = LedgerFile(dest / FOLDER / _FILE)
        with self._file.transaction() as database:
            database.execute(_VIDEOS)
            database.execute(_COMMANDS)
            known = {row["name"] for row in database.execute("PRAGMA table_info(videos)")}
            for name in _LATER_COLUMNS.keys() - known:
                database.execute(f"ALTER TABLE videos ADD COLUMN {name} {_LATER_COLUMNS[name]}")

    @staticmethod
    def exists(dest: Path) -> bool:
        """Return whether a folder has a ledger."""
        return (dest / FOLDER / _FILE).is_file()

    def entries(self, *states: EntryState) -> list[Entry]:
        """Return the entries in some states, by name; all where no state is named."""
        rows: list[sqlite3.Row] = []
        with self._file.transaction() as database:
            for state in states or EntryState:
                rows += database.execute("SELECT * FROM videos WHERE state = ?", (state.value,))
        return sorted(map(_entry, rows), key=lambda entry: entry.name)

    def counts(self) -> dict[EntryState, int]:
        """Return how many of the videos that are not gone are in each state that any is in."""
        with self._file.transaction() as database:
            rows = database.execute(
                "SELECT state, COUNT(*) AS count FROM videos WHERE gone_since IS NULL "
                "GROUP BY state"
            ).fetchall()
        return {EntryState(row["state"]): row["count"] for row in rows}

    def done_alike(self, entry: Entry) -> list[str]:
        """Return the names of annotated videos that may be the entry's under another name.

        They have its size and job; of a video that was moved, copied or renamed nothing else is
        known before it is read.
        """
        with self._file.transaction() as database:
            rows = database.execute(
                "SELECT name FROM videos WHERE size = ? AND job = ? AND state = ? AND name != ?",
                (entry.size, entry.job, EntryState.DONE.value, entry.name),
            ).fetchall()
        return [row["name"] for row in rows]

    def look(self, videos: Sequence[FoundVideo], job: str) -> list[Entry]:
        """Take note of the videos that an archive holds now; returns their entries.

        A video that has changed, or that another job is to annotate, waits again. One that a
        process annotates is left to it.

        Raises:
            UsageError: a process annotates one of them with other settings.
        """
        now = time.time()
        with self._file.transaction() as database:
            # What is from the future was noted before the clock was set back, and would not settle.
            database.execute(
                "UPDATE videos SET unchanged_since = :now WHERE unchanged_since > :now",
                {"now": now},
            )
            rows = database.execute("SELECT * FROM videos")
            known = {row["name"]: _entry(row) for row in rows}
            held = {name for name, entry in known.items() if entry.is_held}
            for video in videos:
                if video.name in held and known[video.name].job != job:
                    raise self._taken(f"annotates {video.name}")
            changed = [
                video
                for video in videos
                if video.name not in held and not _is_known(video, job, known.get(video.name))
            ]
            database.executemany(
                "INSERT INTO videos (name, address, size, modified, unchanged_since, job, state) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT(name) DO UPDATE SET "
                "address = excluded.address, size = excluded.size, modified = excluded.modified, "
                "unchanged_since = excluded.unchanged_since, job = excluded.job, "
                "state = excluded.state, reason = NULL, tries = 0, failures = 0, frames_done = 0, "
                "frames_total = 0, owner = NULL, lease_until = NULL, blocked_by = NULL",
                [
                    (
                        video.name,
                        video.address,
                        video.size,
                        video.modified,
                        now,
                        job,
                        EntryState.WAITING.value,
                    )
                    for video in changed
                ],
            )
        names = {video.name for video in videos}
        return [entry for entry in self.entries() if entry.name in names]

    def note_gone(self, source: str, names: Collection[str]) -> None:
        """Take note of the videos that a source holds no more and that nobody has annotated.

        Several sources may share a ledger: what another one holds is not missed in this. How a
        video stood is not forgotten, in case that a disk was away and comes back.

        Args:
            source: what was looked at.
            names: the videos that it holds.
        """
        with self._file.transaction() as database:
            database.executemany(
                "UPDATE videos SET source = ?, gone_since = NULL "
                "WHERE name = ? AND (source IS NOT ? OR gone_since IS NOT NULL)",
                [(source, name, source) for name in names],
            )
            rows = database.execute(
                "SELECT * FROM videos WHERE (source IS NULL OR source = ?) "
                "AND gone_since IS NULL AND state != ?",
                (source, EntryState.DONE.value),
            ).fetchall()
            missed = [entry for entry in map(_entry, rows) if entry.name not in names]
            database.executemany(
                "UPDATE videos SET gone_since = ? WHERE name = ?",
                [(time.time(), entry.name) for entry in missed if not entry.is_held],
            )

    def _taken(self, what: str) -> UsageError:
        return UsageError(
            f"another command {what} into {self.dest} with other settings or models; "
            "wait for its end, or choose another --out"
        )

    @contextmanager
    def announced(self, source: str, settings: str, owner: str) -> Iterator[None]:
        """Keep commands with other settings from a source, for the time of the block.

        Between two videos, or two looks, nothing is claimed: each of the two commands would then
        let all videos wait for itself.

        Args:
            source: what is annotated.
            settings: their hash; not of models, which may be trained anew while a schedule runs.
            owner: the process.

        Raises:
            UsageError: a process that lives annotates the source with other settings.
        """
        command = {"owner": owner, "source": source, "settings": settings}
        with self._file.transaction() as database:
            for row in database.execute("SELECT * FROM commands").fetchall():
                if not lives(row["owner"], row["lease_until"]):
                    database.execute("DELETE FROM commands WHERE owner = ?", (row["owner"],))
                elif row["source"] == source and row["settings"] != settings:
                    raise self._taken(f"annotates {source}")
            database.execute(
                "INSERT OR REPLACE INTO commands VALUES (:owner, :source, :settings, :lease)",
                {**command, "lease": time.time() + LEASE_S},
            )
        try:
            with self._file.renewed(
                "UPDATE commands SET lease_until = :lease WHERE owner = :owner", command
            ):
                yield
        finally:
            # What cannot be removed now ends with the process.
            with suppress(OutputError), self._file.transaction() as database:
                database.execute(
                    "DELETE FROM commands "
                    "WHERE owner = :owner AND source = :source AND settings = :settings",
                    command,
                )

    def reopen(self, entries: Sequence[Entry]) -> None:
        """Let videos wait again that ended; how often they were tried is not forgotten."""
        with self._file.transaction() as database:
            database.executemany(
                "UPDATE videos SET state = ?, reason = NULL "
                "WHERE name = ? AND job = ? AND owner IS NULL",
                [(EntryState.WAITING.value, entry.name, entry.job) for entry in entries],
            )

    def claim(self, claim: Claim) -> Entry | None:
        """Take a video that nobody annotates.

        Returns:
            Its entry as it was before; None if somebody annotates it, it is done, or it is to be
            annotated by another job now.
        """
        with self._file.transaction() as database:
            row = database.execute(
                "SELECT * FROM videos WHERE name = ? AND job = ?", (claim.name, claim.job)
            ).fetchone()
            if row is None:
                return None
            entry = _entry(row)
            if entry.state in (EntryState.DONE, EntryState.ASIDE) or entry.is_held:
                return None
            now = time.time()
            database.execute(
                "UPDATE videos SET state = ?, owner = ?, lease_until = ?, tries = tries + 1, "
                "started_at = ?, updated_at = ?, started_frames = -1 WHERE name = ?",
                (EntryState.RUNNING.value, claim.owner, now + LEASE_S, now, now, claim.name),
            )
        return entry

    @contextmanager
    def kept(self, claim: Claim) -> Iterator[None]:
        """Renew the lease of a video for the time of the block, whatever takes long in it.

        To fetch a large video or to hash it can take longer than a lease, and tells no progress.
        """
        renewal = (
            "UPDATE videos SET lease_until = :lease "
            "WHERE name = :name AND job = :job AND owner = :owner"
        )
        with self._file.renewed(renewal, asdict(claim)):
            yield

    def progress(self, claim: Claim, done: int, total: int) -> None:
        """Renew the lease of a video, and say how far it is.

        Raises:
            LeaseLostError: another process has taken over the video.
        """
        now = time.time()
        values = {"lease": now + LEASE_S, "now": now, "done": done, "total": total}
        with self._file.transaction() as database:
            changed = database.execute(
                "UPDATE videos SET lease_until = :lease, updated_at = :now, frames_done = :done, "
                "frames_total = :total, started_frames = CASE WHEN started_frames < 0 THEN :done "
                "ELSE started_frames END WHERE name = :name AND job = :job AND owner = :owner",
                {**values, **asdict(claim)},
            ).rowcount
        if not changed:
            raise LeaseLostError(f"{claim.name} is annotated by another process now; left to it")

    def settle(self, claim: Claim, state: EntryState, reason: str | None = None) -> None:
        """Give a video back, and say how it ended."""
        values = {"state": state.value, "reason": reason, "now": time.time()}
        with self._file.transaction() as database:
            database.execute(
                "UPDATE videos SET state = :state, reason = :reason, owner = NULL, "
                "lease_until = NULL, updated_at = :now "
                "WHERE name = :name AND job = :job AND owner = :owner",
                {**values, **asdict(claim)},
            )

    def fail(
        self, claim: Claim, reason: str, most: int | None, blocked_by: Path | None = None
    ) -> None:
        """Give a video back that failed.

        Args:
            claim: what failed.
            reason: why.
            most: it is put aside if it has failed so often; None lets it be tried again.
            blocked_by: what lies in its set's place.
        """
        values = {
            "reason": reason,
            "now": time.time(),
            "most": math.inf if most is None else most,
            "aside": EntryState.ASIDE.value,
            "failed": EntryState.FAILED.value,
            "blocked_by": None if blocked_by is None else str(blocked_by),
        }
        with self._file.transaction() as database:
            database.execute(
                "UPDATE videos SET failures = failures + 1, reason = :reason, owner = NULL, "
                "lease_until = NULL, updated_at = :now, blocked_by = :blocked_by, "
                "state = CASE WHEN failures + 1 >= :most THEN :aside ELSE :failed END "
                "WHERE name = :name AND job = :job AND owner = :owner",
                {**values, **asdict(claim)},
            )

    def done_by_others(self, job: str) -> list[Entry]:
        """Return the entries of videos that another job has done."""
        with self._file.transaction() as database:
            rows = database.execute(
                "SELECT * FROM videos WHERE state = ? AND job != ?", (EntryState.DONE.value, job)
            ).fetchall()
        return [_entry(row) for row in rows]

    def take_over(self, names: Sequence[str], job: str) -> None:
        """Let videos that another job has done count as done by this one."""
        with self._file.transaction() as database:
            database.executemany(
                "UPDATE videos SET job = ? WHERE name = ? AND state = ?",
                [(job, name, EntryState.DONE.value) for name in names],
            )

    def refuse(self, name: str, reason: str) -> bool:
        """Say that a video that nobody annotates cannot be; returns whether that is new."""
        with self._file.transaction() as database:
            changed = database.execute(
                "UPDATE videos SET state = ?, reason = ?, updated_at = ? "
                "WHERE name = ? AND reason IS NOT ? AND owner IS NULL",
                (EntryState.FAILED.value, reason, time.time(), name, reason),
            ).rowcount
        return changed > 0

    def give_up(self, entry: Entry, reason: str) -> None:
        """Say that a video failed whose process is gone."""
        with self._file.transaction() as database:
            database.execute(
                "UPDATE videos SET state = ?, reason = ?, owner = NULL, lease_until = NULL "
                "WHERE name = ? AND job = ? AND owner IS ?",
                (EntryState.FAILED.value, reason, entry.name, entry.job, entry.owner),
            )


def _entry(row: sqlite3.Row) -> Entry:
    return Entry(**{**dict(row), "state": EntryState(row["state"])})


def _is_known(video: FoundVideo, job: str, entry: Entry | None) -> bool:
    return entry is not None and entry.job == job and is_unchanged(video, entry)


def is_unchanged(video: FoundVideo, entry: Entry) -> bool:
    """Return whether a video is where it was, and as it was, when its entry was made."""
    known = entry.address, entry.size, entry.modified
    return known == (video.address, video.size, video.modified)
