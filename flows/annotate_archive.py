"""Annotate an archive: whatever is not done yet, in parallel, whatever fails on the way."""

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact

from flows.archive.copies import remove_left_copies
from flows.archive.done_before import done_before
from flows.archive.entry import Entry, EntryState, this_process
from flows.archive.event_log import EventLog
from flows.archive.job import ArchiveJob, job_key, set_path, settings_key
from flows.archive.ledger import Ledger
from flows.archive.source import find_videos, source_place
from flows.archive.video import annotate_entry
from flows.runners import RunnerName, task_runner
from flows.settings import AnnotateSettings
from flows.stopping import passing_signals_on, stop_asked
from pipeline.errors import OutputError

_POLL_S = 0.5
_OPEN = (EntryState.WAITING, EntryState.RUNNING)
# New videos are waited for no longer than this to settle; else the next look takes them.
_LONGEST_WAIT_S = 600.0
# A pool whose worker died is replaced; a video that kills worker after worker must end it.
_MOST_DEATHS = 3
# Prefect takes a run whose parameters have no more than half a megabyte; the names are most of it.
_MOST_NAME_BYTES = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveSummary:
    """How it went.

    Attributes:
        done: videos annotated now.
        skipped: videos that were done before.
        failed: reasons by video.
        waiting: videos that still change, or were left when a stop was asked for.
    """

    done: tuple[str, ...]
    skipped: tuple[str, ...]
    failed: dict[str, str]
    waiting: tuple[str, ...]


@flow(name="annotate-waiting", flow_run_name="annotate {count} of {job.source}")
def annotate_waiting(job: ArchiveJob, names: list[str], key: str, count: int) -> None:
    """Annotate videos in parallel; the ledger says what became of each.

    Args:
        job: what to annotate, and how.
        names: the videos.
        key: of the job.
        count: how many they are, for the run's name.
    """
    del count
    logger = get_run_logger()
    with passing_signals_on():
        futures = {name: annotate_entry.submit(job, name, key) for name in names}
        for name, future in futures.items():
            try:
                logger.info("%s: %s", name, future.result())
            # The ledger has the reason, and the other videos go on.
            except Exception as error:
                logger.error("%s: %s", name, error)


@flow(name="annotate-archive", flow_run_name="annotate {source}")
def annotate_archive(
    source: str,
    out: Path,
    settings: AnnotateSettings | None = None,
    workers: int = 1,
    threads: int = 1,
    runner: RunnerName = "local",
    tries: int | None = None,
    settle_s: float = 0.0,
) -> ArchiveSummary:
    """Annotate whatever of an archive is not done yet; see `ArchiveJob` for the parameters.

    Raises:
        ScopelineError: the source, the destination or a model is not usable, or another command
            annotates it into the destination with other settings.
    """
    job = ArchiveJob(
        source=source,
        out=out.resolve(),
        settings=settings or AnnotateSettings(),
        workers=workers,
        threads=threads,
        runner=runner,
        tries=tries,
        settle_s=settle_s,
    )
    ledger, place = Ledger(job.out), source_place(job.source)
    with ledger.announced(place, settings_key(job.settings), this_process()):
        summary = _annotate_all(job, ledger, job_key(job.settings))
    _record(job, summary)
    return summary


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What is in an archive.

    Attributes:
        names: of all videos.
        usable: the entries of those that can be annotated.
        otherwise: why those are not annotated that another job has done, by name.
    """

    names: set[str]
    usable: list[Entry]
    otherwise: dict[str, str]


def _annotate_all(job: ArchiveJob, ledger: Ledger, key: str) -> ArchiveSummary:
    seen = _look(job, ledger, key)
    skipped = [entry.name for entry in seen.usable if _is_done(job, entry)]
    pending = _pending(job, ledger, seen.usable)
    remove_left_copies(job.out, ledger)
    get_run_logger().info(
        "%d videos: %d are done, %d to annotate, %d have sets with other settings or models",
        *(len(seen.names), len(skipped), len(pending), len(seen.otherwise)),
    )
    with passing_signals_on():
        _annotate_in_rounds(job, ledger, pending, key)
        if _waited_for_new(job, seen.usable):
            seen = _look(job, ledger, key)
            _annotate_in_rounds(job, ledger, _pending(job, ledger, seen.usable), key)
    entries = [entry for entry in ledger.entries() if entry.name in seen.names]
    return _summary(entries, skipped, key, seen.otherwise)


def _look(job: ArchiveJob, ledger: Ledger, key: str) -> _Look:
    """Take note of what the archive holds; what cannot be annotated has failed already.

    A schedule says so once, and not at each look.
    """
    found = find_videos(job.source)
    before = done_before(job, ledger, found, key)
    ledger.take_over(before.alike, key)
    # What another job has done stays done, so that nothing is looked at again for that job.
    entries = ledger.look([video for video in found if video.name not in before.otherwise], key)
    ledger.note_gone(source_place(job.source), {video.name for video in found})
    problems = {video.name: video.problem for video in found if video.problem}
    for name, problem in problems.items():
        if ledger.refuse(name, problem):
            EventLog(job.out).add("failed", name, reason=problem)
            get_run_logger().error("%s: %s", name, problem)
    return _Look(
        names={video.name for video in found},
        usable=[entry for entry in entries if entry.name not in problems],
        otherwise=before.otherwise,
    )


def _waited_for_new(job: ArchiveJob, entries: Sequence[Entry]) -> bool:
    """Wait until videos that were seen for the first time have not changed for long enough.

    The next look may be a day away.

    Returns:
        Whether there is something to look at again.
    """
    settled_at = [
        entry.unchanged_since + job.settle_s
        for entry in entries
        if entry.state is EntryState.WAITING and not _is_settled(job, entry)
    ]
    if not settled_at or job.settle_s > _LONGEST_WAIT_S:
        return False
    end = time.monotonic() + max(settled_at) - time.time()
    while time.monotonic() < end and not stop_asked():
        time.sleep(_POLL_S)
    return not stop_asked()


def _is_settled(job: ArchiveJob, entry: Entry) -> bool:
    return job.settle_s == 0 or entry.unchanged_since <= time.time() - job.settle_s


def _is_done(job: ArchiveJob, entry: Entry) -> bool:
    return entry.state is EntryState.DONE and _has_set(job, entry)


def _is_freed(entry: Entry) -> bool:
    # Where this user must not look nothing is known to have gone.
    with suppress(OSError):
        return entry.blocked_by is not None and not Path(entry.blocked_by).exists()
    return False


def _has_set(job: ArchiveJob, entry: Entry) -> bool:
    # One that this user must not look at is tried again, which names it, and the others go on.
    with suppress(OSError):
        return (set_path(job.out, entry.name) / "manifest.json").is_file()
    return False


def _pending(job: ArchiveJob, ledger: Ledger, entries: Sequence[Entry]) -> list[str]:
    """Return the videos to annotate now: settled, and neither done nor put aside.

    One that was put aside is tried again once what lay in its set's place is gone: somebody has
    removed it for that.
    """
    pending = [
        entry
        for entry in entries
        if not _is_done(job, entry)
        and (entry.state is not EntryState.ASIDE or job.tries is None or _is_freed(entry))
        and _is_settled(job, entry)
    ]
    ledger.reopen([entry for entry in pending if not _is_open(entry)])
    return [entry.name for entry in pending]


def _annotate_in_rounds(job: ArchiveJob, ledger: Ledger, pending: list[str], key: str) -> None:
    """Annotate videos until none is left that has not ended one way or the other.

    A worker that dies takes its pool with it; what it left is taken up in the next round.
    Videos that another process annotates are waited for, but on a schedule: there the next
    look sees what became of them.
    """
    deaths, idle_rounds, wanted = _Deaths(), 0, set(pending)
    while not stop_asked():
        still_open = ledger.entries(*_OPEN)
        left = [entry for entry in still_open if entry.name in wanted and entry.job == key]
        free = [entry for entry in left if not entry.is_held]
        scheduled = job.tries is not None
        if not left or (scheduled and not free):
            return
        if not free:
            time.sleep(_POLL_S)
            continue
        free = free[: _count_of_one_run(free)]
        names = [entry.name for entry in free]
        begun_now = set(names)
        annotate_waiting.with_options(task_runner=task_runner(job.runner, job.workers))(
            job, names, key, len(names)
        )
        after = [entry for entry in ledger.entries() if entry.name in begun_now]
        begun = sum(entry.tries for entry in after) - sum(entry.tries for entry in free)
        idle_rounds = 0 if begun else idle_rounds + 1
        if idle_rounds >= _MOST_DEATHS and not stop_asked():
            raise OutputError(
                f"no worker of --runner {job.runner} began a video; run again with "
                "PREFECT_LOGGING_LEVEL=INFO to see why"
            )
        for entry in deaths.hopeless(after):
            ledger.give_up(
                entry,
                f"{entry.address}: the process that annotates it was killed {_MOST_DEATHS} "
                "times at the same place; look at the machine's memory, then run again",
            )


def _count_of_one_run(entries: Sequence[Entry]) -> int:
    """Return how many of the entries one run can be told of; the next round takes the others."""
    sizes = accumulate(len(json.dumps(entry.name)) for entry in entries)
    return max(sum(size <= _MOST_NAME_BYTES for size in sizes), 1)


class _Deaths:
    """Counts how often a video's process was killed, for each video since it last got further."""

    def __init__(self) -> None:
        self._counts: dict[str, tuple[int, int]] = {}

    def hopeless(self, entries: Sequence[Entry]) -> list[Entry]:
        """Take note of the entries after a round; returns those to give up."""
        dead = [e for e in entries if e.state is EntryState.RUNNING and not e.is_held]
        for entry in dead:
            count, frames = self._counts.get(entry.name, (0, -1))
            got_further = entry.frames_done > frames
            self._counts[entry.name] = (1 if got_further else count + 1, entry.frames_done)
        return [entry for entry in dead if self._counts[entry.name][0] >= _MOST_DEATHS]


def _is_open(entry: Entry) -> bool:
    """Return whether a video has neither been annotated nor failed."""
    return entry.state in _OPEN


def _summary(
    entries: Sequence[Entry], skipped: Sequence[str], key: str, otherwise: Mapping[str, str]
) -> ArchiveSummary:
    failures = (EntryState.FAILED, EntryState.ASIDE)
    before = set(skipped)
    ours = [entry for entry in entries if entry.job == key]
    failed = {entry.name: entry.reason or "" for entry in ours if entry.state in failures}
    # Of an overlapping source, which nobody had announced.
    taken = {
        entry.name: otherwise.get(
            entry.name,
            f"{entry.address} is another command's by now, with other settings or models; choose "
            "another --out",
        )
        for entry in entries
        if entry.job != key
    }
    return ArchiveSummary(
        done=tuple(
            entry.name
            for entry in ours
            if entry.state is EntryState.DONE and entry.name not in before
        ),
        skipped=tuple(skipped),
        failed={**failed, **taken},
        waiting=tuple(entry.name for entry in ours if _is_open(entry)),
    )


def _record(job: ArchiveJob, summary: ArchiveSummary) -> None:
    """Keep a table of how it went with the flow run."""
    failed = "".join(f"| {name} | {reason} |\n" for name, reason in summary.failed.items())
    create_markdown_artifact(
        key="archive",
        description=f"Annotations of {job.source}",
        markdown=(
            "| done now | done before | failed | waiting |\n|---|---|---|---|\n"
            f"| {len(summary.done)} | {len(summary.skipped)} | {len(summary.failed)} "
            f"| {len(summary.waiting)} |\n"
            + (f"\n| failed | why |\n|---|---|\n{failed}" if failed else "")
        ),
    )
