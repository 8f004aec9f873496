"""Jobs that train trackers, from the beginning or from one that follows already."""

import re
from dataclasses import replace

import pytest
import torch

from flows.training.train import adapt_tracker_job, train_tracker_job
from pipeline.annotation_set import AnnotationSet
from pipeline.errors import ModelError, UsageError
from pipeline.training.loop import TrainingPlan
from tests.pipeline.test_training import assert_is_a_drawing
from tests.small_training import data_job, drawn_clips, job, write_data_set
from tracking.adapted_weights import load_first_mask_network, load_tracker
from tracking.adapters import default_adaptation
from tracking.model_folders import Adaptation, find_tracker
from tracking.sam2_model import build_network
from tracking.weights import load_network

__all__ = ["data_job", "drawn_clips", "job"]


def test_a_tracker_is_trained_on_the_theatre(job):
    folder = train_tracker_job(job)
    assert load_network(folder).image_size == 256
    card = (folder / "README.md").read_text()
    assert "Apache-2.0" in card
    for measured in ("mask held still", "mask warped by optical flow", "training.svg"):
        assert re.search(rf"{measured}.*: J 0\.\d+", card)
    assert_is_a_drawing(folder / "training.svg")


def test_a_tracker_needs_the_theatre(job):
    with pytest.raises(UsageError, match="theatre"):
        train_tracker_job(replace(job, data="elsewhere"))


def test_a_tracker_is_fine_tuned_on_a_data_set(data_job, tmp_path, scopeline):
    labels = tmp_path / "labels.json"
    arguments = ("--data", data_job.data, "--layout", "masks", "--labels", labels, "--steps", 2)
    model = tmp_path / "model"
    code, _, err = scopeline("train", "tracker", *arguments, "--clips", 4, "--out", model)
    assert code == 0, err
    card = (model / "README.md").read_text()
    assert "fine-tuned from scopeline" in card
    assert re.search(r"lora, [\d,]+ parameters trained, [34]\.\d%", card)
    assert "--adapt lora --rank 4" in card
    code, _, err = scopeline(
        *("annotate", f"{data_job.data}/images", "--out", tmp_path, "--policy", "given"),
        *("--prompts", f"{data_job.data}/masks", "--labels", labels, "--tracker", model),
    )
    assert code == 0, err
    assert AnnotationSet(tmp_path / "images.annset").manifest.counts.masks == 3


def test_what_answers_boxes_is_fine_tuned_by_itself(data_job, tmp_path):
    write_data_set(tmp_path / "other", 3, brightness=50)
    job = replace(data_job, validation_data=tmp_path / "other", clips=2)
    folder = adapt_tracker_job(job, adaptation=default_adaptation("first-mask"), base="scopeline")
    card = (folder / "README.md").read_text()
    assert re.search(r"J 0\.\d+", card)
    assert "--adapt first-mask" in card
    found, following = load_first_mask_network(str(folder)), load_tracker(str(folder))
    before = load_tracker("scopeline").state_dict()
    assert all(torch.equal(value, before[name]) for name, value in following.state_dict().items())
    learned = {name for name, value in found.state_dict().items() if value.ne(before[name]).any()}
    assert any(name.startswith("sam_mask_decoder.") for name in learned)
    assert not any(name.startswith(("image_encoder.trunk.", "memory_")) for name in learned)


def test_frames_that_do_not_follow_each_other_measure_first_masks_alone(data_job, tmp_path):
    """To follow an object there must be a frame after its first one."""
    write_data_set(tmp_path / "other", 1, brightness=50)
    plan = TrainingPlan(steps=1, learning_rate=1e-4)
    job = replace(data_job, validation_data=tmp_path / "other", clips=1, plan=plan)
    cards = {}
    for method in ("first-mask", "lora"):
        own = replace(job, out=tmp_path / method)
        adapt_tracker_job(own, adaptation=default_adaptation(method), base="scopeline")
        cards[method] = (own.out / "README.md").read_text()
    assert re.search(r"J 0\.\d+", cards["first-mask"])
    assert "of those that were given no two follow each other" in cards["lora"]


def test_fine_tuning_is_measured_on_other_videos(data_job, tmp_path):
    write_data_set(tmp_path / "other", 3, brightness=50)
    job = replace(data_job, validation_data=tmp_path / "other", clips=2)
    adaptation = Adaptation(method="decoder", rank=0)
    folder = adapt_tracker_job(job, adaptation=adaptation, base="scopeline")
    assert re.search(r"J 0\.\d+", (folder / "README.md").read_text())


def test_a_tracker_training_starts_from_the_tracker_that_ships(job):
    job = replace(job, start_from="scopeline", plan=TrainingPlan(steps=1, learning_rate=0.0))
    folder = train_tracker_job(job)
    shipped = load_network(find_tracker("scopeline")).state_dict()
    trained = load_network(folder).state_dict()
    assert all(trained[name].equal(value) for name, value in shipped.items())


def test_what_follows_already_learns_to_follow_in_other_light(job):
    plan = TrainingPlan(steps=2, learning_rate=1e-3)
    further = replace(job, start_from="scopeline", plan=plan)
    folder = train_tracker_job(further, trunk="varied")
    before = load_network(find_tracker("scopeline")).state_dict()
    after = load_network(folder).state_dict()
    learned = {name for name, value in after.items() if value.ne(before[name]).any()}
    assert any(name.startswith("memory_attention.") for name in learned)
    assert not any(name.startswith("image_encoder.trunk.") for name in learned)
    assert "--trunk varied" in (folder / "README.md").read_text()


def test_a_tracker_of_another_shape_is_fine_tuned_instead(job, tmp_path):
    path = tmp_path / "tiny.pt"
    torch.save(build_network("sam2.1_hiera_tiny").state_dict(), path)
    with pytest.raises(ModelError, match=r"tiny\.pt is not of the shape .* with --adapt lora"):
        train_tracker_job(replace(job, start_from=str(path)))


def test_what_cannot_follow_yet_does_not_begin_with_other_light(job):
    with pytest.raises(UsageError, match="--trunk varied is for weights that track already"):
        train_tracker_job(job, trunk="varied")


def test_a_tracker_can_keep_a_share_of_the_weights_that_it_started_from(job):
    plan = TrainingPlan(steps=1, learning_rate=1e-3)
    weights = {}
    for share in (0.0, 0.25):
        out = job.out.with_name(f"kept-{share}")
        kept = replace(job, out=out, start_from="scopeline", plan=plan, kept_share=share)
        weights[share] = load_network(train_tracker_job(kept)).state_dict()
    before = load_network(find_tracker("scopeline")).state_dict()
    whole, partly = (
        torch.cat([(weights[share][name].float() - before[name]).flatten() for name in before])
        for share in (0.0, 0.25)
    )
    # Single weights are stored in half precision.
    assert float(whole @ partly / (whole @ whole)) == pytest.approx(0.75, abs=0.01)
    assert "--keep-start 0.25" in (job.out.with_name("kept-0.25") / "README.md").read_text()
