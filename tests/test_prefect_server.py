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
        for _ in range(6)
    ]
    said = [process.communicate()[0].strip() for process in processes]
    assert said == ["True"] * 6
    assert [process.returncode for process in processes] == [0] * 6
