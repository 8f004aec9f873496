"""Which of the tracks that left a new object is."""

import pytest

from pipeline.returns import LeftTrack, LeftTracks, place_of
from tests.conftest import rectangle

GRASPER, HOOK = 1, 3
LEFT, RIGHT = rectangle(2, 4, 12, 14), rectangle(34, 4, 44, 14)


@pytest.fixture
def left():
    tracks = LeftTracks(frames=100, distance=0.4)
    for track_id, mask in ((1, LEFT), (2, RIGHT)):
        tracks.leave(
            LeftTrack(track_id=track_id, class_id=GRASPER, frame_index=50, place=place_of(mask))
        )
    return tracks


def claimed(left, class_id=GRASPER, mask=RIGHT, frame_index=60):
    track = left.claim(class_id, mask, frame_index)
    return None if track is None else track.track_id


def test_the_nearest_comes_back_once(left):
    assert claimed(left) == 2
    assert claimed(left) is None


def test_another_class_is_somebody_else(left):
    assert claimed(left, class_id=HOOK) is None


def test_what_left_long_ago_does_not_come_back(left):
    assert claimed(left, frame_index=151) is None


def test_what_left_far_away_does_not_come_back(left):
    assert claimed(left, mask=rectangle(20, 26, 28, 32)) is None


def test_a_place_is_a_share_of_the_diagonal():
    assert place_of(rectangle(0, 0, 48, 32)) == pytest.approx(
        (23.5 / 57.69, 15.5 / 57.69), abs=1e-3
    )
