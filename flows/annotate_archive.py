"""Annotate an archive: whatever is not done yet, in parallel, whatever fails on the way."""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.runtime import task_run

from flows.archive_copies import local_copy, remove_left_copies
from flows.archive_ledger import Entry, EntryState, LeaseLostError, Ledger, this_process
from flows.archive_source import find_videos
from flows.event_log import EventLog
from flows.job_identity import job_identity
from flows.retrying import RETRY_DELAYS_S, RETRYING, is_for_good
from flows.runners import RunnerName, task_runner
from flows.settings import AnnotateSettings
from flows.stage_counters import StageCounters
from flows.stopping import busy, passing_signals_on, stop_asked
from pipeline.annotation_set import SUFFIX
from pipeline.annotation_set_writer import AnnotationStoppedError
from pipeline.errors import OutputError, ScopelineError, SetTakenError

# Progress is told this often; a stop is noticed after each batch.
_TELL_EVERY_S = 2.0
_LOG_EVERY_S = 60.0
_POLL_S = 0.5
# New videos are waited for no longer than this to settle; else the next look takes them.
_LONGEST_WAIT_S = 600.0
# A pool whose worker died is replaced; a video that kills worker after worker must end it.
_MOST_DEATHS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveJob:
    """What to annotate, and how.

    Attributes:
        source: see `find_videos`.
        out: folder that receives `NAME.annset` for each video.
        settings: how to annotate.
        workers: videos that are annotated at the same time.
        threads: processor threads of each worker; the last bits of a mask depend on them, and
            sets are the same with however many workers.
        runner: local processes, or a cluster of Dask or Ray.
        tries: a video that failed this often since it changed is put aside; None tries all
            that failed once more.
        settle_s: a video is taken when it has not changed for so many seconds.
    """

    source: str
    out: Path
    settings: AnnotateSettings
    workers: int = 1
    threads: int = 1
    runner: RunnerName = "local"
    tries: int | None = None
    settle_s: float = 0.0


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


def flow_parameters(job: ArchiveJob) -> dict[str, Any]:
    """Return a job as the parameters of `annotate_archive`."""
    return {field.name: getattr(job, field.name) for field in fields(job)}


def set_path(out: Path, name: str) -> Path:
    """Return where the set of a video of an archive lies."""
    return out / f"{name}{SUFFIX}"


@task(
    name="annotate video of archive",
    task_run_name="annotate {name}",
    **RETRYING,
)
def annotate_entry(job: ArchiveJob, name: str) -> str:
    """Annotate one video of an archive; returns its state, `RUNNING` if it is another's."""
    ledger, log, owner = Ledger(job.out), EventLog(job.out), this_process()
    if stop_asked():
        return EntryState.WAITING
    entry = ledger.claim(name, owner)
    if entry is None:
        return EntryState.RUNNING
    try:
        log.add("began", name, address=entry.address, tries=entry.tries)
        with ledger.kept(name, owner):
            _annotate(job, entry, ledger, log, owner)
    except AnnotationStoppedError:
        ledger.settle(name, owner, EntryState.WAITING)
        log.add("stopped", name)
        return EntryState.WAITING
    except SetTakenError as error:
        # Its process has outlived its lease: it leaves once it sees that, and then the set is free.
        ledger.settle(name, owner, EntryState.WAITING, str(error))
        time.sleep(_POLL_S)
        return EntryState.WAITING
    except LeaseLostError as error:
        log.add("left", name, reason=str(error))
        return EntryState.RUNNING
    except Exception as error:
        known = isinstance(error, ScopelineError)
        reason = str(error) if known else f"{entry.address}: {type(error).__name__}: {error}"
        if is_for_good(error) or task_run.run_count > len(RETRY_DELAYS_S):
            ledger.fail(name, owner, reason, job.tries)
            log.add("failed", name, reason=reason)
        else:
            ledger.settle(name, owner, EntryState.WAITING, reason)
            log.add("retried", name, reason=reason)
        raise
    ledger.settle(name, owner, EntryState.DONE)
    return EntryState.DONE


def _annotate(job: ArchiveJob, entry: Entry, ledger: Ledger, log: EventLog, owner: str) -> None:
    # Workers load models; the process that starts them, or finds that nothing is new, does not.
    import torch

    from flows.video_job import VideoJob, annotate_job

    told, logged = 0.0, time.monotonic()
    counters = StageCounters()

    def tell(done: int, total: int) -> None:
        nonlocal told, logged
        now = time.monotonic()
        if done == total or now - told > _TELL_EVERY_S:
            ledger.progress(entry.name, owner, done, total)
            told = now
        if now - logged > _LOG_EVERY_S:
            log.add("progress", entry.name, frame=done, frames=total, stages=counters.to_json())
            logged = now

    torch.set_num_threads(job.threads)
    with busy() as should_stop, local_copy(entry, job.out) as video:
        target = set_path(job.out, entry.name)
        annotated = annotate_job(
            VideoJob(video=video, out=target.parent, settings=job.settings, address=entry.address),
            on_frame=tell,
            should_stop=should_stop,
            counters=counters,
        )
    counts = annotated.manifest.counts.model_dump()
    log.add("done", entry.name, **counts, stages=counters.to_json())


@flow(name="annotate-waiting", flow_run_name="annotate {count} videos")
def annotate_waiting(job: ArchiveJob, names: list[str], count: int) -> None:
    """Annotate videos in parallel; the ledger says what became of each.

    Args:
        job: what to annotate, and how.
        names: the videos.
        count: how many they are, for the run's name.
    """
    del count
    logger = get_run_logger()
    with passing_signals_on():
        futures = {name: annotate_entry.submit(job, name) for name in names}
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
        ScopelineError: the source, the destination or a model is not usable.
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
    ledger = Ledger(job.out)
    names, usable = _look(job, ledger)
    skipped = [entry.name for entry in usable if _is_done(job, entry)]
    pending = _pending(job, ledger, usable)
    remove_left_copies(job.out, usable)
    get_run_logger().info(
        "%d videos: %d are done, %d to annotate", len(names), len(skipped), len(pending)
    )
    with passing_signals_on():
        _annotate_in_rounds(job, ledger, pending)
        if _waited_for_new(job, usable):
            names, usable = _look(job, ledger)
            _annotate_in_rounds(job, ledger, _pending(job, ledger, usable))
    summary = _summary([entry for entry in ledger.entries() if entry.name in names], skipped)
    _record(job, summary)
    return summary


def _look(job: ArchiveJob, ledger: Ledger) -> tuple[set[str], list[Entry]]:
    """Take note of what the archive holds; what cannot be annotated has failed already.

    Returns:
        The names of all videos, and the entries of those that can be annotated.
    """
    found = find_videos(job.source)
    entries = ledger.look(found, job_key(job.settings))
    problems = {video.name: video.problem for video in found if video.problem}
    for name, problem in problems.items():
        if ledger.refuse(name, problem):
            EventLog(job.out).add("failed", name, reason=problem)
    usable = [entry for entry in entries if entry.name not in problems]
    return {video.name for video in found}, usable


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
    while time.time() < max(settled_at) and not stop_asked():
        time.sleep(_POLL_S)
    return not stop_asked()


def _is_settled(job: ArchiveJob, entry: Entry) -> bool:
    return job.settle_s == 0 or entry.unchanged_since <= time.time() - job.settle_s


def job_key(settings: AnnotateSettings) -> str:
    """Return the hash of all that determines a set but the video."""
    text = json.dumps(job_identity(settings), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _is_done(job: ArchiveJob, entry: Entry) -> bool:
    return entry.state is EntryState.DONE and _has_set(job, entry)


def _has_set(job: ArchiveJob, entry: Entry) -> bool:
    return (set_path(job.out, entry.name) / "manifest.json").is_file()


def _pending(job: ArchiveJob, ledger: Ledger, entries: Sequence[Entry]) -> list[str]:
    """Return the videos to annotate now: settled, and neither done nor put aside."""
    pending = [
        entry
        for entry in entries
        if not _is_done(job, entry)
        and (entry.state is not EntryState.ASIDE or job.tries is None)
        and _is_settled(job, entry)
    ]
    ledger.reopen([entry.name for entry in pending if not _is_open(entry)])
    return [entry.name for entry in pending]


def _annotate_in_rounds(job: ArchiveJob, ledger: Ledger, pending: list[str]) -> None:
    """Annotate videos until none is left that has not ended one way or the other.

    A worker that dies takes its pool with it; what it left is taken up in the next round.
    Videos that another process annotates are waited for, but on a schedule: there the next
    look sees what became of them.
    """
    deaths, idle_rounds, wanted = _Deaths(), 0, set(pending)
    while not stop_asked():
        left = [entry for entry in ledger.entries() if entry.name in wanted and _is_open(entry)]
        free = [entry for entry in left if not entry.is_held]
        scheduled = job.tries is not None
        if not left or (scheduled and not free):
            return
        if not free:
            time.sleep(_POLL_S)
            continue
        names = [entry.name for entry in free]
        begun_now = set(names)
        annotate_waiting.with_options(task_runner=task_runner(job.runner, job.workers))(
            job, names, len(names)
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
                entry.name,
                f"{entry.address}: the process that annotates it was killed {_MOST_DEATHS} "
                "times at the same place; look at the machine's memory, then run again",
            )


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
    return entry.state in (EntryState.WAITING, EntryState.RUNNING)


def _summary(entries: Sequence[Entry], skipped: Sequence[str]) -> ArchiveSummary:
    failures = (EntryState.FAILED, EntryState.ASIDE)
    before = set(skipped)
    return ArchiveSummary(
        done=tuple(
            entry.name
            for entry in entries
            if entry.state is EntryState.DONE and entry.name not in before
        ),
        skipped=tuple(skipped),
        failed={entry.name: entry.reason or "" for entry in entries if entry.state in failures},
        waiting=tuple(entry.name for entry in entries if _is_open(entry)),
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
