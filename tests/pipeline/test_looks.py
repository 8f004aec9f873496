"""When the overseer looks, on hand-made tracks."""

import numpy as np
import pytest

from pipeline.policies.constellation.looks import Adaptive, AdaptiveLookSettings, EveryNth, Finding
from pipeline.records import TrackedMasks
from pipeline.scene_changes import NO_SIGNS, FrameSigns
from tests.conftest import rectangle

LEFT = rectangle(4, 4, 14, 14)
CALM, ALERT = 8, 3


def followed(mask=LEFT, *, quality=0.9, presence=1.0):
    return TrackedMasks(
        track_ids=np.array([1]),
        masks=mask[None],
        quality=np.array([quality], np.float32),
        presence=np.array([presence], np.float32),
    )


@pytest.fixture
def schedule():
    """A schedule that has looked at frame 10 and seen frame 11."""
    adaptive = Adaptive(AdaptiveLookSettings(calm_frames=CALM, alert_frames=ALERT))
    assert adaptive.doubts(0, followed())
    adaptive.looked(10, Finding.SETTLED)
    assert not adaptive.doubts(11, followed())
    return adaptive


def looks(schedule, tracked, frames=range(12, 30)):
    return next((frame for frame in frames if schedule.doubts(frame, tracked)), None)


def test_each_nth_frame_whatever_the_tracker_sees():
    schedule = EveryNth(5)
    assert [frame for frame in range(12) if schedule.wants(frame, NO_SIGNS)] == [0, 5, 10]
    assert not schedule.doubts(3, followed(presence=0.0))


@pytest.mark.parametrize("schedule", [EveryNth(5), Adaptive()])
def test_a_cut_is_looked_at_and_the_dark_is_not(schedule):
    assert schedule.wants(3, FrameSigns(cut=True))
    assert not schedule.wants(5, FrameSigns(cut=True, black=True))


def test_while_nothing_happens_looks_are_rare(schedule):
    assert looks(schedule, followed()) == 10 + CALM


@pytest.mark.parametrize(
    "changed",
    [
        followed(presence=0.2),
        followed(quality=0.5),
        followed(rectangle(4, 4, 14, 24)),
        followed(rectangle(4, 4, 14, 8)),
    ],
    ids=["gone", "doubtful", "grown", "shrunk"],
)
def test_a_track_that_changes_is_looked_at_soon(schedule, changed):
    assert looks(schedule, changed) == 10 + ALERT


def test_what_waits_to_be_confirmed_is_looked_at_soon(schedule):
    schedule.looked(20, Finding.WAITING)
    assert looks(schedule, followed(), range(21, 40)) == 20 + ALERT


def test_while_the_tracker_goes_astray_the_next_frame_is_looked_at(schedule):
    schedule.looked(20, Finding.ASTRAY)
    assert looks(schedule, followed(), range(21, 40)) == 21
    schedule.looked(21, Finding.SETTLED)
    assert looks(schedule, followed(), range(22, 40)) == 21 + CALM


def test_what_a_look_has_changed_is_no_alarm(schedule):
    schedule.looked(20, Finding.SETTLED)
    assert looks(schedule, followed(quality=0.5), range(21, 40)) == 20 + CALM


def test_a_track_that_is_out_of_sight_is_no_alarm_for_its_quality(schedule):
    schedule.looked(20, Finding.SETTLED)
    schedule.doubts(21, followed(presence=0.1))
    assert looks(schedule, followed(presence=0.1, quality=0.2), range(22, 40)) == 20 + CALM
