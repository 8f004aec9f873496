"""Prefect servers of several processes over one fresh database."""

import os
import subprocess
import sys
from types import SimpleNamespace

import httpx
import pytest
from prefect.server.services.perpetual_services import get_enabled_perpetual_services
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

from flows import prefect_server
from flows.prefect_server import ServerRole, prefect_api, server_settings, wait_for_configured
from pipeline.errors import OutputError, UnreachableError

STARTED_SERVER = """
import httpx
from flows.prefect_server import prefect_api
from prefect.settings import PREFECT_API_URL

if __name__ == "__main__":
    with prefect_api():
        print(httpx.get(f"{PREFECT_API_URL.value()}/health").json())
"""

TWO_SERVERS = """
import time
from flows.prefect_server import prefect_api
from prefect import flow, get_client, task

@task
def counted():
    return 1

@flow
def counting():
    return counted()

def finished_task_runs():
    with get_client(sync_client=True) as client:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            runs = client.read_task_runs()
            if runs and all(run.state and run.state.is_final() for run in runs):
                break
            time.sleep(0.2)
    return len(runs)

if __name__ == "__main__":
    for _ in range(2):
        with prefect_api():
            counting()
            print(finished_task_runs())
"""


@pytest.mark.timeout(600)
def test_processes_that_start_at_once_share_a_fresh_prefect_home(tmp_path):
    script = tmp_path / "started_server.py"
    script.write_text(STARTED_SERVER)
    environment = {**os.environ, "PREFECT_HOME": str(tmp_path / "home")}
    environment = {name: value for name, value in environment.items() if name != "PREFECT_API_URL"}
    processes = [
        subprocess.Popen(
            [sys.executable, script], env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    said = [process.communicate()[0].strip() for process in processes]
    assert said == ["True"] * 3
    assert [process.returncode for process in processes] == [0] * 3


@pytest.mark.timeout(600)
def test_each_server_of_a_process_hears_of_its_task_runs(tmp_path):
    """Prefect's queues stay with the server that they began with, also when that is gone."""
    script = tmp_path / "two_servers.py"
    script.write_text(TWO_SERVERS)
    environment = {**os.environ, "PREFECT_HOME": str(tmp_path / "home")}
    environment.pop("PREFECT_API_URL", None)
    ran = subprocess.run(
        [sys.executable, script], check=False, env=environment, stdout=subprocess.PIPE
    )
    # Both servers share one database, and the second run adds to the first.
    assert ran.stdout.split() == [b"1", b"2"]
    assert ran.returncode == 0


def planning(role):
    """The services of Prefect that plan runs and watch them, of those that a server starts."""
    with temporary_settings(server_settings(role)):
        started = {each.function.__name__ for each in get_enabled_perpetual_services()}
    return started & {"schedule_deployments", "schedule_recent_deployments", "monitor_late_runs"}


def test_a_server_that_is_only_reported_to_leaves_the_schedules_of_others_alone():
    import prefect.server.services.late_runs
    import prefect.server.services.scheduler  # noqa: F401

    assert planning(ServerRole.LISTENS) == set()
    assert len(planning(ServerRole.SCHEDULES)) == 3


@pytest.mark.parametrize(("debug", "said"), [("", b""), ("1", b"locked\n" * 2)])
def test_a_server_speaks_to_who_debugs(debug, said):
    code = (
        "import logging, os; from flows.prefect_server import say_nothing; say_nothing(); "
        "logging.getLogger('any').error('locked'); os.write(1, b'locked\\n')"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "SCOPELINE_DEBUG": debug},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=True,
    )
    assert [line.split()[-1] for line in ran.stdout.splitlines()] == said.split()


# A port to which nothing is bound without being asked for.
NOBODY = "http://127.0.0.1:9/api"


def test_a_configured_server_that_is_away_is_named_with_what_to_do():
    with (
        temporary_settings({PREFECT_API_URL: NOBODY}),
        pytest.raises(UnreachableError, match=f"PREFECT_API_URL={NOBODY} does not .* unset the"),
    ):
        wait_for_configured(NOBODY, patience_s=0)


def test_a_configured_server_is_waited_for_but_by_schedules_which_do_so_themselves(
    monkeypatch, capsys
):
    answers = ["refused", "refused", None]
    monkeypatch.setattr(prefect_server, "_problem_of_configured", lambda: answers.pop(0))
    monkeypatch.setattr(prefect_server.time, "sleep", lambda seconds: None)
    with temporary_settings({PREFECT_API_URL: NOBODY}):
        with prefect_api(ServerRole.SCHEDULES):
            assert len(answers) == 3
        with prefect_api():
            assert answers == []
    assert capsys.readouterr().err.count("waiting for Prefect's server") == 1


def test_a_user_without_a_home_is_told_what_to_set(tmp_path):
    (tmp_path / "home").write_text("no folder")
    with (
        temporary_settings({PREFECT_HOME: tmp_path / "home" / ".prefect", PREFECT_API_URL: None}),
        pytest.raises(OutputError, match=r"\.prefect, where .* cannot be written .*PREFECT_HOME"),
        prefect_api(),
    ):
        pass


@pytest.mark.parametrize("chosen", [None, "45"])
def test_a_flow_that_starts_its_own_server_waits_until_it_is_up(chosen):
    """Twenty seconds, as Prefect waits, are too short for a fresh database beside other work."""
    name = "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"
    environment = {key: value for key, value in os.environ.items() if key != name}
    script = (
        "import flows.annotate_video; from prefect.settings import get_current_settings; "
        "print(get_current_settings().server.ephemeral.startup_timeout_seconds)"
    )
    told = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=environment | ({} if chosen is None else {name: chosen}),
    )
    assert told.stdout.split() == [chosen or "120"]


class StartingServer:
    """A server's process that answers, or dies, after so many seconds of a clock of its own."""

    def __init__(self, monkeypatch, answers_after_s=float("inf"), dies_after_s=float("inf")):
        self.now_s = 0.0
        self.answers_after_s, self.dies_after_s = answers_after_s, dies_after_s
        clock = SimpleNamespace(monotonic=lambda: self.now_s, sleep=lambda _: None)
        monkeypatch.setattr(prefect_server, "time", clock)
        monkeypatch.setattr(prefect_server.httpx, "get", self.get)

    def is_alive(self):
        return self.now_s < self.dies_after_s

    def get(self, *_, **__):
        self.now_s += 5
        if self.now_s < self.answers_after_s:
            raise httpx.ConnectError("nobody listens")
        return httpx.Response(200)


@pytest.mark.parametrize(("seconds", "lines"), [(5, 0), (300, 1)])
def test_a_server_that_starts_slowly_is_waited_for_which_is_said(
    monkeypatch, capsys, seconds, lines
):
    server = StartingServer(monkeypatch, answers_after_s=seconds)
    prefect_server._wait_for("http://127.0.0.1:1/api", server)
    assert capsys.readouterr().err.count("waiting for Prefect's server to start") == lines


def test_a_server_that_is_late_is_told_from_one_that_has_died(monkeypatch):
    with pytest.raises(OutputError, match="has not started within ten minutes"):
        prefect_server._wait_for("http://127.0.0.1:1/api", StartingServer(monkeypatch))
    dead = StartingServer(monkeypatch, dies_after_s=20)
    with pytest.raises(OutputError, match="does not start on this machine"):
        prefect_server._wait_for("http://127.0.0.1:1/api", dead)
