"""Every command of the README and of docs/ runs, on small inputs with the README's names."""

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from flows import cli
from flows.archive.entry import EntryState
from flows.compare import LEFT_OUT
from overseer.networks import build_network
from overseer.published import PUBLISHED
from pipeline.annotation_set import AnnotationSet
from pipeline.labels import LabelSet
from pipeline.masks import decode_mask
from pipeline.policies.constellation.settings import ConstellationSettings
from samples.theatre.render import render
from tracking.official_checkpoints import CHECKPOINTS

REPOSITORY = Path(__file__).parents[1]
PAGES = (REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md")))
# Real training takes hours; the options are appended and the last one counts.
SHORTER = ["--steps", "1", "--clips", "1", "--validation-clips", "1"]
FEWER = ["--label-budget", "2,4"]


def blocks(language):
    return [
        block
        for page in PAGES
        for block in re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)
    ]


def commands(name):
    lines = [line.split("#")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith(f"{name} ")]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with everything that the README's commands name."""
    folder = tmp_path_factory.mktemp("readme")
    render(seed=31, frame_count=8, width=160, height=96, folder=folder / "drawn")
    (folder / "drawn" / "video.mp4").rename(folder / "operation.mp4")
    (folder / "recordings").mkdir()
    shutil.copy(folder / "operation.mp4", folder / "recordings")
    (folder / "frames").mkdir()
    (folder / "masks").mkdir()
    for index, frame in enumerate(AnnotationSet(folder / "drawn" / "truth.annset").frames()):
        mask = decode_mask(frame.tracks[0].rle)
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / "masks" / f"{index}.png")
        picture = np.full((96, 160, 3), 20 * index, np.uint8)
        cv2.imwrite(str(folder / "frames" / f"{index}.jpg"), picture)
    (folder / "my-frames" / "images").mkdir(parents=True)
    cv2.imwrite(str(folder / "my-frames" / "images" / "0.png"), picture)
    shutil.copytree(folder / "masks", folder / "my-frames" / "masks")
    for number in range(2):
        video = folder / "my-videos" / f"operation-{number}"
        (video / "images").mkdir(parents=True)
        shutil.copytree(folder / "masks", video / "masks")
        for index in range(8):
            cv2.imwrite(str(video / "images" / f"{index}.png"), picture - 50 * number - index)
    labels = {"classes": [{"id": 1, "name": "Instrument", "value": 255}]}
    (folder / "labels.json").write_text(json.dumps(labels))
    published = PUBLISHED["sasvi/cadis"]
    network = build_network(published.config, len(published.label_set.foreground))
    torch.save(network.state_dict(), folder / "cadis.pth")
    (folder / "weights").mkdir()
    (folder / "weights" / "sam2.1_hiera_tiny.pt").touch()
    return folder


def in_order():
    """Training first: a command above it uses the trained models."""
    found = [command for command in commands("scopeline") if command[1] != "serve"]
    return sorted(found, key=lambda command: command[1] != "train")


@pytest.mark.parametrize("command", in_order(), ids=" ".join)
def test_command_runs(workplace, monkeypatch, command):
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("SCOPELINE_WEIGHTS", str(workplace / "weights"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(workplace / "cache"))
    # Pulled before: the real one is too large to be fetched here.
    name = "sam2.1_hiera_tiny"
    pulled = replace(CHECKPOINTS[name], size_bytes=0, sha256=hashlib.sha256().hexdigest())
    monkeypatch.setitem(CHECKPOINTS, name, pulled)
    shorter = SHORTER if command[1] == "train" else []
    fewer = FEWER if "--label-budget" in command else []
    monkeypatch.setattr(sys, "argv", [*command, *shorter, *fewer])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0


def test_the_schedule_runs_until_it_is_stopped(workplace, tmp_path):
    (command,) = [command for command in commands("scopeline") if command[1] == "serve"]
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", *command[1:]],
        cwd=workplace,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PREFECT_HOME": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    # On a slow machine it is said before that the server is waited for.
    assert any("looking at recordings" in line for line in iter(process.stderr.readline, ""))
    process.terminate()
    assert process.wait(120) == 0


def test_the_python_examples_run(workplace, monkeypatch, capsys):
    monkeypatch.chdir(workplace)
    annotated = workplace / "annotations" / "operation.annset"
    if not annotated.exists():
        shutil.copytree(workplace / "drawn" / "truth.annset", annotated)
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), {})
    assert AnnotationSet(workplace / "sets" / "operation.annset").manifest.counts.frames == 4


def test_the_label_file_is_one():
    for block in blocks("json"):
        assert LabelSet.from_json(json.loads(block), "README.md").foreground


def test_make_has_the_targets():
    makefile = (REPOSITORY / "Makefile").read_text()
    for command in commands("make"):
        assert re.search(rf"^{command[1]}:", makefile, re.MULTILINE), command


def test_the_rules_are_explained_with_their_thresholds():
    explained = (REPOSITORY / "docs" / "constellation.md").read_text()
    for rule in LEFT_OUT:
        assert f"| `{rule}` |" in explained, rule
    settings = ConstellationSettings()
    thresholds = re.findall(r"`([a-z]+_[a-z_]+)` ([\d.]+)", explained)
    assert thresholds
    for name, value in thresholds:
        assert getattr(settings, name) == float(value), name


def anchors(page):
    """What a heading is called in a link: in lower case, hyphens for blanks, no punctuation."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!http)([^)]+)\)", page.read_text()):
        name, _, anchor = target.partition("#")
        linked = page.parent / name if name else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


def test_explanations_name_modules_and_states_that_exist():
    for explained in (REPOSITORY / "docs").glob("*.md"):
        for name in re.findall(r"`((?:[a-z_]+/)*[a-z_0-9]+\.py)`", explained.read_text()):
            there = (REPOSITORY / name).exists() or any(REPOSITORY.glob(f"[a-z]*/**/{name}"))
            assert there, f"{explained.name}: {name}"
    changes = re.findall(
        r"^\| ([a-z ]+) \| ([a-z ]+) \| ",
        (REPOSITORY / "docs/archive.md").read_text(),
        re.MULTILINE,
    )
    assert {state.value for state in EntryState} <= {state for pair in changes for state in pair}
