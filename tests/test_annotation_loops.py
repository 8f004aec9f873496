"""Which models an annotation is given, by its settings."""

import pytest

from flows.annotation_loops import open_models
from flows.settings import AnnotateSettings
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
