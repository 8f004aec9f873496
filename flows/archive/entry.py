"""A video of an archive: where it stands, and which process has it."""

import os
import socket
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import psutil

# A process that lives renews its lease several times in its length, so this long without one means
# that its machine is gone; processes of the same machine are asked for directly.
LEASE_S = 300.0
# Clocks of machines differ, but a lease that ends later was given before this one was set back.
_LONGEST_LEASE_S = 3600.0
_BOOT = Path("/proc/sys/kernel/random/boot_id")


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
        blocked_by: what lay in its set's place when it failed.
        source: what was looked at when it was seen last.
        gone_since: when it was not there any more, without having been annotated.
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
    blocked_by: str | None = None
    source: str | None = None
    gone_since: float | None = None

    @property
    def is_held(self) -> bool:
        """Whether a process that still lives annotates it."""
        if self.state is not EntryState.RUNNING or self.owner is None:
            return False
        return lives(self.owner, self.lease_until or 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a process annotates, or would: all that it tells of a video holds for this alone.

    Attributes:
        name: of the video.
        job: hash of settings and models; under another job the video is not this process'.
        owner: the process.
    """

    name: str
    job: str
    owner: str


def this_process() -> str:
    """Return a name for this process that no other process ever has."""
    process_id = os.getpid()
    return f"{socket.gethostname()}/{process_id}/{_started(process_id)}"


def lives(owner: str, lease_until: float) -> bool:
    """Return whether a process still has what it leased."""
    left_s = lease_until - time.time()
    host, process_id, created = owner.rsplit("/", 2)
    if host != socket.gethostname():
        return 0 < left_s <= _LONGEST_LEASE_S
    return left_s > 0 and not _is_dead(int(process_id), created)


def _is_dead(process_id: int, created: str) -> bool:
    """Return whether a process of this machine is gone."""
    try:
        return _started(process_id) != created
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
