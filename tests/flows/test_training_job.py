"""Training jobs: what is read, what is refused, and the model folder that they leave."""

import json
import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from flows.job_identity import describe_overseer
from flows.training.train import adapt_tracker_job, train_overseer_job, train_tracker_job
from overseer.config import OverseerConfig
from overseer.mask_rcnn import (
    MaskRCNNOverseer,
    copy_weights,
    load_overseer,
)
from overseer.model_folders import overseer_labels
from overseer.networks import build_network
from overseer.train import FrameTrainer
from pipeline.errors import InputError, ModelError, OutputError, UsageError
from pipeline.labelled_clip import IGNORED, LabelledClip
from pipeline.labels import CHOLECSEG8K, INSTRUMENTS
from pipeline.training.loop import TrainingPlan
from tests.conftest import annotated_frame, rectangle, write_set
from tests.pipeline.test_training import assert_is_a_drawing
from tests.small_training import LABELS, TINY, data_job, drawn_clips, job, write_data_set
from tracking.adapters import default_adaptation

__all__ = ["data_job", "drawn_clips", "job"]


def test_an_overseer_is_trained_on_the_theatre(job):
    config = OverseerConfig(channels=16, image_size=128)
    wide = replace(job, augmentation="wide")
    folder = train_overseer_job(wide, config=config, batch_size=1)
    assert load_overseer(folder, torch.device("cpu")).config == config
    card = (folder / "README.md").read_text()
    assert "scopeline train overseer" in card
    assert "--augmentation wide" in card
    assert re.search(r"MAP 0\.\d+, AP50 0\.\d+", card)
    assert_is_a_drawing(folder / "training.svg")


def test_an_overseer_is_trained_on_a_data_set(job, tmp_path, capfd):
    write_data_set(tmp_path / "data", 3)
    (tmp_path / "data/masks/2.png").write_bytes(b"damaged")
    (tmp_path / "labels.json").write_text(LABELS)
    job = replace(job, data=str(tmp_path / "data"), labels=tmp_path / "labels.json")
    folder = train_overseer_job(job, config=TINY, batch_size=1)
    assert [label.name for label in overseer_labels(str(folder)).classes] == ["Tool"]
    card = (folder / "README.md").read_text()
    assert "not measured on other frames" in card
    assert "--layout masks" in card
    assert_is_a_drawing(folder / "training.svg")
    report = (folder / "report.html").read_text()
    assert "on the frames that it learned from" in report
    assert "images/1.png: mean IoU" in report
    said = " ".join(capfd.readouterr().err.split())
    assert "2.png is not a readable mask PNG" in said
    assert "data: 2 frames" in said


def test_an_overseer_learns_from_annotation_sets_too(data_job, tmp_path, capfd):
    plan = TrainingPlan(steps=80, learning_rate=2e-3)
    teacher = train_overseer_job(replace(data_job, plan=plan), config=TINY, batch_size=2)
    write_data_set(tmp_path / "unlabelled", 2)
    models = {"overseer": describe_overseer(str(teacher))}
    masks = [rectangle(10 + index, 10, 50 + index, 40, size=(64, 96)) for index in range(2)]
    frames = [annotated_frame(index, t1_c1=mask) for index, mask in enumerate(masks)]
    sure = [replace(frame, tracks=(replace(frame.tracks[0], quality=0.95),)) for frame in frames]
    video, label_set = tmp_path / "unlabelled/images", overseer_labels(str(teacher))
    annotated = write_set(tmp_path / "images.annset", video, label_set, sure, models=models)
    job = replace(data_job, out=tmp_path / "again", pseudo_labels=(annotated,))
    folder = train_overseer_job(job, config=TINY, batch_size=2)
    assert "2 frames with pseudo-labels, trusted by 0." in " ".join(capfd.readouterr().err.split())
    assert "--pseudo-labels" in (folder / "README.md").read_text()
    with pytest.raises(UsageError, match="another pseudo_labels"):
        train_overseer_job(replace(job, pseudo_labels=()), config=TINY, batch_size=2)


def test_a_folder_with_another_training_is_refused(job, tmp_path):
    write_data_set(tmp_path / "data", 1)
    train_overseer_job(job, config=TINY, batch_size=1)
    with pytest.raises(
        UsageError, match="holds a training with another data, edition, validation_clips; choose"
    ):
        train_overseer_job(replace(job, data=str(tmp_path / "data")), config=TINY, batch_size=1)
    with pytest.raises(UsageError, match="another batch_size"):
        train_overseer_job(job, config=TINY, batch_size=2)
    with pytest.raises(UsageError, match="another kind"):
        train_tracker_job(job)


def test_a_training_does_not_go_on_with_other_frames_or_classes(data_job, tmp_path):
    train_overseer_job(data_job, config=TINY, batch_size=1)
    weights = (data_job.out / "weights.safetensors").read_bytes()
    write_data_set(tmp_path / "data", 4)
    with pytest.raises(UsageError, match="another content of the data; choose another --out"):
        train_overseer_job(data_job, config=TINY, batch_size=1)
    write_data_set(tmp_path / "data", 3)
    (tmp_path / "data/images/3.png").unlink()
    (tmp_path / "data/masks/3.png").unlink()
    # Another colour makes no other training.
    data_job.labels.write_text(LABELS.replace('"Tool"', '"Tool", "color": [9, 9, 9]'))
    train_overseer_job(data_job, config=TINY, batch_size=1)
    data_job.labels.write_text(LABELS.replace("Tool", "Hook"))
    with pytest.raises(UsageError, match="another list of classes"):
        train_overseer_job(data_job, config=TINY, batch_size=1)
    assert (data_job.out / "weights.safetensors").read_bytes() == weights


def test_a_device_that_is_not_there_is_refused_before_anything_is_drawn(job, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    job = replace(job, device="cuda:1")
    lora = default_adaptation("lora")
    for train in (
        partial(train_overseer_job, config=TINY, batch_size=1),
        train_tracker_job,
        partial(adapt_tracker_job, adaptation=lora, base="scopeline"),
    ):
        with pytest.raises(UsageError, match="no CUDA device"):
            train(job)
    assert not job.out.exists()


def test_patience_without_measurements_is_wrong_use(job, tmp_path):
    write_data_set(tmp_path / "data", 2)
    job = replace(job, data=str(tmp_path / "data"), plan=replace(job.plan, patience=2))
    with pytest.raises(UsageError, match="--patience needs frames to measure on"):
        train_overseer_job(job, config=TINY, batch_size=1)


def test_what_would_be_ignored_is_wrong_use(job, tmp_path, scopeline):
    with pytest.raises(UsageError, match="go with a data set"):
        train_overseer_job(replace(job, validation_data=tmp_path), config=TINY, batch_size=1)
    command = ("train", "overseer", "--data", tmp_path, "--out", tmp_path / "model")
    code, _, err = scopeline(*command, "--adapt", "lora")
    assert code == 2
    assert "--adapt goes with --label-budget" in err
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="file cannot be written"):
        train_overseer_job(replace(job, out=tmp_path / "file"), config=TINY, batch_size=1)


def test_a_training_starts_from_a_trained_overseer(job, tmp_path):
    first = train_overseer_job(job, config=TINY, batch_size=1)
    write_data_set(tmp_path / "data", 1)
    still = TrainingPlan(steps=1, learning_rate=0.0)
    job = replace(
        job, data=str(tmp_path / "data"), out=tmp_path / "next", start_from=str(first), plan=still
    )
    second = train_overseer_job(job, config=TINY, batch_size=1)
    before = load_file(first / "weights.safetensors")
    after = load_file(second / "weights.safetensors")
    same = {name for name in after if after[name].equal(before[name])}
    assert {name for name in after if name.startswith(("backbone.", "rpn."))} <= same
    assert after["roi_heads.box_predictor.cls_score.weight"].shape[0] == 2


def test_another_backbone_cannot_be_started_from(tmp_path):
    overseer = MaskRCNNOverseer(build_network(TINY, 1), TINY, INSTRUMENTS, torch.device("cpu"))
    overseer.save(tmp_path / "lite", "card")
    other = build_network(replace(TINY, backbone="resnet18"), 1)
    with pytest.raises(ModelError, match="another backbone"):
        copy_weights(tmp_path / "lite", other)


def test_an_overseer_can_keep_a_share_of_the_weights_that_it_started_from(job, tmp_path):
    first = train_overseer_job(job, config=TINY, batch_size=1)
    further = replace(
        job,
        out=tmp_path / "kept",
        start_from=str(first),
        plan=TrainingPlan(steps=1, learning_rate=1e-3),
        kept_share=1.0,
    )
    kept = train_overseer_job(further, config=TINY, batch_size=1)
    before, after = (load_file(folder / "weights.safetensors") for folder in (first, kept))
    assert all(after[name].equal(value) for name, value in before.items())
    scores = re.findall(r"MAP (0\.\d+)", (kept / "README.md").read_text())
    assert len(scores) == 2
    assert scores[1] in (first / "README.md").read_text()


def test_no_share_can_be_kept_of_an_overseer_with_other_classes(job, tmp_path):
    first = train_overseer_job(job, config=TINY, batch_size=1)
    write_data_set(tmp_path / "data", 1)
    further = replace(
        job, data=str(tmp_path / "data"), out=tmp_path / "next", start_from=str(first)
    )
    with pytest.raises(ModelError, match="leave out --keep-start"):
        train_overseer_job(replace(further, kept_share=0.5), config=TINY, batch_size=1)


def test_heads_of_as_many_other_classes_are_made_anew(job, tmp_path):
    first = train_overseer_job(job, config=TINY, batch_size=1)
    network = build_network(TINY, 12)
    renamed = replace(
        CHOLECSEG8K,
        classes=tuple(replace(label, name=f"{label.name}!") for label in CHOLECSEG8K.classes),
    )
    assert copy_weights(first, network, CHOLECSEG8K) == []
    changed = copy_weights(first, network, renamed)
    assert any("cls_score" in name for name in changed)
    assert not any("body" in name or "mask_head" in name for name in changed)


def test_details_alone_are_not_learned_beside_heads_that_know_nothing(job, tmp_path):
    first = train_overseer_job(job, config=TINY, batch_size=1)
    write_data_set(tmp_path / "data", 1)
    labels = [{"id": 1, "name": "Tool", "value": 255}, {"id": 2, "name": "Clip", "value": 9}]
    (tmp_path / "labels.json").write_text(json.dumps({"name": "two", "classes": labels}))
    further = replace(
        job,
        data=str(tmp_path / "data"),
        labels=tmp_path / "labels.json",
        out=tmp_path / "next",
        start_from=str(first),
        learning="details",
    )
    with pytest.raises(ModelError, match="details alone cannot be learned from"):
        train_overseer_job(further, config=replace(TINY, detail_channels=8), batch_size=1)


def test_data_that_is_not_there_leaves_no_training_in_the_way(data_job, tmp_path):
    wrong = replace(data_job, data=str(tmp_path / "nope"))
    with pytest.raises(InputError):
        train_overseer_job(wrong, config=TINY, batch_size=1)
    assert not data_job.out.exists()
    train_overseer_job(data_job, config=TINY, batch_size=1)


def test_a_share_can_only_be_kept_of_something(job):
    with pytest.raises(UsageError, match="give both or neither"):
        train_tracker_job(replace(job, kept_share=0.5))
    with pytest.raises(UsageError, match="give both or neither"):
        train_overseer_job(replace(job, kept_share=0.5), config=TINY, batch_size=1)


def test_a_step_learns_nothing_where_the_labels_leave_open_what_is_there():
    """Ignored surroundings give the classifier fewer boxes to learn the background from."""
    torch.manual_seed(0)
    network = build_network(TINY, 1).train()
    shown = []
    network.roi_heads.box_predictor.register_forward_hook(
        lambda _module, _inputs, output: shown.append(len(output[0]))
    )
    learned_from = []
    for around in (0, IGNORED):
        track_maps = np.full((1, 96, 128), around, np.uint8)
        track_maps[0, 40:56, 56:76] = 1
        images = np.full((1, 96, 128, 3), 90, np.uint8)
        clip = LabelledClip(images=images, track_maps=track_maps, class_of_track={1: 1})
        torch.manual_seed(0)
        trainer = FrameTrainer(network, [clip], INSTRUMENTS, batch_size=1, seed=5)
        shown.clear()
        for step in range(4):
            trainer.losses_of_step(step)
        learned_from.append(sum(shown))
    assert learned_from[1] < learned_from[0]


def test_details_are_learned_by_a_trained_overseer(job, tmp_path):
    config = replace(TINY, detail_channels=8)
    with pytest.raises(UsageError, match="--learn details leaves the rest as it is"):
        train_overseer_job(replace(job, learning="details"), config=config, batch_size=1)
    unable = replace(job, learning="details", start_from="scopeline")
    with pytest.raises(UsageError, match="has no details to learn"):
        train_overseer_job(unable, config=TINY, batch_size=1)
    first = train_overseer_job(job, config=TINY, batch_size=1)
    further = replace(job, out=tmp_path / "detailed", start_from=str(first), learning="details")
    folder = train_overseer_job(further, config=config, batch_size=1)
    assert "--learn details" in (folder / "README.md").read_text()
    before, after = (load_file(each / "weights.safetensors") for each in (first, folder))
    assert all(after[name].equal(value) for name, value in before.items())
    assert load_overseer(folder, torch.device("cpu")).config == config
