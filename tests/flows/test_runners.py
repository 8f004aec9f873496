"""Clusters: the sets that their workers write are those of one process, to the bit."""

import json
import os
import subprocess
import sys

import pytest

from flows.runners import task_runner
from pipeline.annotation_set import AnnotationSet
from pipeline.errors import UsageError
from samples.theatre.render import render

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    for seed in (1, 2):
        scene = tmp_path_factory.mktemp("scene")
        render(seed=seed, frame_count=6, width=160, height=96, folder=scene)
        (scene / "video.mp4").rename(folder / f"op{seed}.mp4")
    return folder


@pytest.fixture(scope="module")
def by_one_process(recordings, tmp_path_factory):
    out = tmp_path_factory.mktemp("alone")
    run(out, "annotate", *recordings.iterdir(), "--out", out)
    return out


def run(home, *arguments):
    environment = {**os.environ, "PREFECT_HOME": str(home / "prefect"), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [sys.executable, "-m", "flows.cli", *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("runner", ["dask", "ray"])
def test_a_cluster_writes_the_sets_of_one_process(tmp_path, recordings, by_one_process, runner):
    pytest.importorskip(f"prefect_{runner}", reason=f"scopeline[{runner}] is not installed")
    out = tmp_path / "out"
    options = ("--workers", 2, "--runner", runner, "--json")
    summary = json.loads(run(tmp_path, "archive", recordings, "--out", out, *options))
    assert sorted(summary["done"]) == ["op1", "op2"]
    for name in ("op1.annset", "op2.annset"):
        frames = list(AnnotationSet(out / name).frames())
        assert any(frame.tracks for frame in frames)
        assert frames == list(AnnotationSet(by_one_process / name).frames())


@pytest.mark.parametrize("runner", ["dask", "ray"])
def test_a_runner_that_is_not_installed_is_named(monkeypatch, runner):
    monkeypatch.setitem(sys.modules, f"prefect_{runner}", None)
    monkeypatch.setitem(sys.modules, f"prefect_{runner}.task_runners", None)
    with pytest.raises(UsageError, match=rf"scopeline\[{runner}\]"):
        task_runner(runner, 2)
