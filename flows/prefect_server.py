"""The Prefect server that flows report to: the configured one, or one of this process' own."""

import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from filelock import FileLock, Timeout
from prefect import get_client
from prefect.context import refresh_global_settings_context
from prefect.events.worker import EventsWorker
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_HOME,
    PREFECT_SERVER_ANALYTICS_ENABLED,
    PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED,
    PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED,
    PREFECT_UI_ENABLED,
    temporary_settings,
)
from prefect.settings.legacy import Setting

from flows.complaints import complain, debugging
from pipeline.errors import OutputError, UnreachableError

SERVER_PROCESS = "prefect-server"
_API_URL = "PREFECT_API_URL"
# The first one of a user writes its database, which a busy machine with a slow disk took longer
# than two minutes for.
_START_TIMEOUT_S = 600.0
_SAID_AFTER_S = 10.0
_DELIVERY_TIMEOUT_S = 30.0
_PATIENCE_S = 60.0
_PAUSE_S = 1.0
_NO_START = (
    "Prefect's server does not start on this machine; set PREFECT_API_URL to one that runs, or run "
    "again with --debug to see why"
)
_LATE = (
    "Prefect's server has not started within ten minutes; this machine may be too busy: run the "
    "command again later, or set PREFECT_API_URL to a server that runs"
)
# Nothing about a hospital's videos leaves its machines, and offline a try is an error's line.
_ALWAYS: dict[Setting, Any] = {
    PREFECT_UI_ENABLED: False,
    PREFECT_SERVER_ANALYTICS_ENABLED: False,
}
# The database is that of all servers of this user: one that was only started to be reported to
# would plan the looks of another command's schedule, and declare late, one by one and again and
# again, those that nobody is there to begin. SQLite has one writer, and the flows wait for it.
_WITHOUT_SCHEDULES: dict[Setting, Any] = {
    PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED: False,
    PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED: False,
}


class ServerRole(StrEnum):
    """What a server of this process' own does: hear of flows, or plan them as well."""

    LISTENS = "listens"
    SCHEDULES = "schedules"


@contextmanager
def prefect_api(role: ServerRole = ServerRole.LISTENS) -> Iterator[None]:
    """Make sure of a Prefect server for the time of the block.

    Without a configured one (`PREFECT_API_URL`), one is started on loopback, over Prefect's
    usual SQLite file. Prefect's own way leaves its server behind when the process that needs it
    is killed, and starts one more in each worker process; this one ends with its process.

    Args:
        role: what a server of this process' own does.

    Raises:
        OutputError: the server does not start.
        UnreachableError: the configured one does not answer, though it was waited for. A schedule
            does so itself, for however long.
    """
    configured = PREFECT_API_URL.value()
    if configured:
        if role is ServerRole.LISTENS:
            wait_for_configured(configured)
        yield
        return
    # Held from here on, so that no other process can take the port before the server does.
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/api"
    server = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(listener, role), name=SERVER_PROCESS
    )
    try:
        with listener, _alone_with_the_database():
            server.start()
            _wait_for(url, server)
        with _configured(url), _all_delivered():
            yield
    finally:
        if server.is_alive():
            server.terminate()
            server.join()


@contextmanager
def _alone_with_the_database() -> Iterator[None]:
    """Let the processes of one Prefect home start their servers one after the other.

    A server that starts brings the schema of the database up to date, and two that do so at once
    fail. The operating system gives the lock back when its holder dies, however it does.
    """
    home = Path(PREFECT_HOME.value())
    lock = FileLock(home / "scopeline-server.lock", timeout=_START_TIMEOUT_S)
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise OutputError(_LATE) from error
    except OSError as error:
        # Users that services run as often have no home.
        raise OutputError(
            f"{home}, where Prefect keeps its database, cannot be written ({error.strerror}); set "
            "PREFECT_HOME to a folder that can"
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _configured(url: str) -> Iterator[None]:
    """Let all threads and child processes use a server, for the time of the block.

    Prefect's `temporary_settings` reach neither; what does not know of the server starts one
    more, which outlives this process.
    """
    os.environ[_API_URL] = url
    refresh_global_settings_context()
    try:
        yield
    finally:
        del os.environ[_API_URL]
        refresh_global_settings_context()


@contextmanager
def _all_delivered() -> Iterator[None]:
    """Let what a process has to tell its server arrive before the server ends.

    Prefect sends events (task runs are told by these alone) and log lines from queues that a
    process keeps, each bound to the server that it began with. Left behind, such a queue tries a
    server that is gone for a minute an event, and swallows those for the next server.
    """
    try:
        yield
    finally:
        # The queues of all kinds, not of events alone.
        EventsWorker.drain_all(timeout=_DELIVERY_TIMEOUT_S, at_exit=False)


def wait_for_configured(url: str, patience_s: float = _PATIENCE_S) -> None:
    """Wait until the configured server answers, and say once that it is waited for.

    Args:
        url: what `PREFECT_API_URL` is.
        patience_s: how long it is waited for; a server that starts anew takes half a minute.

    Raises:
        UnreachableError: it has not answered.
    """
    end, waited_for = time.monotonic() + patience_s, False
    while (problem := _problem_of_configured()) is not None:
        if time.monotonic() >= end:
            raise UnreachableError(
                f"Prefect's server at PREFECT_API_URL={url} does not answer ({problem}); start "
                "that server, or unset the variable to use one of this command's own"
            )
        if not waited_for:
            complain(f"waiting for Prefect's server at PREFECT_API_URL={url}")
            waited_for = True
        time.sleep(_PAUSE_S)


def _problem_of_configured() -> str | None:
    """Return what keeps the configured server from answering; None if it does."""
    # Prefect's own client, since a server may ask for a password or have a certificate of its own.
    with get_client(sync_client=True) as client:
        problem = client.api_healthcheck()
    return None if problem is None else " ".join(str(problem).split()) or type(problem).__name__


def _wait_for(url: str, server: SpawnProcess) -> None:
    began_s, is_said = time.monotonic(), False
    while server.is_alive():
        waited_s = time.monotonic() - began_s
        if waited_s > _START_TIMEOUT_S:
            raise OutputError(_LATE)
        if waited_s > _SAID_AFTER_S and not is_said:
            complain("waiting for Prefect's server to start; the first time takes longest")
            is_said = True
        try:
            if httpx.get(f"{url}/health", timeout=5).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise OutputError(_NO_START)


def server_settings(role: ServerRole) -> dict[Setting, Any]:
    """Return what is set for a server of this process' own."""
    return _ALWAYS if role is ServerRole.SCHEDULES else {**_ALWAYS, **_WITHOUT_SCHEDULES}


def _serve(listener: socket.socket, role: ServerRole) -> None:
    # Ctrl-C reaches all processes of a terminal; who annotates still needs the server to finish.
    os.setsid()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    say_nothing()
    with temporary_settings(server_settings(role)):
        config = uvicorn.Config(
            "prefect.server.api.server:create_app", factory=True, log_level="error"
        )
        uvicorn.Server(config).run(sockets=[listener])


def say_nothing() -> None:
    """Let nothing of this process reach the terminal, unless the user wants to see it all.

    What goes wrong in a server and counts, its clients say. Of the rest there are thousands of
    lines, from loggers that each library sets up anew.
    """
    if debugging():
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for output in (1, 2):
        os.dup2(nowhere, output)


def _end_with_parent() -> None:
    """End this process once the one that started it is gone, however that ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(0)
