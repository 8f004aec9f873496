"""Where there is no terminal to draw bars on, lines say now and then how far work is."""

import pytest

from flows import frame_progress
from flows.frame_progress import spoken_progress


def test_a_line_each_minute_says_how_far_and_how_fast(capsys):
    times = iter([0.0, 10.0, 50.0, 70.0, 100.0, 130.0])
    note = spoken_progress("op.mp4", clock=lambda: next(times))
    # An earlier run has left 100 frames.
    for done in (101, 201, 221, 300, 341):
        note(done, 9000)
    assert capsys.readouterr().err.splitlines() == [
        "op.mp4: 221 of 9000 frames, 2.0 frames/s",
        "op.mp4: 341 of 9000 frames, 2.0 frames/s",
    ]


@pytest.fixture
def talkative(monkeypatch):
    monkeypatch.setattr(frame_progress, "SAID_EVERY_S", 0.0)


def test_comparing_says_how_far_each_policy_is(scopeline, scene, talkative):
    code, _, err = scopeline(
        "compare", scene / "video.mp4", "--truth", scene / "truth.annset",
        "--policies", "first-frame,framewise", "--max-frames", 4,
    )  # fmt: skip
    assert code == 0, err
    for title in ("first-frame", "framewise", "measuring steadiness"):
        assert f"{title}: 4 of 4 frames" in err


@pytest.mark.parametrize("options", [("davis",), ("csv", "--every", 3), ("mp4", "--every", 3)])
def test_an_export_says_how_far_it_is(scopeline, scene, tmp_path, talkative, options):
    source = scene / "truth.annset"
    code, _, err = scopeline("export", source, "--out", tmp_path / "out", "--format", *options)
    assert code == 0, err
    assert "truth.annset: 16 of 16 frames" in err


def test_judging_says_how_far_it_is(scopeline, scene, talkative):
    source = scene / "truth.annset"
    code, _, err = scopeline("evaluate", source, "--truth", source)
    assert code == 0, err
    assert "truth.annset: 16 of 16 frames" in err
