"""The theatre: the same seed gives the same scene, and the truth is exact."""

import numpy as np
import pytest

from pipeline.labels import CHOLECSEG8K
from samples.theatre import Theatre
from samples.theatre.instruments import GRASPER, L_HOOK
from samples.theatre.scene import FIRST_INSTRUMENT_TRACK


def small(seed, frame_count=60):
    return Theatre(seed=seed, width=160, height=96, frame_count=frame_count)


def test_a_frame_depends_on_seed_and_index_alone():
    in_order = [frame for frame, _ in zip(small(4), range(8), strict=False)]
    alone = small(4).frame(7)
    assert np.array_equal(in_order[7].image, alone.image)
    assert np.array_equal(in_order[7].track_map, alone.track_map)
    assert not np.array_equal(small(5).frame(7).image, alone.image)


def test_tracks_have_the_classes_of_cholecseg8k():
    for seed in range(5):
        theatre = small(seed)
        shown = np.unique(theatre.frame(20).track_map)
        for track_id in shown[shown > 0]:
            class_id = theatre.tracks[int(track_id)]
            assert class_id in CHOLECSEG8K
            is_thing = track_id >= FIRST_INSTRUMENT_TRACK
            assert is_thing == (class_id in (GRASPER, L_HOOK))


def test_instruments_enter_leave_and_return():
    """Over some scenes, instruments are seen to appear, to vanish and to come back."""
    patterns = set()
    for seed in range(6):
        theatre = small(seed, frame_count=300)
        visible = np.array(
            [
                [(theatre.frame(index).track_map == track).any() for index in range(0, 300, 15)]
                for track in theatre.tracks
                if track >= FIRST_INSTRUMENT_TRACK
            ]
        ).reshape(-1, 20)
        for row in visible:
            changes = np.diff(row.astype(int))
            patterns |= {"enters"} if (changes == 1).any() else set()
            patterns |= {"leaves"} if (changes == -1).any() else set()
            gone = np.flatnonzero(changes == -1)
            if len(gone) and (changes[gone[0] :] == 1).any():
                patterns.add("returns")
    assert patterns == {"enters", "leaves", "returns"}


def test_the_scene_moves_and_the_truth_moves_with_it():
    theatre = small(1)
    first, later = theatre.frame(0), theatre.frame(30)
    changed = np.mean(first.track_map != later.track_map)
    assert 0.005 < changed < 0.9


def test_the_black_surround_has_no_track():
    for seed in range(12):
        frame = small(seed).frame(10)
        if (frame.track_map == 0).mean() > 0.05:
            assert frame.image[frame.track_map == 0].mean() < 20
            return
    pytest.fail("no scene of twelve has a surround")


def test_unusable_sizes_and_indices_are_refused():
    with pytest.raises(ValueError, match="64x64"):
        Theatre(seed=1, width=32, height=32, frame_count=5)
    with pytest.raises(IndexError, match="frame 60"):
        small(1).frame(60)
