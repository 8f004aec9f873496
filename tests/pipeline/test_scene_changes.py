"""Signs in the picture: cuts are told from motion, light and darkness."""

import json

import cv2
import numpy as np
import pytest

from pipeline.annotate import PromptedTracking
from pipeline.frames import open_video
from pipeline.policies.given import Given
from pipeline.records import FrameBatch
from pipeline.scene_changes import FrameSigns, SceneWatch
from samples.theatre import Theatre
from samples.theatre.effects import Effects
from tracking.baselines import FlowMasks


def picture(seed, brightness=1.0):
    colors = np.random.default_rng(seed).uniform(20, 200, (6, 8, 3))
    return (np.kron(colors, np.ones((16, 16, 1))) * brightness).astype(np.uint8)


def cuts(images):
    watch = SceneWatch()
    return [index for index, image in enumerate(images) if watch.look(image).cut]


@pytest.mark.parametrize("size", [(1, 1), (2, 64), (64, 2)])
def test_a_picture_that_is_too_small_for_detail_has_none(size):
    watch = SceneWatch()
    signs = [watch.look(np.full((*size, 3), 128, np.uint8)) for _ in range(20)]
    assert not any(sign.unusable for sign in signs)
    # Without NaN, which JSON has not.
    json.dumps(watch.state(), allow_nan=False)


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


def textured(shift=0):
    noise = np.random.default_rng(3).uniform(0, 255, (180, 400)).astype(np.float32)
    wide = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 1.2), None, 20, 220, cv2.NORM_MINMAX)
    return np.repeat(wide[:, shift : shift + 320, None], 3, -1).astype(np.uint8)


def smeared(image):
    return cv2.blur(image, (13, 1))


def out_of_focus(image):
    return cv2.GaussianBlur(image, (0, 0), 3)


def blurred(images):
    watch = SceneWatch()
    return [index for index, image in enumerate(images) if watch.look(image).blurred]


@pytest.mark.parametrize("spoil", [smeared, out_of_focus])
def test_frames_that_are_smeared_or_out_of_focus_are_blurred(spoil):
    sharp = [textured(index) for index in range(30)]
    spoilt = [spoil(image) if 15 <= index < 20 else image for index, image in enumerate(sharp)]
    assert blurred(spoilt) == [15, 16, 17, 18, 19]
    assert blurred(sharp) == []


def test_a_scene_that_stays_smooth_is_not_blurred_for_ever():
    frames = [textured(0)] * 12 + [out_of_focus(textured(0))] * 60
    assert blurred(frames)[-1] < 40


def test_smoke_and_haste_leave_frames_usable():
    effects = Effects(smoke=0.6, exposure_swing=0.4)
    theatre = Theatre(
        seed=13, width=320, height=180, frame_count=60, family="training", effects=effects
    )
    assert blurred(frame.image for frame in theatre) == []


def test_a_real_laparoscopy_without_blur_is_not_blurred(real_video):
    frames = (image for batch in open_video(real_video).batches(8) for image in batch.images)
    assert blurred(frames) == []


def test_what_it_has_seen_survives_a_restart():
    frames = [textured(index) for index in range(14)]
    watch, again = SceneWatch(), SceneWatch()
    for image in frames:
        watch.look(image)
    again.restore(json.loads(json.dumps(watch.state())))
    assert again.look(smeared(textured(14))) == watch.look(smeared(textured(14)))
    assert again.state() == watch.state()


def test_the_first_frame_behind_one_that_does_not_decode_is_no_cut(small_video):
    images = next(iter(open_video(small_video).batches(8))).images + np.uint8(40)
    policy = Given({})
    loop = PromptedTracking(overseer=None, tracker=FlowMasks(), policy=policy)
    indices = np.arange(8)
    batch = FrameBatch(
        indices=indices, times=indices / 25, images=np.concatenate([images[:1] * 0, images[1:]]),
        undecodable=frozenset({0}),
    )  # fmt: skip
    frames = [*loop.step(batch), *loop.finish()]
    assert frames[0].flags == ("undecodable",)
    assert all(frame.flags == () for frame in frames[1:])
