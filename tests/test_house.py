"""The house: imports only go down, and every package is in the wheel."""

import ast
import tomllib
from pathlib import Path

import pytest
from sam2.modeling.memory_attention import MemoryAttentionLayer
from sam2.modeling.sam.transformer import Attention
from sam2.modeling.sam2_base import SAM2Base

REPOSITORY = Path(__file__).parents[1]
FORBIDDEN = {
    "pipeline": {"overseer", "tracking", "flows", "samples"},
    "overseer": {"tracking", "flows", "samples"},
    "tracking": {"overseer", "flows", "samples"},
    "samples": {"overseer", "tracking", "flows"},
    "flows": set(),
}


def imported_packages(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_only_go_down(package):
    for path in (REPOSITORY / package).rglob("*.py"):
        upward = FORBIDDEN[package] & set(imported_packages(path))
        assert not upward, f"{path} imports {upward}"


def test_what_sam2_does_not_promise_is_called_in_one_module():
    private = {
        name
        for part in (SAM2Base, MemoryAttentionLayer, Attention)
        for name in vars(part)
        if name.startswith("_") and not name.startswith("__")
    }
    callers = {
        path.name
        for path in (REPOSITORY / "tracking").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in private
    }
    assert callers == {"sam2_internals.py", "drawn_prompts.py"}


def test_the_wheel_holds_every_package():
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    listed = set(settings["tool"]["setuptools"]["packages"])
    found = {
        ".".join(path.parent.relative_to(REPOSITORY).parts)
        for package in FORBIDDEN
        for path in (REPOSITORY / package).rglob("__init__.py")
    }
    assert listed == found


@pytest.mark.parametrize(
    "folder",
    [
        "overseer/models/scopeline",
        "tracking/models/scopeline",
        "tracking/models/scopeline/first-mask",
    ],
)
def test_the_models_that_ship_are_complete(folder):
    names = {path.name for path in (REPOSITORY / folder).iterdir() if path.is_file()}
    assert names == {"README.md", "model.json", "training.svg", "weights.safetensors"}
    assert "Apache-2.0" in (REPOSITORY / folder / "README.md").read_text()


def test_the_models_that_ship_are_small():
    files = [
        path
        for package in ("overseer", "tracking")
        for path in (REPOSITORY / package / "models").rglob("weights.safetensors")
    ]
    assert len(files) == 3
    assert sum(path.stat().st_size for path in files) < 40e6
