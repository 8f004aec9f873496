"""Trackers without a network: a mask that stays, and one that moves with the picture."""

import cv2
import numpy as np
import pytest

from pipeline.masks import iou_matrix
from pipeline.records import Prompt, PromptReason
from tracking.baselines import FlowMasks, HeldMasks

HEIGHT, WIDTH, STEP_PX = 96, 160, 3


@pytest.fixture(scope="module")
def moving():
    """Pictures and true masks of a textured square that moves to the right: uint8, bool."""
    random = np.random.default_rng(4)
    ground = cv2.GaussianBlur(random.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8), (0, 0), 2)
    square = cv2.GaussianBlur(random.integers(60, 255, (40, 40, 3), np.uint8), (0, 0), 1.5)
    images, masks = [], []
    for frame in range(12):
        left = 20 + STEP_PX * frame
        image, mask = ground.copy(), np.zeros((HEIGHT, WIDTH), bool)
        image[30:70, left : left + 40] = square
        mask[30:70, left : left + 40] = True
        images.append(image)
        masks.append(mask)
    return np.stack(images), np.stack(masks)


def prompt(mask, track_id=1, frame_index=0, **changes):
    fields = {"class_id": 1, "reason": PromptReason.HUMAN, "mask": mask} | changes
    return Prompt(frame_index=frame_index, track_id=track_id, **fields)


def overlaps(tracker, images, masks):
    """IoU with the true mask in each frame, prompted on the first."""
    found = []
    for index, image in enumerate(images):
        tracker.track(index, image)
        if index == 0:
            tracker.prompt([prompt(masks[0])])
        found.append(iou_matrix(tracker.result().masks, masks[index][None])[0, 0])
    return found


def test_a_held_mask_stays_where_it_was(moving):
    found = overlaps(HeldMasks(), *moving)
    assert found[0] == 1
    # Moved by 33 of 40 pixels: 7 columns of 73 are common.
    assert found[-1] == pytest.approx(7 / 73)


def test_a_flow_mask_moves_with_the_picture(moving):
    found = overlaps(FlowMasks(), *moving)
    assert min(found[:6]) > 0.85
    # Errors of the flow add up, but a held mask would be at 0.1 by now.
    assert found[-1] > 0.6


def test_masks_of_a_frame_do_not_overlap_and_the_smaller_is_in_front(moving):
    images, masks = moving
    tracker = HeldMasks()
    tracker.track(0, images[0])
    whole = np.ones((HEIGHT, WIDTH), bool)
    tracker.prompt([prompt(whole, track_id=1), prompt(masks[0], track_id=2)])
    result = tracker.result()
    assert np.array_equal(result.masks[0], ~masks[0])
    assert np.array_equal(result.masks[1], masks[0])
    tracker.end([1])
    assert tracker.result().track_ids.tolist() == [2]


@pytest.mark.parametrize("tracker", [HeldMasks(), FlowMasks()])
def test_another_video_begins_with_nothing(tracker, moving):
    images, masks = moving
    tracker.track(0, images[0])
    tracker.prompt([prompt(masks[0])])
    tracker.reset()
    tracker.track(0, images[0][:64, :64].copy())
    assert tracker.result().masks.shape == (0, 64, 64)


def test_only_masks_of_the_current_frame_are_taken(moving):
    images, masks = moving
    tracker = HeldMasks()
    tracker.track(3, images[3])
    with pytest.raises(ValueError, match="on frame 3"):
        tracker.prompt([prompt(masks[0], frame_index=0)])
    box = np.array([0, 0, 5, 5], np.float32)
    with pytest.raises(ValueError, match="starts from masks"):
        tracker.prompt([prompt(None, frame_index=3, box=box)])
