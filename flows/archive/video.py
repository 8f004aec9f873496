"""One video of an archive: claimed in the ledger, annotated, given back with how it ended."""

import time
from contextlib import suppress
from pathlib import Path

from prefect import task
from prefect.runtime import task_run

from flows.archive.copies import local_copy
from flows.archive.entry import Claim, Entry, EntryState, this_process
from flows.archive.event_log import EventLog
from flows.archive.job import ArchiveJob, set_path
from flows.archive.ledger import LeaseLostError, Ledger
from flows.retrying import RETRY_DELAYS_S, RETRYING, is_for_good
from flows.stage_counters import StageCounters
from flows.stopping import busy, stop_asked
from pipeline.errors import AnnotationStoppedError, ScopelineError, SetTakenError

# Progress is told this often; a stop is noticed after each batch.
_TELL_EVERY_S = 2.0
_LOG_EVERY_S = 60.0
_POLL_S = 0.5


@task(
    name="annotate video of archive",
    task_run_name="annotate {name}",
    **RETRYING,
)
def annotate_entry(job: ArchiveJob, name: str, key: str) -> str:
    """Annotate one video of an archive; returns its state, `RUNNING` if it is another's.

    Args:
        job: what to annotate, and how.
        name: of the video.
        key: of the job, under which the ledger has the video.
    """
    ledger, log = Ledger(job.out), EventLog(job.out)
    claim = Claim(name=name, job=key, owner=this_process())
    if stop_asked():
        return EntryState.WAITING
    entry = ledger.claim(claim)
    if entry is None:
        return EntryState.RUNNING
    try:
        log.add("began", name, address=entry.address, tries=entry.tries)
        with ledger.kept(claim):
            _annotate(job, entry, ledger, log, claim)
    except AnnotationStoppedError:
        ledger.settle(claim, EntryState.WAITING)
        log.add("stopped", name)
        return EntryState.WAITING
    except SetTakenError as error:
        # Its process has outlived its lease: it leaves once it sees that, and then the set is free.
        ledger.settle(claim, EntryState.WAITING, str(error))
        time.sleep(_POLL_S)
        return EntryState.WAITING
    except LeaseLostError as error:
        log.add("left", name, reason=str(error))
        return EntryState.RUNNING
    except Exception as error:
        known = isinstance(error, ScopelineError)
        reason = str(error) if known else f"{entry.address}: {type(error).__name__}: {error}"
        if is_for_good(error) or task_run.run_count > len(RETRY_DELAYS_S):
            ledger.fail(claim, reason, job.tries, _what_is_at(set_path(job.out, name)))
            log.add("failed", name, reason=reason)
        else:
            ledger.settle(claim, EntryState.WAITING, reason)
            log.add("retried", name, reason=reason)
        raise
    ledger.settle(claim, EntryState.DONE)
    return EntryState.DONE


def _what_is_at(path: Path) -> Path | None:
    """Return a path where something lies, as far as it can be looked at."""
    with suppress(OSError):
        return path if path.exists() else None
    return None


def _annotate(job: ArchiveJob, entry: Entry, ledger: Ledger, log: EventLog, claim: Claim) -> None:
    # Workers load models; the process that starts them, or finds that nothing is new, does not.
    import torch

    from flows.standing_sets import Outdated
    from flows.video_job import VideoJob, annotate_job

    told, logged = 0.0, time.monotonic()
    counters = StageCounters()

    def tell(done: int, total: int) -> None:
        nonlocal told, logged
        now = time.monotonic()
        if done == total or now - told > _TELL_EVERY_S:
            ledger.progress(claim, done, total)
            told = now
        if now - logged > _LOG_EVERY_S:
            log.add("progress", entry.name, frame=done, frames=total, stages=counters.to_json())
            logged = now

    torch.set_num_threads(job.threads)
    with busy() as should_stop, local_copy(entry, job.out) as video:
        target = set_path(job.out, entry.name)
        annotated = annotate_job(
            VideoJob(
                video=video,
                out=target.parent,
                settings=job.settings,
                address=entry.address,
                outdated=Outdated.REPLACED,
                elsewhere=tuple(set_path(job.out, name) for name in ledger.done_alike(entry)),
            ),
            on_frame=tell,
            should_stop=should_stop,
            counters=counters,
        )
    counts = annotated.manifest.counts.model_dump()
    log.add("done", entry.name, **counts, stages=counters.to_json())
