"""Which moments of a video a report shows."""

from itertools import pairwise

from pipeline.annotation_set.moments import moments_of
from pipeline.annotation_set.summary import SetSummary, TrackSummary


def summary_of(cuts=(), outside=(), black=(), begins=()):
    tracks = {
        number: TrackSummary(
            track_id=number, class_name="Grasper", color="", runs=[(first, first + 9)]
        )
        for number, first in enumerate(begins, start=1)
    }
    bands = {
        "out_of_body": [(first, first + 5) for first in outside],
        "black": [(first, first + 5) for first in black],
    }
    return SetSummary(tracks=tracks, cuts=list(cuts), bands=bands)


def test_cuts_stretches_and_tracks_that_begin_are_moments():
    moments = moments_of(summary_of(cuts=(50,), outside=(50, 90), black=(20,), begins=(0, 90)), 40)
    assert moments.total == 4
    assert moments.shown == {
        0: "Grasper 1",
        20: "black",
        50: "cut, outside the body",
        90: "outside the body, Grasper 2",
    }
    assert list(moments.shown) == [0, 20, 50, 90]


def test_the_last_cut_is_a_moment_also_where_many_tracks_begin_before_it():
    moments = moments_of(summary_of(cuts=(5000,), outside=(5500,), begins=range(0, 6000, 20)), 40)
    assert moments.total == 300
    assert len(moments.shown) == 40
    assert moments.shown[5000] == "cut, Grasper 251"
    assert moments.shown[5500] == "outside the body, Grasper 276"
    frames = list(moments.shown)
    gaps = [after - before for before, after in pairwise(frames)]
    assert max(gaps) <= 400
    assert (frames[0], frames[-1]) == (0, 5980)


def test_too_many_cuts_are_spread_over_the_video():
    moments = moments_of(summary_of(cuts=[*range(0, 100), 5000, 9000], begins=(7000,)), 4)
    assert moments.total == 103
    assert set(moments.shown) >= {0, 5000, 9000}
    assert len(moments.shown) == 4
