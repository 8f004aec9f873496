"""Several views of a prompt: each is asked in its own pixels, and the answers are joined."""

import numpy as np
import pytest

from pipeline.records import Prompt, PromptReason
from tests.conftest import rectangle
from tracking.prompt_views import mask_from_views

SIZE = (120, 200)
OBJECT = rectangle(40, 30, 70, 50, SIZE)
IMAGE = np.repeat(OBJECT[..., None] * np.uint8(200), 3, -1)


def prompt(box=None, points=None):
    return Prompt(
        frame_index=0,
        track_id=1,
        class_id=1,
        reason=PromptReason.HUMAN,
        box=None if box is None else np.array(box, np.float32),
        points=None if points is None else np.array(points, np.float32),
    )


class BrightThings:
    """Answers with whatever is bright, and remembers what it was asked."""

    def __init__(self, qualities=(0.8,)):
        self.asked = []
        self._qualities = list(qualities)

    def __call__(self, image, hint):
        self.asked.append((image, hint))
        quality = self._qualities[len(self.asked) % len(self._qualities)]
        return np.where(image[..., 0] > 100, 6.0, -6.0).astype(np.float32), quality


def brightness_at_points(image, hint):
    places = hint.points[hint.points[:, 2] > 0, :2].astype(int)
    return [int(image[y, x, 0]) for x, y in places]


def test_the_answers_of_all_views_make_the_mask():
    seen = mask_from_views(BrightThings((0.6, 0.8)), IMAGE, prompt(box=[40, 30, 70, 50]))
    assert np.array_equal(seen.mask, OBJECT)
    assert seen.quality == pytest.approx(0.7)


def test_a_box_is_asked_as_it_is_mirrored_and_from_near():
    eyes = BrightThings()
    mask_from_views(eyes, IMAGE, prompt(box=[40, 30, 70, 50]))
    assert [image.shape[:2] for image, _ in eyes.asked] == [SIZE, SIZE, (48, 66), (48, 66)]
    for image, hint in eyes.asked:
        left, top, right, bottom = hint.box.astype(int)
        assert (image[top:bottom, left:right, 0] == 200).all()
        assert (right - left, bottom - top) == (30, 20)


def test_points_stay_on_their_object_in_each_view():
    eyes = BrightThings()
    mask_from_views(eyes, IMAGE, prompt(points=[[45, 35, 1], [65, 45, 1], [90, 40, 0]]))
    assert len(eyes.asked) == 4
    for image, hint in eyes.asked:
        assert brightness_at_points(image, hint) == [200, 200]
        assert hint.points[:, 2].tolist() == [1, 1, 0]


def test_an_object_that_only_a_near_look_shows_is_found():
    def short_sighted(image, hint):
        del hint
        near = image.shape[0] < SIZE[0]
        answer = 8.0 if near else -2.0
        return np.where(image[..., 0] > 100, answer, -8.0).astype(np.float32), 0.5

    seen = mask_from_views(short_sighted, IMAGE, prompt(box=[40, 30, 70, 50]))
    assert np.array_equal(seen.mask, OBJECT)


@pytest.mark.parametrize(
    "hint",
    [
        {"points": [[199, 119, 0]]},
        {"points": [[0, 0, 1]]},
        {"box": [190, 110, 200, 120]},
        {"box": [250, 10, 260, 20]},
    ],
)
def test_prompts_at_the_edge_and_beyond_are_answered(hint):
    seen = mask_from_views(BrightThings(), IMAGE, prompt(**hint))
    assert seen.mask.shape == SIZE
