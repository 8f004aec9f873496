"""The command line's part about archives: `scopeline archive`, `serve` and `status`."""

import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from flows.commands.options import AT_ONCE, PROMPTING, JsonOption, takes_groups
from flows.commands.setting_options import SettingOptions
from flows.consoles import output, screen
from flows.frame_progress import SAID_EVERY_S, counting_progress
from pipeline.errors import InputError

if TYPE_CHECKING:
    from flows.archive.entry import Entry
    from flows.archive.job import ArchiveJob
    from flows.archive.ledger import Ledger

_LOOK_EVERY_S = 0.5


class RunnerChoice(StrEnum):
    """Where the videos of an archive are annotated."""

    local = "local"
    dask = "dask"
    ray = "ray"


RunnerOption = Annotated[
    RunnerChoice,
    typer.Option(help="local: processes of this machine; or a cluster.", rich_help_panel=AT_ONCE),
]
MaxFramesOption = Annotated[int | None, typer.Option(min=1, help="Stop each after N frames.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class _ArchiveOptions:
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Folder, pattern in quotes, CSV or Parquet file with a column `video`, or an "
            "address such as s3://bucket/folder.",
        ),
    ]
    out: Annotated[Path, typer.Option(help="Folder that receives NAME.annset of each video.")]
    workers: Annotated[
        int, typer.Option(min=1, help="Videos annotated at the same time.", rich_help_panel=AT_ONCE)
    ] = 1
    threads: Annotated[
        int, typer.Option(min=1, help="Processor threads of each worker.", rich_help_panel=AT_ONCE)
    ] = 1
    runner: RunnerOption = RunnerChoice.local
    policy: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="constellation, sasvi, first-frame or framewise.  [default: constellation]",
            rich_help_panel=PROMPTING,
        ),
    ] = None


@takes_groups
def archive(
    where: _ArchiveOptions,
    given: SettingOptions,
    max_frames: MaxFramesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Annotate a whole archive: what is not done yet, whatever fails on the way."""
    quiet_prefect()
    from flows.annotate_archive import annotate_archive
    from flows.archive.job import flow_parameters
    from flows.prefect_server import prefect_api

    job = _archive_job(where, given, max_frames)
    # Looked at before Prefect is started, so that a wrong word is said at once.
    _say_what_is_not_taken(job.source)
    with _announced(job), prefect_api(), _progress(job.out):
        summary = annotate_archive(**flow_parameters(job))
    if as_json:
        typer.echo(json.dumps({**asdict(summary), "out": str(job.out)}, indent=2))
    for name, reason in summary.failed.items():
        screen.print(f"failed: {name}: {reason}", soft_wrap=True)
    screen.print(
        f"{job.out}: {len(summary.done)} done, {len(summary.skipped)} were done before, "
        f"{len(summary.failed)} failed, {len(summary.waiting)} waiting",
        soft_wrap=True,
    )
    if summary.failed or summary.waiting:
        raise typer.Exit(1)


@takes_groups
def serve(
    where: _ArchiveOptions,
    *,
    every: Annotated[
        str | None, typer.Option(help="Time between two looks, such as 15m, 2h or 1d.")
    ] = None,
    cron: Annotated[str | None, typer.Option(help="Cron line in UTC, such as '0 2 * * *'.")] = None,
    tries: Annotated[
        int, typer.Option(min=1, help="A video that failed so often is put aside.")
    ] = 3,
    settle: Annotated[
        float,
        typer.Option(min=0, help="A video is taken when it has not grown for so many seconds."),
    ] = 60.0,
    given: SettingOptions,
    max_frames: MaxFramesOption = None,
) -> None:
    """Annotate what is new in an archive on a schedule, until it is stopped."""
    from flows.archive.job import job_key
    from flows.schedule import parse_schedule, serve_archive

    schedule = parse_schedule(every, cron)
    job = replace(_archive_job(where, given, max_frames), tries=tries, settle_s=settle)
    # A wrong word is said now, and not by the first look.
    job_key(job.settings)
    _say_what_is_not_taken(job.source)
    with _announced(job):
        serve_archive(
            job,
            schedule,
            lambda: screen.print(
                f"looking at {job.source}; stop with Ctrl-C or SIGTERM", soft_wrap=True
            ),
        )
    _leave()


def _archive_job(
    where: _ArchiveOptions, given: SettingOptions, max_frames: int | None
) -> "ArchiveJob":
    from flows.archive.job import ArchiveJob
    from flows.settings import settings_from_options

    return ArchiveJob(
        source=where.source,
        out=where.out,
        settings=settings_from_options(policy=where.policy, max_frames=max_frames, **asdict(given)),
        workers=where.workers,
        threads=where.threads,
        runner=where.runner.value,
    )


def _announced(job: "ArchiveJob") -> AbstractContextManager[None]:
    """Refuse a source that another command annotates with other settings, now and later."""
    from flows.archive.entry import this_process
    from flows.archive.job import settings_key
    from flows.archive.ledger import Ledger
    from flows.archive.source import source_place

    place, settings = source_place(job.source), settings_key(job.settings)
    return Ledger(job.out).announced(place, settings, this_process())


def _say_what_is_not_taken(source: str) -> None:
    """Say so if there is no video, since a word of the pattern may be wrong, and what is none."""
    from flows.archive.source import find_videos, folders_of_pictures
    from pipeline.frames import VIDEO_SUFFIXES

    if not find_videos(source):
        screen.print(
            f"{source} holds no video; what ends in {', '.join(VIDEO_SUFFIXES)} is one",
            soft_wrap=True,
        )
    folders = folders_of_pictures(source)
    if folders:
        hold = f"and {len(folders) - 1} more hold" if len(folders) > 1 else "holds"
        screen.print(
            f"{folders[0]} {hold} pictures alone; folders that are frames of a video must be "
            "listed in a CSV file with a column video",
            soft_wrap=True,
        )


def _leave() -> None:
    """End the process, with exit code 0, without the ways of a Python that ends.

    These kill the thread that serves wherever it is, and in compiled code of Prefect's
    libraries that aborts the process.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def status(
    dest: Annotated[Path, typer.Argument(metavar="DEST", help="The --out of an archive.")],
    as_json: JsonOption = False,
) -> None:
    """Show what of an archive is running, done, waiting or failed."""
    from flows.archive.ledger import Ledger

    if not Ledger.exists(dest):
        raise InputError(f"{dest} is not the --out of an archive; give that of `scopeline archive`")
    known = Ledger(dest).entries()
    entries = [entry for entry in known if entry.gone_since is None]
    gone = [entry.name for entry in known if entry.gone_since is not None]
    if as_json:
        described = [_described(entry) for entry in entries]
        typer.echo(json.dumps({"videos": described, "gone": gone}, indent=2))
        return
    counts = Counter(_state_now(entry) for entry in entries)
    output.print(", ".join(f"{count} {state}" for state, count in counts.items()))
    if gone:
        output.print(
            f"{len(gone)} not annotated and no longer in the source; --json names them",
            soft_wrap=True,
        )
    table = Table("video", "state", "frames", "frames/s", "time left")
    shown = [each for each in map(_described, entries) if each["state"] not in ("done", "waiting")]
    for each in shown:
        table.add_row(
            each["name"],
            each["state"],
            f"{each['frames_done']} of {each['frames_total'] or '?'}",
            f"{each['frames_per_s']:.1f}" if each["frames_per_s"] else "",
            f"{each['seconds_left']:.0f} s" if each["seconds_left"] is not None else "",
        )
    if table.row_count:
        output.print(table)
    for each in shown:
        if each["reason"]:
            output.print(f"{each['name']}: {each['reason']}", soft_wrap=True)


def _state_now(entry: "Entry") -> str:
    """Return the state of an entry; one whose process has died waits for the next."""
    from flows.archive.entry import EntryState

    dead = entry.state is EntryState.RUNNING and not entry.is_held
    return str(EntryState.WAITING if dead else entry.state)


def _described(entry: "Entry") -> dict[str, Any]:
    state = _state_now(entry)
    speed = None
    if state == "running" and entry.updated_at and entry.started_at:
        frames = entry.frames_done - max(entry.started_frames, 0)
        seconds = entry.updated_at - entry.started_at
        speed = frames / seconds if frames > 0 and seconds > 0 else None
    left = (entry.frames_total - entry.frames_done) / speed if speed else None
    return {
        "name": entry.name,
        "address": entry.address,
        "state": state,
        "frames_done": entry.frames_done,
        "frames_total": entry.frames_total,
        "frames_per_s": speed,
        "seconds_left": left,
        "tries": entry.tries,
        "reason": entry.reason,
    }


def quiet_prefect() -> None:
    """Let Prefect log nothing unless the user wants it to: what counts is said here."""
    if not os.environ.get("SCOPELINE_DEBUG"):
        os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")


@contextmanager
def _progress(out: Path) -> Iterator[None]:
    """Show how far the archive is, for the time of the block: by a bar, or a line each minute."""
    from flows.archive.ledger import Ledger

    ledger, ended = Ledger(out), threading.Event()
    every_s = _LOOK_EVERY_S if screen.is_terminal else SAID_EVERY_S
    with counting_progress() as progress:
        bar = progress.add_task("videos")

        def show() -> None:
            while not ended.wait(every_s):
                done, total, running = _how_far(ledger)
                if screen.is_terminal:
                    title = f"videos  {running}"
                    progress.update(bar, completed=done, total=total, description=title)
                else:
                    now = f"; {running}" if running else ""
                    screen.print(f"{done} of {total} videos{now}", soft_wrap=True)

        watcher = threading.Thread(target=show, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()


def _how_far(ledger: "Ledger") -> tuple[int, int, str]:
    """Return how many videos have ended, how many there are, and where those are that run."""
    from flows.archive.entry import EntryState

    counts = ledger.counts()
    total = sum(counts.values())
    left = counts.get(EntryState.WAITING, 0) + counts.get(EntryState.RUNNING, 0)
    # Of all videos it would take a good part of a core, for as long as it goes on.
    running = (
        f"{entry.name} {entry.frames_done}/{entry.frames_total or '?'}"
        for entry in ledger.entries(EntryState.RUNNING)
        if entry.is_held and entry.gone_since is None
    )
    return total - left, total, ", ".join(running)
