"""The measurements behind the README run, on scenes cut down to a few frames."""

import numpy as np
import pytest
from PIL import Image

from flows import figures


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(figures, "SIZE", (128, 80))
    monkeypatch.setattr(figures, "PLAIN_FRAMES", 4)
    monkeypatch.setattr(figures, "HELDOUT_FRAMES", 9)
    monkeypatch.setattr(figures, "HELDOUT_SEEDS", [9101])


def in_range(scores):
    return all(value is None or 0 <= value <= 1 for value in scores.values())


def test_a_plain_scene_is_annotated_by_each_policy(tmp_path):
    measured = figures.plain_clip(9001, tmp_path)
    assert list(measured) == [
        "plain, constellation",
        "plain, sasvi",
        "plain, framewise",
        "plain, first-frame",
    ]
    assert all(in_range(scores) for scores in measured.values())


def test_a_heldout_scene_measures_each_model_and_both(tmp_path):
    measured = figures.heldout_clip(9101, tmp_path)
    assert measured["heldout, tracker from mask"]["j"] > 0.3
    assert measured["heldout, optical flow"]["j"] > 0.3
    others = ("tracker from box", "tracker from points", "held still", "constellation")
    assert measured.keys() >= {f"heldout, {name}" for name in others}
    assert all(in_range(scores) for scores in measured.values())
    (precision,) = figures.overseer_precision(tmp_path).values()
    assert precision.keys() == {"map", "ap50"}


def test_real_clips_are_scored_where_they_were_not_prompted(tmp_path, monkeypatch):
    data = tmp_path / "gae_robotic"
    (data / "images").mkdir(parents=True)
    (data / "masks").mkdir()
    for index in range(5):
        values = np.zeros((64, 96), np.uint8)
        # Only the prompted frames have a mask: whoever scored these would score well.
        values[10:40, 10:50] = 255 if index % 2 == 0 else 0
        values[50:60, 60:70] = 255 if index % 2 else 0
        Image.fromarray(values).save(data / "masks" / f"{index}.png")
        Image.fromarray(np.repeat(values[..., None], 3, -1)).save(data / "images" / f"{index}.png")
    monkeypatch.setattr(figures, "_ROBOTIC_PROMPT_EVERY", 2)
    (tmp_path / "out").mkdir()
    measured = figures.robotic_clip(tmp_path, tmp_path / "out")
    assert measured["gae_robotic, held still"]["j"] == 0


def test_means_leave_out_what_a_clip_does_not_have():
    means = figures.means(
        [{"a": {"j": 0.2, "x": None}}, {"a": {"j": 0.6, "x": 1.0}}, {"b": {"j": 1}}]
    )
    assert means == {"a": {"j": pytest.approx(0.4), "x": 1.0}, "b": {"j": 1.0}}
