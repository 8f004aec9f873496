"""What this user must not look at gets one sentence that names it, and stops nothing else."""

import pytest

from flows import annotation_loops
from pipeline.annotation_set import AnnotationSet
from tests.conftest import rectangle
from tests.hand_made import SeesTheSame
from tests.small_data import close_to_this_user

TOGETHER = ("--together", 2)


@pytest.fixture
def closed(tmp_path, monkeypatch):
    monkeypatch.setattr(
        annotation_loops,
        "open_models",
        lambda settings: (SeesTheSame(rectangle(4, 4, 30, 30, size=(64, 96))), None),
    )
    folder = tmp_path / "closed"
    folder.mkdir()
    close_to_this_user(monkeypatch, folder)
    return folder


@pytest.mark.parametrize("options", [(), TOGETHER])
def test_a_closed_video_does_not_stop_the_others(scopeline, closed, small_video, tmp_path, options):
    out = tmp_path / "out"
    videos = (closed / "op.mp4", small_video)
    code, _, err = scopeline("annotate", *videos, "--out", out, "--policy", "framewise", *options)
    assert code == 1
    assert f"{closed / 'op.mp4'} cannot be read (Permission denied); let this user" in err
    assert "--debug" not in err
    assert AnnotationSet(out / "small.annset").is_complete


@pytest.mark.parametrize("options", [(), TOGETHER])
def test_closed_prompts_are_named(scopeline, closed, small_video, tmp_path, options):
    given = ("--policy", "given", "--prompts", closed / "masks", *options)
    code, _, err = scopeline("annotate", small_video, "--out", tmp_path / "out", *given)
    assert code == 1
    assert str(closed / "masks") in err
    assert "cannot be used (Permission denied); check its rights" in err


def test_nothing_is_told_of_a_closed_video(scopeline, closed):
    code, _, err = scopeline("info", closed / "op.mp4")
    assert code == 1
    assert str(closed / "op.mp4") in err
    assert "cannot be used (Permission denied); check its rights" in err
