"""A frame and its mirror image as one answer, by a network that is seen through."""

import numpy as np
import pytest
import torch

from flows.annotation_loops import open_models
from flows.models import open_overseer
from flows.settings import AnnotateSettings
from overseer.mirrored_views import MirroredViews
from samples.theatre import Theatre
from tests.conftest import BACKENDS, random_overseer

HEIGHT, WIDTH = 40, 60


class SeesSquares:
    """Finds the bright square of a picture, surer of it on the left; answers as it is told."""

    def __init__(self, on_the_left, on_the_right):
        self._answers = on_the_left, on_the_right

    def __call__(self, pictures):
        return [self._answer(picture) for picture in pictures]

    def _answer(self, picture):
        mask = picture[0] > 0.5
        columns, rows = mask.any(0).nonzero()[:, 0], mask.any(1).nonzero()[:, 0]
        left, right = int(columns.min()), int(columns.max()) + 1
        seen = self._answers[int(left + right > WIDTH)]
        box = torch.tensor([left, int(rows.min()), right, int(rows.max()) + 1]).float()
        return {
            "boxes": box.repeat(len(seen), 1),
            "labels": torch.tensor([label for label, _ in seen], dtype=torch.int64),
            "scores": torch.tensor([score for _, score in seen]),
            "masks": mask.float().expand(len(seen), 1, HEIGHT, WIDTH),
        }


def look(on_the_left, on_the_right, least_score=0.3):
    """Look at a picture with a square on its left, in the mirror image of which it is right."""
    picture = torch.zeros(3, HEIGHT, WIDTH)
    picture[:, 10:20, 5:15] = 1
    (output,) = MirroredViews(SeesSquares(on_the_left, on_the_right), least_score)([picture])
    return output, picture[0]


def test_what_both_views_see_counts_with_the_mean():
    output, true = look([(3, 0.9)], [(3, 0.7)])
    assert output["boxes"].tolist() == [[5, 10, 15, 20]]
    assert output["labels"].tolist() == [3]
    assert output["scores"].tolist() == pytest.approx([0.8])
    assert torch.equal(output["masks"][0, 0], true)


@pytest.mark.parametrize(("score", "left"), [(0.9, [0.72]), (0.35, [])])
def test_what_one_view_alone_sees_counts_less(score, left):
    for answers in (([(3, score)], []), ([], [(3, score)])):
        output, _ = look(*answers)
        assert output["scores"].tolist() == pytest.approx(left)
        assert output["boxes"].tolist() == [[5, 10, 15, 20]] * len(left)


def test_views_that_disagree_on_the_class_are_not_joined():
    output, _ = look([(3, 0.8)], [(4, 0.9)])
    assert output["labels"].tolist() == [4, 3]
    assert output["scores"].tolist() == pytest.approx([0.72, 0.64])


def test_nothing_seen_is_nothing():
    output, _ = look([], [])
    assert {name: len(values) for name, values in output.items()} == dict.fromkeys(output, 0)
    assert output["masks"].shape[1:] == (1, HEIGHT, WIDTH)


@pytest.fixture(scope="module", params=BACKENDS)
def overseer(request):
    return random_overseer(request.param)


def assert_mirrored(found, other):
    assert len(found) > 0
    assert found.class_ids.tolist() == other.class_ids.tolist()
    assert np.allclose(found.scores, other.scores, atol=1e-4)
    same = (found.masks == other.masks[:, :, ::-1]).mean()
    assert same > 0.999


def test_a_mirrored_frame_has_mirrored_detections(overseer):
    image = np.random.default_rng(1).integers(0, 256, (1, 120, 160, 3)).astype(np.uint8)
    (found,) = overseer.mirrored.detect(image)
    (other,) = overseer.mirrored.detect(np.ascontiguousarray(image[:, :, ::-1]))
    assert_mirrored(found, other)


def test_the_overseer_that_ships_sees_a_mirrored_scene_mirrored():
    """By itself it does not, which is why two views are better than one."""
    image = next(iter(Theatre(seed=3, width=320, height=180, frame_count=1))).image[None]
    overseer = open_overseer("scopeline", torch.device("cpu"))
    mirrored = np.ascontiguousarray(image[:, :, ::-1])
    assert_mirrored(overseer.mirrored.detect(image)[0], overseer.mirrored.detect(mirrored)[0])
    with pytest.raises(AssertionError):
        assert_mirrored(overseer.detect(image)[0], overseer.detect(mirrored)[0])


def test_the_setting_chooses_how_the_models_of_a_job_look():
    once, twice = (
        open_models(AnnotateSettings(policy="framewise", overseer_views=views))[0]
        for views in ("one", "mirrored")
    )
    assert twice is once.mirrored
    assert AnnotateSettings().overseer_views == "one"
