"""Which frames and tracks of labelled clips a step of training takes."""

import numpy as np
import torch

from pipeline.labelled_clip import LabelledClip
from tracking.training_batches import Stage, sample_batch


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
    def features(self, clip, frames):
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


def test_a_target_can_be_two_tracks_at_once():
    stage = Stage(until=1.0, frames=2, clips=1, tracks=1)
    random = np.random.default_rng(0)
    areas = set()
    for _ in range(30):
        batch = sample_batch(random, [moving_square()], ZeroFeatures(), stage, 64, group_share=1.0)
        areas.add(round(float(batch.targets[0, 0].mean()) * 64 * 96 / 400))
    # Squares of 20 by 20 pixels: one where the second is hidden or drawn to itself, else both.
    assert areas == {1, 2}
