"""Commands that are stopped from outside."""

import subprocess
import sys


def test_an_interrupted_command_says_so(scopeline, scene, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.frames.open_video", interrupted)
    code, _, err = scopeline("info", scene / "video.mp4")
    assert code == 1
    assert "stopped; what was committed stays" in err


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
    assert "stopped; what was committed stays" in ended.stderr
    assert not list(tmp_path.iterdir())
