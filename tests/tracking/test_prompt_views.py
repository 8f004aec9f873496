"""Several views of a prompt: each is asked in its own pixels, and the answers are joined."""

from dataclasses import replace

import numpy as np
import pytest

from tests.conftest import place_prompt, rectangle
from tracking.frame_features import OfferedMasks, TrackOutput
from tracking.prompt_views import as_masks

SIZE = (120, 200)
OBJECT = rectangle(40, 30, 70, 50, SIZE)
IMAGE = np.repeat(OBJECT[..., None] * np.uint8(200), 3, -1)


def offered(*masks, quality=0.8):
    """Offer logits float32[H, W] of masks, all with one predicted IoU."""
    return OfferedMasks(
        logits=np.stack(masks).astype(np.float32), quality=np.full(len(masks), quality, np.float32)
    )


class BrightThings:
    """Answers with whatever is bright, and remembers what it was asked."""

    def __init__(self, qualities=(0.8,)):
        self.asked = []
        self._qualities = list(qualities)

    def __call__(self, image, hint):
        self.asked.append((image, hint))
        quality = self._qualities[len(self.asked) % len(self._qualities)]
        return offered(np.where(image[..., 0] > 100, 6.0, -6.0), quality=quality)


def brightness_at_points(image, hint):
    places = hint.points[hint.points[:, 2] > 0, :2].astype(int)
    return [int(image[y, x, 0]) for x, y in places]


def test_the_answers_of_all_views_make_the_mask():
    (seen,) = as_masks(BrightThings((0.6, 0.8)), IMAGE, [place_prompt(box=[40, 30, 70, 50])], {})
    assert np.array_equal(seen.mask, OBJECT)
    assert seen.score == pytest.approx(0.7)


def test_a_box_is_asked_as_it_is_mirrored_and_in_squares_from_near():
    eyes = BrightThings()
    as_masks(eyes, IMAGE, [place_prompt(box=[40, 30, 70, 50])], {})
    sizes = [image.shape[:2] for image, _ in eyes.asked]
    assert sizes == [SIZE] * 2 + [(48, 48)] * 2 + [(66, 66)] * 2 + [(88, 96)] * 2
    for image, hint in eyes.asked:
        left, top, right, bottom = hint.box.astype(int)
        assert (image[top:bottom, left:right, 0] == 200).all()
        assert (right - left, bottom - top) == (30, 20)


def test_points_stay_on_their_object_in_each_view():
    eyes = BrightThings()
    as_masks(eyes, IMAGE, [place_prompt(points=[[45, 35, 1], [65, 45, 1], [90, 40, 0]])], {})
    assert len(eyes.asked) == 8
    for image, hint in eyes.asked:
        assert brightness_at_points(image, hint) == [200, 200]
        assert hint.points[:, 2].tolist() == [1, 1, 0]


def test_an_object_that_only_a_near_look_shows_is_found():
    def short_sighted(image, hint):
        del hint
        near = image.shape[0] < SIZE[0]
        return offered(np.where(image[..., 0] > 100, 8.0 if near else -2.0, -8.0), quality=0.5)

    (seen,) = as_masks(short_sighted, IMAGE, [place_prompt(points=[[50, 40, 1], [60, 45, 1]])], {})
    assert np.array_equal(seen.mask, OBJECT)


def test_of_the_masks_that_are_offered_the_one_that_fits_the_box_counts():
    def in_two_minds(image, hint):
        del hint
        bright = image[..., 0] > 100
        return OfferedMasks(
            logits=np.where([bright, np.ones_like(bright)], 6.0, -6.0).astype(np.float32),
            quality=np.array([0.6, 0.7], np.float32),
        )

    (seen,) = as_masks(in_two_minds, IMAGE, [place_prompt(box=[40, 30, 70, 50])], {})
    assert np.array_equal(seen.mask, OBJECT)
    assert seen.score == pytest.approx(0.6)


def test_nothing_lies_far_beyond_the_box():
    def careless(image, hint):
        del hint
        return offered(np.full(image.shape[:2], 4.0))

    (seen,) = as_masks(careless, IMAGE, [place_prompt(box=[40, 30, 140, 80])], {})
    assert seen.mask[30:80, 40:140].all()
    assert not seen.mask[:, :38].any() and not seen.mask[:, 142:].any()
    assert not seen.mask[:29].any() and not seen.mask[81:].any()


def test_a_pixel_that_two_prompts_claim_goes_to_the_surer_one():
    def greedy(image, hint):
        small = hint.box[2] - hint.box[0] < 50
        return offered(np.full(image.shape[:2], 6.0 if small else 2.0))

    other = replace(place_prompt(box=[20, 10, 120, 90]), track_id=2)
    small, large = as_masks(greedy, IMAGE, [place_prompt(box=[40, 30, 70, 50]), other], {})
    assert small.mask[30:50, 40:70].all()
    assert large.mask[60:90, 20:120].all()
    assert not (small.mask & large.mask).any()


@pytest.mark.parametrize("point", [[199, 119, 0], [200, 120, 1], [0, 0, 1]])
def test_points_at_the_edge_are_answered(point):
    corner = rectangle(0, 0, 30, 20, SIZE)
    image = np.repeat(corner[..., None] * np.uint8(200), 3, -1)
    (seen,) = as_masks(BrightThings(), image, [place_prompt(points=[point])], {})
    assert np.array_equal(seen.mask, corner)


@pytest.mark.parametrize("other", [[95, 60, 0], [50, 40, 1]])
def test_of_the_masks_that_are_offered_the_one_that_fits_the_points_counts(other):
    """What lies on the wrong side of a point is not meant, however sure the network is of it."""

    def in_two_minds(image, hint):
        del hint
        bright = image[..., 0] > 100
        return OfferedMasks(
            logits=np.where([bright, image[..., 1] > 20], 6.0, -6.0).astype(np.float32),
            quality=np.array([0.6, 0.7], np.float32),
        )

    # The surer answer is another thing, not far away.
    image = IMAGE.copy()
    image[55:65, 80:110, 1] = 100
    image[30:50, 40:70, 1] = 0 if other[2] else 200
    (seen,) = as_masks(in_two_minds, image, [place_prompt(points=[[45, 35, 1], other])], {})
    assert np.array_equal(seen.mask, OBJECT)


def test_a_correction_leaves_what_is_tracked_and_fits():
    """The views see half of the object; memory all of it, or as much elsewhere, or it is gone."""

    def half_blind(image, hint):
        del hint
        return offered(np.where(image[..., 1] > 100, 2.0, -2.0))

    image = IMAGE.copy()
    image[:, 55:, 1] = 0
    given = place_prompt(box=[40, 30, 70, 50])
    for shift, presence, is_left in ((0, 1.0, True), (80, 1.0, False), (0, 0.2, False)):
        logits = np.where(np.roll(OBJECT, shift, 1), 6.0, -6.0).astype(np.float32)
        tracked = {1: TrackOutput(logits=logits, quality=0.8, presence=presence)}
        (seen,) = as_masks(half_blind, image, [given], tracked)
        assert np.array_equal(seen.mask, OBJECT) == is_left
        assert not (seen.mask & ~OBJECT).any()


@pytest.mark.parametrize("box", [[190, 110, 200, 120], [250, 10, 260, 20]])
def test_a_box_in_which_no_view_sees_anything_stays_a_box(box):
    (seen,) = as_masks(BrightThings(), IMAGE, [place_prompt(box=box)], {})
    assert seen.mask is None
    assert seen.box.tolist() == box


def test_a_point_that_no_view_covers_stays_a_point():
    (seen,) = as_masks(BrightThings(), IMAGE, [place_prompt(points=[[5, 5, 1]])], {})
    assert seen.mask is None
    assert seen.points.tolist() == [[5, 5, 1]]


def test_a_prompt_by_a_mask_is_not_asked():
    eyes = BrightThings()
    given = replace(place_prompt(box=[0, 0, 9, 9]), box=None, mask=OBJECT)
    assert as_masks(eyes, IMAGE, [given], {}) == [given]
    assert not eyes.asked


def test_points_are_asked_from_near_around_what_the_first_look_found():
    """Around all of the object, though they lie in its corner; what it is not lies farther off."""
    looks = []
    for prompt in (
        place_prompt(box=[40, 30, 70, 50]),
        place_prompt(points=[[42, 32, 1], [150, 100, 0]]),
    ):
        eyes = BrightThings()
        as_masks(eyes, IMAGE, [prompt], {})
        looks.append([image for image, _ in eyes.asked])
    for of_box, of_points in zip(*looks, strict=True):
        assert np.array_equal(of_box, of_points)


def test_of_several_prompts_for_a_track_the_last_is_asked():
    first, last = place_prompt(points=[[150, 100, 1]]), place_prompt(box=[40, 30, 70, 50])
    kept, seen = as_masks(BrightThings(), IMAGE, [first, last], {})
    assert kept is first
    assert np.array_equal(seen.mask, OBJECT)
    assert (seen.box, seen.points) == (None, None)
