"""Networks on a device beside the processor, where nothing waits for what need not be waited for."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from flows.training.train import adapt_tracker_job, train_overseer_job
from pipeline.records import FrameBatch
from tests.conftest import annotated_clip, first_object, mask_prompt, place_prompt, random_overseer
from tests.second_device import DEVICE, second_device
from tests.small_training import TINY, data_job, drawn_clips, job
from tracking.adapted_weights import load_tracker
from tracking.adapters import default_adaptation
from tracking.tracker import Sam2Tracker

__all__ = ["data_job", "drawn_clips", "job"]

CPU = torch.device("cpu")


@pytest.fixture
def device():
    with second_device() as second:
        yield second


def test_the_device_refuses_what_a_gpu_refuses(device):
    there, here = torch.ones(3).to(DEVICE), torch.ones(3)
    with pytest.raises(AssertionError, match="two devices"):
        there + here
    with pytest.raises(RuntimeError):
        there.numpy()
    assert not device.waits
    assert (there + there.sum()).to(CPU).tolist() == [4, 4, 4]
    assert bool(there.any())
    assert device.waits == {"_to_copy": 1, "_local_scalar_dense": 1}


def followed(device):
    """What is tracked with all kinds of prompts, with a stop between, and what is looked up."""
    images, masks = first_object()
    tracker = Sam2Tracker(load_tracker("scopeline"), device)
    found = []
    for index, image in enumerate(images[:8]):
        if index == 5:
            indices = np.arange(5)
            batch = FrameBatch(indices=indices, times=indices / 25, images=np.stack(images[:5]))
            tracker.restore(tracker.state(), [batch])
        tracker.track(index, image)
        if index == 0:
            place = replace(place_prompt(box=[10, 10, 60, 50]), track_id=2)
            tracker.prompt([mask_prompt(0, 1, masks[0]), place])
        if index == 3:
            tracker.prompt([mask_prompt(3, 3, ~masks[3])])
            found += [changed.tracked.masks for changed in tracker.back_fill([3], {1: 1})]
        if index == 6:
            tracker.hide([2])
            found += [changed.tracked.masks for changed in tracker.withdraw([3])]
        found.append(tracker.appearances(masks[index][None]))
        found.append(tracker.result().masks)
    return found


def test_tracks_are_followed_as_on_the_processor(device):
    for there, here in zip(followed(DEVICE), followed(CPU), strict=True):
        assert np.array_equal(there, here)


def test_a_tracked_frame_is_waited_for_once(device):
    images, masks = first_object()
    tracker = Sam2Tracker(load_tracker("scopeline"), DEVICE)
    for index, image in enumerate(images[:6]):
        tracker.track(index, image)
        if index == 0:
            tracker.prompt([mask_prompt(0, 1, masks[0]), mask_prompt(0, 2, ~masks[0])])
        if index == 2:
            device.waits.clear()
        assert len(tracker.result().masks) == 2
    assert device.waits == {"_to_copy": 3}


def test_masks_are_pasted_without_asking_for_numbers(device):
    images = np.random.default_rng(0).integers(0, 256, (2, 120, 160, 3)).astype(np.uint8)
    there = random_overseer("efficientnet_lite0", DEVICE).detect(images)
    here = random_overseer("efficientnet_lite0").detect(images)
    for found, expected in zip(there, here, strict=True):
        assert len(expected)
        assert np.array_equal(found.masks, expected.masks)
        assert np.array_equal(found.scores, expected.scores)
    assert not device.waits.keys() & {"item", "is_nonzero", "_local_scalar_dense"}


def test_overseer_and_tracker_learn_as_on_the_processor(device, data_job, monkeypatch, capsys):
    def adapt(job):
        return adapt_tracker_job(job, adaptation=default_adaptation("lora"), base="scopeline")

    def train(job):
        return train_overseer_job(job, config=TINY, batch_size=1)

    for learn in (train, adapt):
        said = []
        for place in (DEVICE, CPU):
            monkeypatch.setattr("flows.training.train.choose_device", lambda _, place=place: place)
            learn(replace(data_job, out=data_job.out / f"{learn.__name__} {place}"))
            said.append(capsys.readouterr().err)
        assert "step 2 of 2, loss" in said[0]
        assert said[0] == said[1]
    assert device.waits


def test_a_video_is_annotated_as_on_the_processor(device, scopeline, tmp_path, monkeypatch):
    expected = annotated_clip(scopeline, tmp_path / "here")
    monkeypatch.setattr("flows.models.choose_device", lambda _: DEVICE)
    found = annotated_clip(scopeline, tmp_path / "there")
    assert device.waits
    assert list(found.frames()) == list(expected.frames())
    assert list(found.prompts()) == list(expected.prompts())
