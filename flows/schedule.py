"""Annotate an archive again and again: a Prefect deployment with a schedule, served from here."""

import asyncio
import fcntl
import hashlib
import logging
import re
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

import httpx
import psutil
from prefect import aserve, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import PrefectException
from prefect.types.entrypoint import EntrypointType
from pydantic import ValidationError

from flows.annotate_archive import annotate_archive
from flows.archive.job import ArchiveJob, flow_parameters
from flows.archive.ledger import FOLDER
from flows.complaints import complain
from flows.prefect_server import ServerRole, prefect_api
from flows.stopping import on_stop_signals
from pipeline.errors import UsageError

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_TRY_AGAIN_S = 10.0
# A batch of frames, a commit, and an export that is under way.
_FINISH_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When to look at an archive: exactly one of the two is given.

    Attributes:
        every: time between two looks.
        cron: cron line, in UTC.
    """

    every: timedelta | None = None
    cron: str | None = None


def parse_schedule(every: str | None, cron: str | None) -> Schedule:
    """Read a schedule from what a user gives.

    Args:
        every: such as `90s`, `15m`, `2h` or `1d`.
        cron: such as `0 2 * * *`.

    Raises:
        UsageError: not exactly one is given, or it cannot be read.
    """
    if (every is None) == (cron is None):
        raise UsageError("give either --every, such as 15m, or --cron, such as '0 2 * * *'")
    if every is not None:
        match = re.fullmatch(r"([1-9]\d*)([smhd])", every)
        if match is None:
            raise UsageError(f"--every {every} is not a time such as 90s, 15m, 2h or 1d")
        try:
            return Schedule(every=timedelta(**{_UNITS[match[2]]: int(match[1])}))
        except OverflowError as error:
            raise UsageError(f"--every {every} is too long; give a time such as 1d") from error
    try:
        CronSchedule(cron=cron)
    except (ValidationError, ValueError) as error:
        raise UsageError(
            f"--cron {cron!r} is not a cron line; give minute, hour, day, month and weekday, such "
            "as '0 2 * * *'"
        ) from error
    return Schedule(cron=cron)


def serve_archive(
    job: ArchiveJob, schedule: Schedule, on_start: Callable[[], None] = lambda: None
) -> None:
    """Look at an archive on a schedule, and at once, until SIGTERM or Ctrl-C.

    What runs then finishes its batch of frames and commits; the next look goes on from there.

    Args:
        job: what to annotate, and how.
        schedule: when to look.
        on_start: is called once a stop is listened to.
    """
    # It says each few seconds that looks which are due wait for the one that annotates.
    logging.getLogger("prefect.runner").setLevel(logging.WARNING)
    stop = threading.Event()
    with (
        on_stop_signals(stop.set),
        prefect_api(ServerRole.SCHEDULES),
        _own_temporary_folder(),
        _serving(job) as is_last,
    ):
        on_start()
        threading.Thread(target=_keep_serving, args=(job, schedule, stop), daemon=True).start()
        stop.wait()
        # The thread goes on until the process ends, and would say that the server has gone.
        logging.getLogger("prefect").setLevel(logging.CRITICAL)
        if is_last():
            _end_schedule(job)
        _end_children()


@contextmanager
def _own_temporary_folder() -> Iterator[None]:
    """Let temporary files of this process lie in a folder of its own, for the time of the block.

    Prefect's runner keeps its own in a folder that all users of a machine would share, in which
    only the first of them may write, and leaves them there when its process ends.
    """
    with tempfile.TemporaryDirectory(prefix="scopeline-", ignore_cleanup_errors=True) as folder:
        before, tempfile.tempdir = tempfile.tempdir, folder
        try:
            yield
        finally:
            tempfile.tempdir = before


@contextmanager
def _serving(job: ArchiveJob) -> Iterator[Callable[[], bool]]:
    """Serve an archive beside other processes, for the time of the block.

    Yields:
        A function that tells whether no other process serves it. From then on one that begins to
        waits for the end of the block.
    """
    path = job.out / FOLDER / f"{deployment_name(job)}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        # Where file systems have no locks it is never known, and the schedule stays.
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_SH)

        def is_last() -> bool:
            # Of two that end at once the first loses its lock here, and the second is the last.
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return False
            return True

        yield is_last


def _end_schedule(job: ArchiveJob) -> None:
    """Take back the looks that are planned, about a hundred, since nobody is left to begin them.

    The next process that serves the archive would do all that were missed, one after the other.
    """
    try:
        with get_client(sync_client=True) as client:
            name = f"{annotate_archive.name}/{deployment_name(job)}"
            deployment_id = client.read_deployment_by_name(name).id
            client.pause_deployment(deployment_id)
            # Also the one at once, if it has not begun.
            planned = client.read_flow_runs(
                deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment_id])),
                flow_run_filter=FlowRunFilter(
                    state=FlowRunFilterState(
                        type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])
                    )
                ),
            )
            for run in planned:
                client.delete_flow_run(run.id)
    except (PrefectException, httpx.HTTPError) as error:
        complain(
            f"Prefect's server cannot be used ({error}) and keeps the looks that are planned; "
            "delete them there, or all that are missed are made when the archive is served again"
        )


def _keep_serving(job: ArchiveJob, schedule: Schedule, stop: threading.Event) -> None:
    """Serve the deployment; a server that is away for a while is waited for."""
    while not stop.is_set():
        try:
            asyncio.run(_serve(job, schedule))
        # Whatever went wrong with the server: the schedule goes on when it is back.
        except Exception as error:
            if stop.is_set():
                return
            complain(f"Prefect's server cannot be used ({error}); trying again")
        stop.wait(_TRY_AGAIN_S)


async def _serve(job: ArchiveJob, schedule: Schedule) -> None:
    deployment: RunnerDeployment = await annotate_archive.ato_deployment(
        name=deployment_name(job),
        interval=schedule.every,
        cron=schedule.cron,
        # The last process that served it has paused it.
        paused=False,
        parameters={
            **flow_parameters(job),
            "out": str(job.out.resolve()),
            "settings": job.settings.model_dump(mode="json"),
        },
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    deployment_id = await deployment.aapply()
    async with get_client() as client:
        await client.create_flow_run_from_deployment(deployment_id)
    # Another process may serve the same archive: the schedule is not the runner's to pause, the
    # last process does so. One look at a time is kept to here and not by the server, where one that
    # was killed would count on.
    await aserve(deployment, pause_on_shutdown=False, print_starting_message=False, limit=1)


def deployment_name(job: ArchiveJob) -> str:
    """Return the deployment's name: one for each source and destination."""
    text = f"{job.source}\0{job.out.resolve()}"
    return f"archive-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _end_children() -> None:
    """Ask the flows that run to stop, and wait until they have committed."""
    flows = [child for child in psutil.Process().children() if _runs_a_flow(child)]
    for child in flows:
        child.terminate()
    psutil.wait_procs(flows, timeout=_FINISH_S)


def _runs_a_flow(process: psutil.Process) -> bool:
    """Tell a flow of Prefect's runner from the server and what Python itself has started."""
    try:
        return any(word.startswith("prefect.") for word in process.cmdline())
    except psutil.NoSuchProcess:
        return False
