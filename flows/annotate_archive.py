"""Annotate an archive: whatever is not done yet, in parallel, whatever fails on the way."""

import errno
import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.runtime import task_run

from flows.archive_ledger import FOLDER, Entry, EntryState, Ledger, this_process
from flows.archive_source import find_videos, unreachable
from flows.event_log import EventLog
from flows.job_identity import job_identity
from flows.retrying import RETRY_DELAYS_S, RETRYING, is_for_good
from flows.runners import RunnerName, task_runner
from flows.settings import AnnotateSettings
from flows.stage_counters import StageCounters
from flows.stopping import busy, passing_signals_on, stop_asked
from pipeline.annotation_set import SUFFIX
from pipeline.annotation_set_writer import AnnotationStoppedError
from pipeline.errors import (
    InputError,
    OutputError,
    ScopelineError,
    UnreachableError,
)

# Progress is told this often; a stop is noticed after each batch.
_TELL_EVERY_S = 2.0
_LOG_EVERY_S = 60.0
_POLL_S = 0.5
_FETCHED = "fetched"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)
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
    """Annotate one video of an archive, unless another process does; returns its state."""
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
    with busy() as should_stop, _local_copy(entry, job.out) as video:
        target = set_path(job.out, entry.name)
        annotated = annotate_job(
            VideoJob(video=video, out=target.parent, settings=job.settings, address=entry.address),
            on_frame=tell,
            should_stop=should_stop,
            counters=counters,
        )
    counts = annotated.manifest.counts.model_dump()
    log.add("done", entry.name, **counts, stages=counters.to_json())


@contextmanager
def _local_copy(entry: Entry, out: Path) -> Iterator[Path]:
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
        shutil.rmtree(folder)


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
            raise OutputError(
                f"{path} cannot be written ({error.strerror}); free space or choose another --out"
            ) from error
        raise UnreachableError(str(unreachable(address, error))) from error


def _remove_left_copies(out: Path, entries: Sequence[Entry]) -> None:
    """Remove what processes that were killed had fetched."""
    held = {_copy_name(entry) for entry in entries if entry.is_held}
    folder = out / FOLDER / _FETCHED
    if folder.exists():
        for copy in folder.iterdir():
            if copy.name not in held:
                shutil.rmtree(copy, ignore_errors=True)


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
    before = ledger.look(find_videos(source), job_key(job.settings))
    done = {entry.name for entry in before if _is_done(job, entry)}
    skipped = [entry.name for entry in before if entry.name in done]
    pending = _pending(job, ledger, [entry for entry in before if entry.name not in done])
    _remove_left_copies(job.out, before)
    get_run_logger().info(
        "%d videos: %d are done, %d to annotate", len(before), len(skipped), len(pending)
    )
    with passing_signals_on():
        _annotate_in_rounds(job, ledger, pending)
    names = {entry.name for entry in before}
    summary = _summary([entry for entry in ledger.entries() if entry.name in names], skipped)
    _record(job, summary)
    return summary


def job_key(settings: AnnotateSettings) -> str:
    """Return the hash of all that determines a set but the video."""
    text = json.dumps(job_identity(settings), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _is_done(job: ArchiveJob, entry: Entry) -> bool:
    return entry.state is EntryState.DONE and _has_set(job, entry)


def _has_set(job: ArchiveJob, entry: Entry) -> bool:
    return (set_path(job.out, entry.name) / "manifest.json").is_file()


def _pending(job: ArchiveJob, ledger: Ledger, entries: Sequence[Entry]) -> list[str]:
    """Return the videos to annotate now, of those that are not done."""
    settled = time.time() - job.settle_s
    pending = [
        entry
        for entry in entries
        if (entry.state is not EntryState.ASIDE or job.tries is None)
        and (job.settle_s == 0 or entry.unchanged_since <= settled)
    ]
    ledger.reopen([entry.name for entry in pending if not _is_open(entry)])
    return [entry.name for entry in pending]


def _annotate_in_rounds(job: ArchiveJob, ledger: Ledger, pending: list[str]) -> None:
    """Annotate videos until none is left that has not ended one way or the other.

    A worker that dies takes its pool with it; what it left is taken up in the next round.
    Videos that another process annotates are waited for, but on a schedule: there the next
    look sees what became of them.
    """
    deaths, idle_rounds = _Deaths(), 0
    while not stop_asked():
        left = [entry for entry in ledger.entries() if entry.name in pending and _is_open(entry)]
        free = [entry for entry in left if not entry.is_held]
        scheduled = job.tries is not None
        if not left or (scheduled and not free):
            return
        if not free:
            time.sleep(_POLL_S)
            continue
        names = [entry.name for entry in free]
        annotate_waiting.with_options(task_runner=task_runner(job.runner, job.workers))(
            job, names, len(names)
        )
        after = [entry for entry in ledger.entries() if entry.name in names]
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
