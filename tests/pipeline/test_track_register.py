"""What is known of tracks: their classes, who left, and who comes back."""

import json

import pytest

from pipeline.policies.constellation.settings import ConstellationSettings
from pipeline.policies.constellation.track_register import TrackRegister
from tests.conftest import rectangle
from tests.hand_made import GRASPER, HOOK, LEFT, LIVER, NOTHING, RIGHT, followed, looking, seen

STEEL, BRASS = (1, 0), (0, 1)
BESIDE = rectangle(8, 4, 18, 14)


@pytest.fixture
def register(labels_with_hook):
    return TrackRegister(labels_with_hook, ConstellationSettings())


def leave(register, *tracks):
    """Follow tracks from (track id, mask), and let them leave on frame 5."""
    for track_id, _ in tracks:
        register.follow(track_id, GRASPER, 0, 0.9)
    register.note_traces(5, followed(*((track_id, mask, 1.0) for track_id, mask in tracks)))
    for track_id, _ in tracks:
        register.leave(track_id)


def test_the_votes_of_a_track_that_returns_go_on(register):
    leave(register, (1, LEFT))
    register.follow(1, GRASPER, 20, 0.9)
    assert register.followed[1].votes == pytest.approx({GRASPER: 1.8})
    assert not register.vote(1, HOOK, 2.6)
    assert register.vote(1, HOOK, 0.2)
    assert register.classes[1] == HOOK


def test_stuff_never_gets_a_second_track_by_reclassification(register):
    register.follow(1, GRASPER, 0, 0.9)
    register.follow(2, LIVER, 0, 0.9)
    assert not register.vote(1, LIVER, 9.0)
    assert register.classes == {1: GRASPER, 2: LIVER}
    register.leave(2)
    assert register.vote(1, LIVER, 0.9)


def test_a_thing_may_become_another_of_a_class_that_is_there(register):
    register.follow(1, GRASPER, 0, 0.9)
    register.follow(2, HOOK, 0, 0.9)
    assert register.vote(1, HOOK, 9.0)
    assert register.classes == {1: HOOK, 2: HOOK}


def test_how_a_track_has_looked_is_known_when_it_returns(register):
    register.follow(1, GRASPER, 0, 0.9)
    register.note_traces(0, looking(followed((1, LEFT, 1.0)), STEEL))
    register.leave(1)
    assert register.appearances() == [STEEL]
    register.follow(1, GRASPER, 20, 0.9)
    assert register.appearances() == [STEEL]


def test_of_two_that_return_at_once_each_is_the_nearest(register):
    leave(register, (1, LEFT), (2, RIGHT))
    back = seen((GRASPER, BESIDE, 0.9), (GRASPER, LEFT, 0.8))
    # The first one is nearest to where track 1 left, but the second one is there.
    assert register.returned(9, back, [0, 1], {}) == {0: 2, 1: 1}


def test_what_is_followed_but_lost_may_be_what_is_new(register):
    register.follow(1, GRASPER, 0, 0.9)
    register.note_traces(4, followed((1, LEFT, 1.0)))
    lost = register.lost(followed((1, NOTHING, 0.1)))
    assert lost[1].frame_index == 4
    back = seen((GRASPER, LEFT, 0.9))
    assert register.returned(9, back, [0], lost) == {0: 1}
    assert register.returned(9, back, [0], {}) == {}
    assert register.lost(followed((1, LEFT, 1.0))) == {}


def test_stuff_is_the_one_track_of_its_class_wherever_and_whenever_it_shows(labels):
    settings = ConstellationSettings(return_frames=5, return_distance=0.01)
    register = TrackRegister(labels, settings)
    register.follow(3, LIVER, 0, 0.9)
    register.note_traces(0, followed((3, LEFT, 1.0)))
    register.leave(3)
    assert register.returned(100, seen((LIVER, RIGHT, 0.9)), [0], {}) == {0: 3}


def test_it_goes_on_from_a_state(register, labels_with_hook):
    leave(register, (1, LEFT))
    register.follow(2, LIVER, 7, 0.9)
    again = TrackRegister(labels_with_hook, ConstellationSettings())
    again.restore(json.loads(json.dumps(register.state())))
    assert again.state() == register.state()
    assert again.returned(9, seen((GRASPER, LEFT, 0.9)), [0], {}) == {0: 1}
    again.follow(1, GRASPER, 9, 0.9)
    assert again.followed[1].votes == pytest.approx({GRASPER: 1.8})
