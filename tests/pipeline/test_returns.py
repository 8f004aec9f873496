"""Which of the tracks that left a new object is."""

import json

import numpy as np
import pytest

from pipeline.policies.constellation.returns import (
    LeftTrack,
    LeftTracks,
    Traces,
    blended,
    likeness_of,
    place_of,
)
from pipeline.policies.constellation.settings import ConstellationSettings
from tests.conftest import rectangle

GRASPER, HOOK = 1, 3
LEFT, RIGHT = rectangle(2, 4, 12, 14), rectangle(34, 4, 44, 14)
STEEL, BRASS, STEEL_IN_SMOKE = (1.0, 0.0), (0.0, 1.0), (0.8, 0.6)
SETTINGS = ConstellationSettings(return_frames=100, return_distance=0.4, return_likeness=0.6)


def left_tracks(*looks):
    """Tracks 1, 2 ... that left on frame 50, from (mask, appearance)."""
    tracks = LeftTracks(SETTINGS)
    for track_id, (mask, appearance) in enumerate(looks, start=1):
        traces = Traces(place=place_of(mask), appearance=appearance)
        tracks.leave(LeftTrack(track_id=track_id, class_id=GRASPER, frame_index=50, traces=traces))
    return tracks


@pytest.fixture
def left():
    return left_tracks((LEFT, ()), (RIGHT, ()))


def claimed(left, class_id=GRASPER, mask=RIGHT, frame_index=60, appearance=()):
    back = Traces(place=place_of(mask), appearance=appearance)
    track_id = left.likeliest([(class_id, back)], frame_index).get(0)
    if track_id is not None:
        left.take_back(track_id)
    return track_id


def test_the_nearest_comes_back_once(left):
    assert claimed(left) == 2
    assert claimed(left) is None


def test_another_class_is_somebody_else(left):
    assert claimed(left, class_id=HOOK) is None


def test_what_left_long_ago_does_not_come_back(left):
    assert claimed(left, frame_index=151) is None


def test_what_left_far_away_does_not_come_back(left):
    assert claimed(left, mask=rectangle(20, 26, 28, 32)) is None


def test_what_looks_like_something_else_does_not_come_back():
    assert claimed(left_tracks((RIGHT, STEEL)), appearance=BRASS) is None
    assert claimed(left_tracks((RIGHT, STEEL)), appearance=STEEL_IN_SMOKE) == 1


def test_of_two_in_the_same_place_the_one_that_looks_alike_comes_back():
    near = rectangle(33, 4, 43, 14)
    tracks = left_tracks((RIGHT, STEEL_IN_SMOKE), (near, STEEL))
    assert claimed(tracks, appearance=STEEL) == 2
    assert claimed(tracks, appearance=STEEL) == 1


def test_what_has_no_appearance_is_known_by_its_place():
    assert claimed(left_tracks((LEFT, STEEL), (RIGHT, STEEL))) == 2


def test_they_survive_as_json():
    tracks = left_tracks((LEFT, STEEL), (RIGHT, BRASS))
    again = LeftTracks(SETTINGS)
    again.restore(json.loads(json.dumps(tracks.state())))
    assert again.state() == tracks.state()
    assert claimed(again, appearance=BRASS) == 2


def test_an_appearance_follows_slowly_and_keeps_its_length():
    seen = blended(STEEL, BRASS)
    assert likeness_of(seen, STEEL) > likeness_of(seen, BRASS) > 0
    assert np.linalg.norm(seen) == pytest.approx(1)
    assert blended((), STEEL) == blended(STEEL, ()) == STEEL


def test_a_place_is_a_share_of_the_diagonal():
    assert place_of(rectangle(0, 0, 48, 32)) == pytest.approx(
        (23.5 / 57.69, 15.5 / 57.69), abs=1e-3
    )


def test_a_look_counts_for_three_tenths_of_how_a_track_has_looked():
    expected = np.array([0.7, 0.3]) / np.hypot(0.7, 0.3)
    assert blended(STEEL, BRASS) == pytest.approx(expected)
