"""The card of a trained model: its command makes the same training again, its figures are read."""

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

import flows.training.train
from flows.training.job import run_folder
from flows.training.model_card import model_card
from overseer.model_folders import find_overseer
from pipeline.training.loop import VALIDATION, TrainingPlan
from samples.theatre.looks import find_scenery
from tests.small_training import drawn_clips, job

__all__ = ["drawn_clips", "job"]

STOPPING = TrainingPlan(
    steps=7, learning_rate=2e-4, seed=3, precision="bfloat16", validate_every=5, patience=2
)
CHOICES = {
    "theatre": {"scenery": find_scenery(["cataract"], ["training", "heldout"], None)},
    "stopping": {"plan": STOPPING, "validation_clips": 3},
    "start": {"start_from": "my models/base", "kept_share": 0.25},
    "data": {"data": "my data", "labels": Path("what it's.json"), "layout": "coco"},
    "other data": {"data": "data", "validation_data": Path("other data")},
    "split": {"data": "data", "validation_split": 0.3, "plan": replace(STOPPING, patience=0)},
    "videos": {"data": "data", "validation_videos": "op 1,op2", "left_out_videos": "op 3; (old)"},
}


@pytest.mark.parametrize("choice", CHOICES)
def test_the_command_of_a_card_makes_the_same_training(
    job, scopeline, monkeypatch, tmp_path, choice
):
    made = []
    (tmp_path / "my models").mkdir()
    (tmp_path / "my models" / "base").symlink_to(find_overseer("scopeline"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        flows.training.train, "train_overseer_job", lambda job, **_: made.append(job)
    )
    job = replace(job, **CHOICES[choice])
    (command,) = re.findall("made by: `(.*)`", model_card("overseer", job, "", "--batch-size 2 "))
    code, _, error = scopeline(*shlex.split(command)[1:], "--out", job.out)
    assert code == 0, error
    # Nothing that is learned depends on these where nobody waits for the best weights.
    if not job.plan.patience:
        made[0] = replace(
            made[0],
            validation_clips=job.validation_clips,
            plan=replace(made[0].plan, validate_every=job.plan.validate_every),
        )
    if job.data != "theatre":
        made[0] = replace(made[0], clips=job.clips)
    assert made == [job]


def test_a_card_says_what_was_learned_and_from_where(job):
    card = model_card("overseer", job, "- more\n")
    assert card.startswith("# overseer\n\n- data: 2 clips of 24 frames of the simulated theatre")
    assert "plain family, laparoscopic, seeds from" in card
    assert "- backbone: EfficientNet-Lite0, ImageNet weights" in card
    assert "- more\n" in card
    assert "- steps: 2, peak learning rate 0.0001, seed 0, computed in float32\n" in card
    assert "started from" not in card
    assert card.endswith("- licence of the weights: Apache-2.0\n")
    job = replace(job, data="data", photographs=Path("my pictures"))
    card = model_card("overseer", job, "", backbone="resnet18")
    assert "- data: data, layout masks\n- backbone: resnet18, from random weights\n" in card
    assert "photographs" not in card
    assert card.endswith("- licence of the weights: as the data allows\n")
    card = model_card("overseer", replace(job, start_from="base"), "", backbone="resnet18")
    assert "layout masks\n- started from the weights in base\n- not measured" in card


def test_photographs_are_named_as_data_and_in_the_command(job):
    card = model_card("tracker", replace(job, photographs=Path("my pictures")), "")
    assert "; photographs from my pictures); nothing else\n" in card
    assert " --photographs 'my pictures' --clips 2 " in card


def test_a_card_has_the_figures_of_the_weights_that_are_kept(job):
    """The last ones, or the best ones where the training stopped by itself."""
    assert "not measured on other frames: no validation data was given" in model_card("o", job, "")
    run_folder(job).mkdir(parents=True)
    record = "step,map,ap50\n5,0.6,0.8\n10,0.5,0.9\n"
    (run_folder(job) / VALIDATION).write_text(record)
    measured = "on 1 clips of other seeds (from 90000), curve in training.svg: "
    assert f"{measured}MAP 0.500, AP50 0.900\n" in model_card("overseer", job, "")
    stopped = replace(job, plan=STOPPING)
    assert f"{measured}MAP 0.600, AP50 0.800\n" in model_card("overseer", stopped, "")
    for chosen, measured_on in (
        ({"validation_data": Path("other")}, "on other, curve"),
        ({"validation_split": 0.3}, "on its videos op2, op10, which it did not learn from, curve"),
        ({"validation_videos": "op1"}, "on its videos op1, which it did not learn from, curve"),
    ):
        of_data = replace(job, data="data", **chosen)
        videos = ("op10", "op2", "op2")
        assert measured_on in model_card("overseer", of_data, "", measured_videos=videos)
