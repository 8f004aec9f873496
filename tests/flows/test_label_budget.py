"""What labels are worth: real trainings on parts of a data set, and the curve."""

import csv
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from shutil import rmtree

import numpy as np
import pytest
from PIL import Image
from rich.progress import Progress

from flows.settings import AnnotateSettings
from flows.training.clock import seconds_of_training
from flows.training.label_budget import (
    _fine_tune,
    _measured_videos,
    measure_label_budgets,
    parse_budgets,
)
from flows.training.material import Material, NamedClips, step_reporter
from flows.training.model_card import model_card
from pipeline.annotation_set import AnnotationSet
from pipeline.errors import InputError, UsageError
from pipeline.labelled_clip import LabelledClip
from pipeline.labels import INSTRUMENTS
from tests.pipeline.test_training import assert_is_a_drawing
from tests.small_training import TINY, data_job, drawn_clips, job, write_data_set
from tracking.adapters import default_adaptation

__all__ = ["data_job", "drawn_clips", "job"]

TOOL = {"name": "tools", "classes": [{"id": 1, "name": "Tool", "kind": "thing", "value": 255}]}


@pytest.fixture
def data(tmp_path):
    """Six frames of a bright tool that moves over noise."""
    folder = tmp_path / "data"
    noise = np.random.default_rng(0).integers(0, 60, (64, 96, 3), np.uint8)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number in range(6):
        values = np.zeros((64, 96), np.uint8)
        values[10:40, 8 + 6 * number : 40 + 6 * number] = 255
        picture = np.maximum(noise, values[..., None])
        Image.fromarray(picture).save(folder / f"images/{number}.png")
        Image.fromarray(values).save(folder / f"masks/{number}.png")
    (tmp_path / "labels.json").write_text(json.dumps(TOOL))
    return folder


def train(scopeline, data, budgets, *more):
    return scopeline(
        *("train", "overseer", "--data", data, "--labels", data.parent / "labels.json"),
        *("--steps", 2, "--batch-size", 1, "--label-budget", budgets),
        *("--out", data.parent / "curve", *more),
    )


@pytest.mark.timeout(300)
def test_the_curve_of_a_data_set(data, scopeline):
    code, _, err = train(scopeline, data, "2,4", "--start-from", "scopeline")
    assert code == 0, err
    out = data.parent / "curve"
    with (out / "label-budget.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["labels"] for row in rows] == ["2", "4"]
    for row in rows:
        assert 0 <= float(row["annotated"]) <= 1
        assert 0 <= float(row["overseer_alone"]) <= 1
        assert float(row["training_seconds"]) > 0
    assert_is_a_drawing(out / "label-budget.svg")
    assert "learned from 2 frames" in (out / "labels-0002/README.md").read_text()
    assert (out / "labels-0004/weights.safetensors").exists()
    # Of the six frames those that no training has seen are measured, in the whole video.
    assert len(list((out / "videos").glob("*/*.png"))) == 6
    assert "annotated video" in err


@pytest.mark.timeout(300)
def test_pictures_of_several_sizes_are_measured_as_videos_of_one_size_each(data, scopeline):
    for name in ("images", "masks"):
        path = data / name / "5.png"
        with Image.open(path) as picture:
            picture.resize((120, 80), Image.Resampling.NEAREST).save(path)
    code, _, err = train(scopeline, data, "2", "--start-from", "scopeline")
    assert code == 0, err
    sizes = []
    for folder in sorted((data.parent / "curve" / "videos").iterdir()):
        sizes.append({Image.open(path).size for path in folder.glob("*.png")})
    assert [len(of_video) for of_video in sizes] == [1] * len(sizes)


def test_a_video_without_any_object_does_not_count_as_one_in_which_all_were_missed(tmp_path):
    masks = [np.zeros((1, 8, 8), np.uint8), np.ones((1, 8, 8), np.uint8)]
    clips = [
        LabelledClip(
            images=np.zeros((1, 8, 8, 3), np.uint8),
            track_maps=mask,
            class_of_track={1: 1} if mask.any() else {},
        )
        for mask in masks
    ]
    measured = NamedClips(clips=clips, videos=["empty", "op"], names=["a", "b"])
    material = Material(label_set=INSTRUMENTS, training=NamedClips(), validation=measured)
    (video,) = _measured_videos(material, set(), tmp_path)
    assert video.folder == tmp_path / "op"


@pytest.mark.timeout(300)
def test_the_tracker_learns_from_the_same_frames(data, scopeline, monkeypatch):
    monkeypatch.setattr("flows.training.label_budget._TRACKER_STEPS", 2)
    code, _, err = train(scopeline, data, "3", "--start-from", "scopeline", "--adapt", "lora")
    assert code == 0, err
    assert "fine-tuning the tracker on the same frames, 2 steps" in err
    tracker = data.parent / "curve/labels-0003/tracker"
    assert "fine-tuned from scopeline" in (tracker / "README.md").read_text()
    models = AnnotationSet(
        data.parent / "curve/labels-0003/constellation/data.annset"
    ).manifest.models
    assert models["tracker"]["name"] == str(tracker)


def test_of_the_tracker_no_share_is_kept(data_job, monkeypatch):
    """The share of the overseer's start is the overseer's; the tracker's card must not claim it."""
    learned = []
    monkeypatch.setattr(
        "flows.training.label_budget.learn_tracker", lambda job, *_: learned.append(job)
    )
    material = Material(label_set=INSTRUMENTS, training=NamedClips(), validation=NamedClips())
    job = replace(data_job, start_from="scopeline", kept_share=0.5)
    out = data_job.out / "tracker"
    _fine_tune(job, out, material, AnnotateSettings(), default_adaptation("lora"))
    assert "--keep-start" not in model_card("tracker", learned[0], "")


def learned(job, *_):
    """Stand for a training of one step."""
    step_reporter(job, Progress(disable=True))(0, {"loss": 1.0})


def test_the_seconds_of_a_budget_are_those_of_all_its_runs(data_job, monkeypatch):
    monkeypatch.setattr("flows.training.label_budget.learn_overseer", learned)
    monkeypatch.setattr("flows.training.label_budget._score", lambda *_: 0.5)
    moments = iter([0.0, 40.0, 100.0, 105.0])
    monkeypatch.setattr("flows.training.clock.monotonic", lambda: next(moments))
    seconds = []
    for _ in range(2):
        (point,) = measure_label_budgets(
            data_job, [2], config=TINY, batch_size=1, settings=AnnotateSettings()
        )
        seconds.append(point.training_seconds)
    assert seconds == [40, 45]
    monkeypatch.setattr("flows.training.label_budget.learn_overseer", lambda *_: None)
    (point,) = measure_label_budgets(
        data_job, [2], config=TINY, batch_size=1, settings=AnnotateSettings()
    )
    assert point.training_seconds == 45
    (data_job.out / "labels-0002/.training/seconds.txt").write_text("much")
    with pytest.raises(InputError, match=r"seconds.txt is damaged .*; remove it to count anew"):
        seconds_of_training(data_job.out / "labels-0002/.training")


def test_a_budget_does_not_go_on_with_other_frames(data_job, monkeypatch):
    """Where the whole's folder is removed, as is said, each budget has its own still."""
    monkeypatch.setattr("flows.training.label_budget.learn_overseer", lambda *_: None)
    monkeypatch.setattr("flows.training.label_budget._score", lambda *_: 0.5)
    measure = partial(measure_label_budgets, config=TINY, batch_size=1, settings=AnnotateSettings())
    measure(data_job, [2])
    measure(data_job, [2])
    write_data_set(Path(data_job.data), 3, brightness=50)
    with pytest.raises(UsageError, match=r"remove .*model/\.training to begin anew"):
        measure(data_job, [2])
    rmtree(data_job.out / ".training")
    with pytest.raises(UsageError, match=r"remove .*model/labels-0002/\.training to begin anew"):
        measure(data_job, [2])


def test_pseudo_labels_give_no_frame_that_budgets_are_measured_on(data_job, monkeypatch):
    """Which are others of the same video, where no videos to measure on are given."""
    withheld = []
    monkeypatch.setattr(
        "flows.training.label_budget.learn_overseer",
        lambda job, material, *_: withheld.append(material.withheld_videos),
    )
    monkeypatch.setattr("flows.training.label_budget._score", lambda *_: 0.5)
    measure_label_budgets(data_job, [1, 2], config=TINY, batch_size=1, settings=AnnotateSettings())
    assert withheld == [{"data"}, {"data"}]


def test_half_written_files_of_killed_processes_go_with_the_next_run(data_job, monkeypatch):
    monkeypatch.setattr("flows.training.label_budget.learn_overseer", lambda *_: None)
    monkeypatch.setattr("flows.training.label_budget._score", lambda *_: 0.5)
    (data_job.out / ".training").mkdir(parents=True)
    drafts = (
        ".label-budget.csv-17.tmp",
        ".label-budget.svg-17.tmp",
        ".training/.material.json-18.tmp",
    )
    for name in drafts:
        (data_job.out / name).write_bytes(b"half")
    measure_label_budgets(data_job, [2], config=TINY, batch_size=1, settings=AnnotateSettings())
    assert not list(data_job.out.rglob("*.tmp"))


@pytest.mark.parametrize(
    ("budgets", "said"),
    [
        ("7", "there are only 6 frames to learn from"),
        ("2,6", "6 frames leave none of"),
        ("2;4", "is not numbers of frames"),
        ("0", "is not numbers of frames"),
    ],
)
def test_a_budget_that_cannot_be_measured_is_one_sentence(data, scopeline, budgets, said):
    code, _, err = train(scopeline, data, budgets)
    assert code == 2
    assert said in " ".join(err.split())


def test_the_theatre_has_no_budget(data, scopeline):
    code, _, err = scopeline(
        "train", "overseer", "--data", "theatre", "--label-budget", "4", "--out", data.parent / "m"
    )
    assert code == 2
    assert "--label-budget needs labelled frames" in " ".join(err.split())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--learn", "details"), "--learn details leaves the rest as it is"),
        (("--keep-start", 0.5), "--keep-start keeps weights of --start-from"),
    ],
)
def test_choices_that_need_a_start_are_refused_with_budgets_too(data, scopeline, options, said):
    code, _, err = train(scopeline, data, "2", *options)
    assert code == 2
    assert said in " ".join(err.split())
    assert not (data.parent / "curve").exists()


def test_budgets_are_read_in_order_and_once():
    assert parse_budgets("20, 10,20") == (10, 20)
    with pytest.raises(UsageError, match="write it as 10,20,40"):
        parse_budgets("many")


@pytest.mark.timeout(300)
def test_videos_to_measure_on_are_part_of_a_budgets_run(data, scopeline):
    """The frames alone do not tell that the last video is learned from no more."""
    for name in ("images", "masks"):
        for path in sorted((data / name).glob("*.png")):
            place = data / f"op{int(path.stem) % 2}" / name / path.name
            place.parent.mkdir(parents=True, exist_ok=True)
            path.rename(place)
        (data / name).rmdir()
    start = ("--start-from", "scopeline")
    code, _, err = train(scopeline, data, "2", *start, "--validation-videos", "op1")
    assert code == 0, err
    assert [path.name for path in (data.parent / "curve/videos").iterdir()] == ["op1"]
    assert "--validation-videos op1" in (data.parent / "curve/labels-0002/README.md").read_text()
    code, _, err = train(scopeline, data, "2", *start)
    assert code == 2
    assert "holds a training with another validation_videos" in " ".join(err.split())
