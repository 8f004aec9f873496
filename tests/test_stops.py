"""Commands that are stopped from outside."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("command", "place", "said"),
    [
        (["info"], "pipeline.frames.open_video", "the same command begins anew"),
        (
            ["annotate"],
            "flows.video_job.annotate_job",
            "what was committed stays, the same command goes on from it",
        ),
        (
            ["annotate", "--no-resume"],
            "flows.video_job.annotate_job",
            "the same command begins anew",
        ),
        (
            ["annotate", "--corrections=corrections.annset"],
            "flows.correct_video.correct_job",
            "the same command begins anew",
        ),
    ],
)
def test_an_interrupted_command_says_what_the_same_one_will_do(
    scopeline, scene, tmp_path, monkeypatch, command, place, said
):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(place, interrupted)
    out = ["--out", tmp_path] if command[0] == "annotate" else []
    code, _, err = scopeline(*command, scene / "video.mp4", *out)
    assert code == 1
    assert err.endswith(f"scopeline: stopped; {said}\n")


def test_sigterm_ends_a_command_as_ctrl_c_does(scene, tmp_path):
    program = (
        "import os, signal; from pathlib import Path; from flows import cli\n"
        "def stopped_while_it_writes(path, *_):\n"
        "    path.touch()\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "Path.write_text = stopped_while_it_writes\n"
        "cli.main()"
    )
    command = [sys.executable, "-c", program, "report", scene / "truth.annset"]
    ended = subprocess.run(
        [*map(str, command), "--out", str(tmp_path / "report.html")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert "stopped; the same command begins anew" in ended.stderr
    assert not list(tmp_path.iterdir())
