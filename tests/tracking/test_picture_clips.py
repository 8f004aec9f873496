"""Clips made of labelled frames: truth by construction, and identities only where they are plain."""

from itertools import pairwise

import numpy as np

from pipeline.labelled_clip import IGNORED, LabelledClip
from tests.conftest import rectangle
from tracking.training.picture_clips import (
    PictureClips,
    linked_runs,
    moving_picture,
    runs_of_videos,
)


def frame(*objects, size=(32, 48)):
    """A labelled frame: each object is (class id, mask) and as bright as its class times 60."""
    track_map = np.zeros(size, np.uint8)
    image = np.zeros((*size, 3), np.uint8)
    classes = {}
    for track_id, (class_id, mask) in enumerate(objects, start=1):
        track_map[mask] = track_id
        image[mask] = 60 * class_id
        classes[track_id] = class_id
    return LabelledClip(images=image[None], track_maps=track_map[None], class_of_track=classes)


def square(left, top=8):
    return rectangle(left, top, left + 12, top + 12)


def test_an_object_keeps_its_track_id_while_it_moves_and_after_others_come():
    frames = [
        frame((1, square(4))),
        frame((1, square(7))),
        frame((2, square(30)), (1, square(10))),
    ]
    (run,) = linked_runs(frames)
    assert len(run) == 3
    assert [int(run.track_maps[index][12, 12]) for index in range(3)] == [1, 1, 1]
    assert run.class_of_track[int(run.track_maps[2][12, 35])] == 2
    assert run.class_of_track[1] == 1


def test_an_object_that_leaves_ends_no_run():
    (run,) = linked_runs([frame((1, square(4)), (2, square(30))), frame((1, square(5)))])
    assert set(np.unique(run.track_maps[1])) == {0, 1}


def test_a_run_ends_where_it_is_not_plain_which_object_is_which():
    jump = [frame((1, square(2))), frame((1, square(30)))]
    assert [len(run) for run in linked_runs(jump)] == [1, 1]
    other_size = [
        frame((1, square(2))),
        frame((1, rectangle(2, 8, 14, 20, (40, 48))), size=(40, 48)),
    ]
    assert [len(run) for run in linked_runs(other_size)] == [1, 1]


def test_frames_of_two_videos_are_never_joined():
    frames = [frame((1, square(4)))] * 4
    runs = runs_of_videos(frames, ["a", "a", "b", "b"])
    assert [len(run) for run in runs] == [2, 2]


def test_what_moves_stays_what_it_is():
    frames = [frame((1, square(4)), (2, square(30))), frame((3, square(16)))]
    for seed in range(8):
        clip = moving_picture(np.random.default_rng(seed), frames, 5)
        assert clip.images.shape == (5, 32, 48, 3)
        for track_id, class_id in clip.class_of_track.items():
            shown = clip.track_maps == track_id
            if shown.any():
                # Its inner pixels have the object's own brightness; edges are blended.
                assert np.median(clip.images[shown]) == 60 * class_id


def test_things_move_in_a_clip_of_one_frame():
    clip = moving_picture(np.random.default_rng(3), [frame((1, square(18)))], 6)
    maps = [clip.track_maps[index] == 1 for index in range(6)]
    assert any((maps[0] != other).any() for other in maps[1:])


def test_a_mirror_image_beyond_the_edge_is_no_background():
    at_the_edge = frame((1, square(0)))
    clips = [moving_picture(np.random.default_rng(seed), [at_the_edge], 6) for seed in range(12)]
    assert any((clip.track_maps == IGNORED).any() for clip in clips)
    for clip in clips:
        # What has the brightness of the object, or of what was cut out of it, is never background.
        assert clip.track_maps[clip.images[..., 0] == 60].all()


def test_clips_are_the_same_at_one_number_and_differ_between_numbers():
    frames = [frame((1, square(4 + number))) for number in range(5)]
    clips, again = (PictureClips(frames, ["v"] * 5, length=8, count=6, seed=4) for _ in range(2))
    assert len(clips) == 6
    for number in range(6):
        assert len(clips[number]) == 8
        assert np.array_equal(clips[number].images, again[number].images)
    assert not np.array_equal(clips[0].images, clips[2].images)


def test_every_second_clip_is_true_motion_played_to_and_fro():
    frames = [frame((1, square(4 + 2 * number))) for number in range(4)]
    clip = PictureClips(frames, ["v"] * 4, length=8, count=2, seed=0)[1]
    lefts = [int(np.flatnonzero((clip.track_maps[index] == 1).any(0))[0]) for index in range(8)]
    assert set(lefts) == {4, 6, 8, 10}
    assert all(abs(after - before) == 2 for before, after in pairwise(lefts))
