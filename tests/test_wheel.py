"""The built wheel holds all that the command needs, away from the repository."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
PACKAGES = ("pipeline", "overseer", "tracking", "flows", "samples")
CONTENT = (*PACKAGES, "pyproject.toml", "README.md", "LICENSE")
USE_WHAT_SHIPS = """
import pathlib, sys, torch
import flows.cli
from flows.models import open_overseer, open_tracker
from tracking.adapted_weights import load_first_mask_network

assert pathlib.Path(flows.cli.__file__).is_relative_to(sys.argv[1])
open_overseer("scopeline", torch.device("cpu"))
open_tracker("scopeline", torch.device("cpu"))
assert load_first_mask_network("scopeline") is not None
"""


def test_what_the_wheel_installs_runs_by_itself(tmp_path):
    source, place = tmp_path / "source", tmp_path / "site"
    source.mkdir()
    for name in CONTENT:
        copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy
        copy(REPOSITORY / name, source / name)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    # What the wheel depends on is in this environment; the network is not needed.
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(place)]
    subprocess.run([*pip, "install", *options, str(source)], check=True)
    command = [sys.executable, "-c", USE_WHAT_SHIPS, str(place)]
    environment = os.environ | {"PYTHONPATH": str(place)}
    subprocess.run(command, check=True, cwd=tmp_path, env=environment)
    assert (place / "bin" / "scopeline").is_file()
    # Without it mypy takes all that a script imports from there for untyped.
    assert all((place / package / "py.typed").is_file() for package in PACKAGES)
