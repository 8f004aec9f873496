"""Trainings that are run again, or twice at once: what they need must not be gone or mixed."""

import errno
import json
import os
from dataclasses import replace
from shutil import copytree

import numpy as np
import pytest

from flows.training.checks import check_overseer_job
from flows.training.job import claim_run_folder, content_of_start
from flows.training.train import adapt_tracker_job, train_overseer_job, train_tracker_job
from overseer.model_folders import find_overseer
from overseer.pseudo_labels import PseudoLabels
from pipeline.annotation_set.folders import take_for_writing
from pipeline.errors import InputError, ModelError, OutputError, SetTakenError, UsageError
from pipeline.labelled_clip import LabelledClip
from tests.pipeline.test_training import fit_a_line
from tests.small_training import TINY, data_job, drawn_clips, job
from tests.tracking.test_adapted_weights import write_random_tracker
from tracking.adapters import default_adaptation
from tracking.model_folders import find_tracker

__all__ = ["data_job", "drawn_clips", "job"]


def test_a_tracker_is_not_written_over_what_it_is_fine_tuned_from(data_job, tmp_path):
    write_random_tracker(tmp_path / "base")
    weights = (tmp_path / "base/weights.safetensors").read_bytes()
    (tmp_path / "link").symlink_to(tmp_path / "base")
    job = replace(data_job, out=tmp_path / "link", start_from=str(tmp_path / "base"), clips=2)
    adaptation = default_adaptation("lora")
    with pytest.raises(UsageError, match="link holds what the training starts from"):
        adapt_tracker_job(job, adaptation=adaptation, base=str(tmp_path / "base"))
    assert (tmp_path / "base/weights.safetensors").read_bytes() == weights


def test_weights_of_which_a_share_is_kept_are_not_written_over(job, tmp_path):
    """Run again, the command would take the mean with what it had written itself."""
    tmp_path.joinpath("model").mkdir()
    job = replace(job, out=tmp_path / "model", start_from=str(tmp_path / "model"), kept_share=0.5)
    with pytest.raises(UsageError, match="holds what the training starts from"):
        check_overseer_job(job, TINY, 2)
    with pytest.raises(UsageError, match="holds what the training starts from"):
        train_tracker_job(job)


def test_one_process_trains_in_a_folder(tmp_path):
    """Else the best weights of a run could be those that a later one has just begun with."""
    other = take_for_writing(tmp_path)
    with pytest.raises(SetTakenError, match="is being written by another process; wait for it"):
        fit_a_line(tmp_path, 3)
    os.close(other)
    assert fit_a_line(tmp_path, 3)[1] == [0, 1, 2]
    assert fit_a_line(tmp_path, 4)[1] == [3]


def test_a_batch_of_one_has_no_place_for_pseudo_labels(job, tmp_path):
    with pytest.raises(UsageError, match="--batch-size 1 has one; give 2 or more"):
        check_overseer_job(replace(job, pseudo_labels=(tmp_path,)), TINY, 1)
    (tmp_path / "op1.annset").mkdir()
    check_overseer_job(replace(job, pseudo_labels=(tmp_path,)), TINY, 2)


def test_pseudo_labels_that_are_not_there_are_missed_before_anything_is_read(job, tmp_path):
    with pytest.raises(InputError, match="nowhere does not exist"):
        check_overseer_job(replace(job, pseudo_labels=(tmp_path / "nowhere",)), TINY, 2)


def test_a_training_does_not_go_on_with_other_pseudo_labels(data_job, tmp_path, monkeypatch):
    """An archive goes on writing sets into the folder that they are read from."""
    track_map = np.zeros((1, 64, 96), np.uint8)
    track_map[:, 10:40, 10:50] = 1
    images = np.full((1, 64, 96, 3), 90, np.uint8)
    clip = LabelledClip(images=images, track_maps=track_map, class_of_track={1: 1})
    clips = [clip]

    def read(*_):
        return PseudoLabels(clips=clips, weights=np.ones(len(clips)), left_out=[])

    monkeypatch.setattr("flows.training.train.read_pseudo_labels", read)
    (tmp_path / "sets" / "op1.annset").mkdir(parents=True)
    job = replace(data_job, pseudo_labels=(tmp_path / "sets",))
    train_overseer_job(job, config=TINY, batch_size=2)
    weights = (job.out / "weights.safetensors").read_bytes()
    train_overseer_job(job, config=TINY, batch_size=2)
    clips.append(clip)
    with pytest.raises(UsageError, match="another content of the pseudo-labels"):
        train_overseer_job(job, config=TINY, batch_size=2)
    assert (job.out / "weights.safetensors").read_bytes() == weights


def test_a_training_is_not_measured_on_more_scenes_than_it_began_with(job):
    claim_run_folder(job, "overseer", {})
    with pytest.raises(UsageError, match="another validation_clips"):
        claim_run_folder(replace(job, validation_clips=2), "overseer", {})
    claim_run_folder(job, "overseer", {})


def test_a_training_does_not_go_on_from_other_weights(data_job, tmp_path, monkeypatch):
    """A share of them is kept in the end, or boxes are pooled by them, beside what was learned."""
    for find in (find_overseer, find_tracker):
        weights = tmp_path / find.__module__ / "weights.safetensors"
        weights.parent.mkdir()
        weights.write_bytes(b"first")
        job = replace(data_job, start_from=str(weights.parent))
        first = content_of_start(job, find)
        assert content_of_start(replace(job, out=weights.parent), find) == {}
        weights.write_bytes(b"second")
        assert content_of_start(job, find) != first
        weights.unlink()
        with pytest.raises(ModelError, match=r"weights.safetensors does not exist"):
            content_of_start(job, find)
    shipped = replace(data_job, start_from="scopeline")
    monkeypatch.setattr("flows.training.train.learn_overseer", lambda *_: None)
    train_overseer_job(shipped, config=TINY, batch_size=1)
    train_overseer_job(shipped, config=TINY, batch_size=1)
    noted = json.loads((shipped.out / ".training/job.json").read_text())
    other = noted | {"content of --start-from": "another"}
    (shipped.out / ".training/job.json").write_text(json.dumps(other))
    with pytest.raises(UsageError, match="a training with another content of --start-from; choose"):
        train_overseer_job(shipped, config=TINY, batch_size=1)
    (shipped.out / ".training/job.json").write_text(json.dumps(other | {"kind": "tracker"}))
    with pytest.raises(UsageError, match="another data, .*, content of --start-from; choose"):
        train_tracker_job(replace(shipped, data="theatre"), trunk="varied")


def test_a_training_ends_that_was_killed_while_it_took_the_place_of_its_start(data_job):
    """The weights that it started from are gone then, and its own are not there yet."""
    copytree(find_overseer("scopeline"), data_job.out)
    weights = data_job.out / "weights.safetensors"
    job = replace(data_job, start_from=str(data_job.out))
    train_overseer_job(job, config=TINY, batch_size=1)
    written = weights.read_bytes()
    weights.unlink()
    train_overseer_job(job, config=TINY, batch_size=1)
    assert weights.read_bytes() == written
    weights.unlink()
    (data_job.out / ".training/checkpoint.pt").unlink()
    with pytest.raises(ModelError, match=r"weights.safetensors cannot be read"):
        train_overseer_job(job, config=TINY, batch_size=1)


def test_a_full_disk_before_a_training_is_said(job, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(OutputError, match=r"job.json cannot be written \(No space left .*; free"):
        claim_run_folder(job, "overseer", {})
    assert not list((job.out / ".training").iterdir())
