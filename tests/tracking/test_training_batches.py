"""Which frames and tracks of labelled clips a step of training takes."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from pipeline.errors import InputError
from pipeline.labelled_clip import IGNORED, LabelledClip
from tracking.training.batches import Stage, sample_batch


def moving_square():
    """Twelve frames of two squares, the second of which is hidden from frame 4 on."""
    track_maps = np.zeros((12, 64, 96), np.uint8)
    for frame, track_map in enumerate(track_maps):
        track_map[10:30, 10 + frame : 30 + frame] = 1
        if frame < 4:
            track_map[40:60, 10:30] = 2
    images = np.repeat(60 * track_maps[..., None], 3, -1)
    return LabelledClip(images=images, track_maps=track_maps, class_of_track={1: 1, 2: 1})


class ZeroFeatures:
    def features(self, clip, frames, region=None):
        return [torch.zeros(len(frames), 1, 2, 2)]


def test_runs_of_frames_are_evenly_spaced_and_tracks_that_vanish_come_more_often():
    random = np.random.default_rng(0)
    stage = Stage(until=1.0, frames=4, clips=1, tracks=1)
    vanishing = 0
    for _ in range(60):
        batch = sample_batch(random, [moving_square()], ZeroFeatures(), stage, 64)
        assert batch.targets.shape == (1, 4, 64, 64)
        shows = batch.targets[0].flatten(1).any(1).tolist()
        assert shows[0]
        vanishing += not all(shows)
    # The square that stays shows in each run, the other in some 40 % of the first frames.
    assert vanishing > 15


class FrameNumbers:
    """Remembers of which frames features were asked."""

    def __init__(self):
        self.runs = []

    def features(self, clip, frames, region=None):
        self.runs.append(list(frames))
        return [torch.zeros(len(frames), 1, 2, 2)]


def steps_of_runs(stage):
    """Return the frames from each to the next one, of 60 runs."""
    random, numbers = np.random.default_rng(0), FrameNumbers()
    for _ in range(60):
        sample_batch(random, [moving_square()], numbers, stage, 64)
    assert all(0 <= frame < 12 for run in numbers.runs for frame in run)
    return [[abs(after - before) for before, after in pairwise(run)] for run in numbers.runs]


def test_a_run_that_leaps_leaves_out_a_stretch_between_frames_that_follow_each_other():
    stage = Stage(until=1.0, frames=4, clips=1, tracks=1, leap_share=1.0)
    for first, across, last in steps_of_runs(stage):
        assert first == last <= 2
        # Twelve frames leave 8 to spare where neighbours are drawn, 5 where each second one is.
        assert across >= first + (4 if first == 1 else 2)


def test_a_run_leaps_as_often_as_its_stage_says_and_only_if_it_is_long_enough():
    never = Stage(until=1.0, frames=4, clips=1, tracks=1)
    assert all(len(set(steps)) == 1 for steps in steps_of_runs(never))
    too_short = Stage(until=1.0, frames=3, clips=1, tracks=1, leap_share=1.0)
    assert all(len(set(steps)) == 1 for steps in steps_of_runs(too_short))
    half = Stage(until=1.0, frames=4, clips=1, tracks=1, leap_share=0.5)
    leaps = sum(len(set(steps)) > 1 for steps in steps_of_runs(half))
    assert 20 <= leaps <= 40


def test_a_target_can_be_two_tracks_at_once():
    stage = Stage(until=1.0, frames=2, clips=1, tracks=1)
    random = np.random.default_rng(0)
    areas = set()
    for _ in range(30):
        batch = sample_batch(random, [moving_square()], ZeroFeatures(), stage, 64, group_share=1.0)
        areas.add(round(float(batch.targets[0, 0].mean()) * 64 * 96 / 400))
    # Squares of 20 by 20 pixels: one where the second is hidden or drawn to itself, else both.
    assert areas == {1, 2}


class PictureSizes:
    """Remembers how large the pictures were that features were asked of."""

    def __init__(self, clips):
        self.clips = clips
        self.seen = []

    def features(self, clip, frames, region=None):
        images = self.clips[clip].images[list(frames)]
        self.seen.append(images.shape if region is None else region.cut_from(images).shape)
        return [torch.zeros(len(frames), 1, 2, 2)]


def test_a_view_from_near_shows_the_surroundings_of_a_track_in_picture_and_target():
    clip = moving_square()
    alone = replace(clip, track_maps=np.where(clip.track_maps == 1, clip.track_maps, 0))
    pictures = PictureSizes([alone])
    stage = Stage(until=1.0, frames=1, clips=1, tracks=1, near_share=1.0)
    random = np.random.default_rng(0)
    for _ in range(30):
        batch = sample_batch(random, [alone], pictures, stage, 64)
        _, height, width, _ = pictures.seen[-1]
        # The square of 20 by 20 pixels is whole in each view, and larger than in the picture.
        assert float(batch.targets.mean()) == pytest.approx(400 / (height * width), rel=0.2)
        assert height * width < 64 * 96
    assert len({shape[1:3] for shape in pictures.seen}) > 10


def test_most_views_from_near_are_squares_as_those_of_the_tracker():
    clip = moving_square()
    thin = np.zeros_like(clip.track_maps)
    thin[:, 30:34, 30:66] = 1
    pictures = PictureSizes([replace(clip, track_maps=thin)])
    stage = Stage(until=1.0, frames=1, clips=1, tracks=1, near_share=1.0)
    random = np.random.default_rng(0)
    for _ in range(30):
        sample_batch(random, pictures.clips, pictures, stage, 256)
    # As high as the picture, where a square would be higher; else 40 pixels, the least.
    squares = sum(height > 42 for _, height, _, _ in pictures.seen)
    assert 10 < squares < 28


def test_clips_without_an_object_to_follow_are_refused_instead_of_drawn_for_ever():
    clip = moving_square()
    empty = replace(clip, track_maps=np.zeros_like(clip.track_maps))
    stage = Stage(until=1.0, clips=2, frames=2, tracks=1)
    with pytest.raises(InputError, match="0 have an object that is large enough to follow"):
        sample_batch(np.random.default_rng(0), [empty], ZeroFeatures(), stage, 64)


def test_what_the_labels_leave_open_goes_with_the_targets():
    clip = moving_square()
    maps = np.array(clip.track_maps)
    maps[:, -16:] = IGNORED
    stage = Stage(until=1.0, clips=1, frames=2, tracks=2)
    random = np.random.default_rng(0)
    batch = sample_batch(random, [replace(clip, track_maps=maps)], ZeroFeatures(), stage, 64)
    assert batch.ignored.shape == batch.targets.shape
    assert float(batch.ignored.mean()) == pytest.approx(16 / maps.shape[1], abs=0.02)
    assert not (batch.ignored * batch.targets).any()
    assert sample_batch(random, [clip], ZeroFeatures(), stage, 64).ignored is None
