"""Signs in the picture: cuts are told from motion, light and darkness."""

import cv2
import numpy as np
import pytest

from pipeline.scene_changes import FrameSigns, SceneWatch
from samples.theatre import Theatre
from samples.theatre.effects import Effects


def picture(seed, brightness=1.0):
    colors = np.random.default_rng(seed).uniform(20, 200, (6, 8, 3))
    return (np.kron(colors, np.ones((16, 16, 1))) * brightness).astype(np.uint8)


def cuts(images):
    watch = SceneWatch()
    return [index for index, image in enumerate(images) if watch.look(image).cut]


def test_another_picture_is_a_cut():
    assert cuts([picture(0)] * 5 + [picture(1)] * 5) == [5]


def test_light_that_changes_is_no_cut():
    assert cuts([picture(0, share) for share in (1, 0.8, 0.5, 0.4, 0.9)]) == []


def test_a_picture_that_moves_is_no_cut():
    wide = cv2.GaussianBlur(np.concatenate([picture(0), picture(1)], 1), (0, 0), 8)
    assert cuts([wide[:, shift : shift + 128] for shift in range(0, 120, 6)]) == []


def test_a_sudden_swing_is_no_cut():
    wide = cv2.GaussianBlur(np.concatenate([picture(0), picture(1)], 1), (0, 0), 3)
    shifts = [0] * 5 + [20, 45, 70, 90, 95]
    assert cuts([wide[:, shift : shift + 128] for shift in shifts]) == []


def test_darkness_is_black_and_begins_and_ends_with_a_cut():
    watch = SceneWatch()
    signs = [watch.look(image) for image in [picture(0)] * 2 + [picture(0, 0)] * 2 + [picture(0)]]
    assert signs == [
        FrameSigns(),
        FrameSigns(),
        FrameSigns(cut=True, black=True),
        FrameSigns(black=True),
        FrameSigns(cut=True),
    ]


@pytest.mark.parametrize("seed", [11, 12])
def test_the_cuts_of_a_scene_are_found_and_nothing_else(seed):
    effects = Effects(cuts_per_minute=40, exits_per_minute=20, exposure_swing=0.4, smoke=0.4)
    theatre = Theatre(
        seed=seed, width=128, height=72, frame_count=150, family="training", effects=effects
    )
    frames = list(theatre)
    truth = [frame.index for frame in frames if "cut" in frame.flags]
    assert truth
    assert cuts([frame.image for frame in frames]) == truth
