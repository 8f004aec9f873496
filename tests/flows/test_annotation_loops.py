"""Which models an annotation is given, by its settings."""

import shutil

import numpy as np
import pytest

from flows.annotation_loops import open_loop, open_models
from flows.job_identity import job_identity
from flows.settings import AnnotateSettings
from overseer.model_folders import find_overseer
from pipeline.records import TrackedMasks
from tests.small_data import edited_json, save
from tracking.mask_choice import likely_masks, surest_masks


def test_masks_of_yours_are_held_on_to():
    settings = AnnotateSettings(policy="given", prompts="masks", prompt_frames="first")
    overseer, tracker = open_models(settings)
    assert overseer is None
    assert tracker.mask_choice is likely_masks


@pytest.mark.parametrize("policy", ["constellation", "sasvi", "first-frame"])
def test_what_an_overseer_says_may_turn_out_to_be_wrong(policy):
    overseer, tracker = open_models(AnnotateSettings(policy=policy))
    assert overseer is not None
    assert tracker.mask_choice is surest_masks


def test_nothing_is_tracked_frame_by_frame():
    overseer, tracker = open_models(AnnotateSettings(policy="framewise"))
    assert overseer is not None and tracker is None


@pytest.mark.parametrize(
    ("policy", "frames", "since"),
    [
        ("given", (0, 3), {1: 2, 2: 1}),
        # Who asks for first masks says that the object was not there before.
        ("given", "first", {}),
        # An overseer sees what comes between the given frames.
        ("constellation", (0, 3), {1: 2}),
    ],
)
def test_how_far_given_masks_are_followed_back(tmp_path, clip_info, policy, frames, since):
    values = np.zeros((clip_info.height, clip_info.width), np.uint8)
    values[4:12, 4:12] = 1
    for index in range(3):
        save(tmp_path / f"{index}.png", values)
    values[4:12, 20:30] = 2
    save(tmp_path / "3.png", values)
    settings = AnnotateSettings(policy=policy, prompts=tmp_path, prompt_frames=frames)
    loop, _ = open_loop(clip_info, settings)
    nothing = TrackedMasks.empty(clip_info.height, clip_info.width)
    loop._policy.decide(0, None, nothing)
    assert loop._policy.decide(3, None, nothing).revised_since == since


def test_a_policy_that_is_only_named_is_not_taken_for_another_one(clip_info):
    settings = AnnotateSettings().model_copy(update={"policy": "every-fifth"})
    with pytest.raises(AssertionError, match="every-fifth"):
        open_loop(clip_info, settings)


def test_policies_share_their_models():
    overseer, tracker = open_models(AnnotateSettings())
    assert tracker is not None
    assert open_models(AnnotateSettings(policy="framewise")) == (overseer, None)
    assert open_models(AnnotateSettings())[1] is tracker


def test_a_model_that_was_replaced_is_loaded_anew(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(find_overseer("scopeline"), folder)
    settings = AnnotateSettings(policy="framewise", overseer=str(folder))
    before = job_identity(settings)["models"]
    first, _ = open_models(settings)
    assert open_models(settings)[0] is first
    with edited_json(folder / "model.json") as description:
        description["network"]["score_threshold"] = 0.9
    assert job_identity(settings)["models"] != before
    second, _ = open_models(settings)
    assert (first.config.score_threshold, second.config.score_threshold) == (0.3, 0.9)
