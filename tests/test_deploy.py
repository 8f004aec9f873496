"""The deployment files name flows, parameters and packages that exist."""

import importlib
from pathlib import Path

import pytest
import yaml
from prefect import Flow
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.settings import Settings

ROOT = Path(__file__).resolve().parents[1]


def deployments():
    return yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]


@pytest.mark.parametrize("deployment", deployments(), ids=lambda deployment: deployment["name"])
def test_a_deployment_names_a_flow_and_its_parameters(deployment):
    path, name = deployment["entrypoint"].split(":")
    module = importlib.import_module(Path(path).with_suffix("").as_posix().replace("/", "."))
    flow = getattr(module, name)
    assert isinstance(flow, Flow)
    assert set(deployment["parameters"]) <= set(flow.parameters.properties)
    required = set(flow.parameters.required) - set(deployment["parameters"])
    # What is missing is asked for when the run is started, so nothing scheduled may miss any.
    assert not (required and deployment.get("schedules"))


def test_a_scheduled_run_is_alone_and_a_worker_takes_one_run_at_a_time():
    limits = [d.get("concurrency_limit") for d in deployments() if d.get("schedules")]
    assert limits
    for limit in limits:
        assert ConcurrencyLimitConfig(**limit).limit == 1
    command = (ROOT / "deploy" / "Dockerfile").read_text().splitlines()[-1]
    assert '"--limit", "1"' in command


def test_the_worker_image_holds_all_packages_that_are_imported():
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    copied = {line.split()[1] for line in text.splitlines() if line.startswith("COPY")}
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages <= copied
    assert (ROOT / "deploy" / "Dockerfile").name in (ROOT / "deploy" / "compose.yaml").read_text()


def test_the_server_listens_on_loopback_alone():
    services = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert "ports" not in services["database"]


def test_the_server_drops_its_records_of_old_runs(monkeypatch):
    services = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
    for name, value in services["server"]["environment"].items():
        monkeypatch.setenv(name, value)
    # Read as the server reads them, so that a name that Prefect does not know fails.
    assert "flow_runs" in Settings().server.services.db_vacuum.enabled_vacuum_types
