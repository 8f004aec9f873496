"""Prefect servers of several processes over one fresh database."""

import os
import subprocess
import sys

import pytest

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
