"""What a look says of an object that is followed, on masks worked by hand."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.policies.constellation.settings import ConstellationSettings
from pipeline.policies.constellation.sightings import Sighting, are_astray, sightings
from pipeline.records import Detections, PromptReason, TrackedMasks
from tests.conftest import rectangle

SIZE = (40, 60)
DETECTED = rectangle(10, 10, 30, 30, SIZE)
FOLLOWED = rectangle(14, 10, 34, 30, SIZE)
ELSEWHERE = rectangle(50, 0, 60, 8, SIZE)


@pytest.fixture
def sighting():
    detections = Detections(
        class_ids=np.array([3, 5]),
        scores=np.array([0.7, 0.9], np.float32),
        boxes=np.array([[50, 0, 60, 8], [10, 10, 30, 30]], np.float32),
        masks=np.stack([ELSEWHERE, DETECTED]),
    )
    tracked = TrackedMasks(
        track_ids=np.array([7]),
        masks=FOLLOWED[None],
        quality=np.array([0.8], np.float32),
        presence=np.array([1.0], np.float32),
    )
    (sighting,) = sightings(12, detections, tracked, {1: 0})
    return sighting


def test_a_sighting_is_of_the_track_that_its_detection_matches(sighting):
    assert isinstance(sighting, Sighting)
    assert (sighting.track_id, sighting.class_id) == (7, 5)
    assert sighting.score == pytest.approx(0.9)
    assert sighting.is_followed
    assert sighting.agreement == pytest.approx(16 / 24)


def test_it_prompts_with_the_detection(sighting):
    prompt = sighting.as_detected(5, PromptReason.DRIFTED)
    assert (prompt.frame_index, prompt.track_id, prompt.class_id) == (12, 7, 5)
    assert prompt.score == pytest.approx(0.9)
    assert np.array_equal(prompt.mask, DETECTED)


def test_it_prompts_half_way_between_detection_and_track(sighting):
    prompt = sighting.half_way(5, PromptReason.REFRESHED)
    assert prompt.reason is PromptReason.REFRESHED
    assert np.array_equal(prompt.mask[20], rectangle(12, 10, 32, 30, SIZE)[20])


def test_it_prompts_with_what_the_tracker_follows(sighting):
    prompt = sighting.as_followed(4, PromptReason.RECLASSIFIED)
    assert (prompt.track_id, prompt.class_id) == (7, 4)
    assert prompt.score == pytest.approx(0.8)
    assert np.array_equal(prompt.mask, FOLLOWED)


@pytest.mark.parametrize(
    ("score", "drift_iou", "astray"),
    # Detection and track share 16 of 24 columns.
    [(0.99, 0.7, True), (0.99, 0.6, False), (0.97, 0.7, False)],
)
def test_tracks_are_astray_where_half_of_what_is_very_sure_contradicts_them(
    sighting, score, drift_iou, astray
):
    scores = np.full(2, score, np.float32)
    sure = replace(sighting, detections=replace(sighting.detections, scores=scores))
    agreeing = replace(
        sure, detections=replace(sure.detections, masks=np.stack([ELSEWHERE, FOLLOWED]))
    )
    settings = ConstellationSettings(drift_iou=drift_iou, trust_score=0.98)
    assert are_astray([sure, agreeing], settings) == astray
    assert not are_astray([sure, agreeing, agreeing], settings)
    assert not are_astray([], settings)
