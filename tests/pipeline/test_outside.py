"""Whether a picture shows the body, by what was followed in it."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.policies.constellation.outside import shows_nothing_known
from pipeline.policies.constellation.settings import ConstellationSettings
from tests.hand_made import LEFT, RIGHT, seen

SETTINGS = ConstellationSettings(confirm_score=0.5, outside_likeness=0.8, outside_classes=3)
GREY, PINK = (1.0, 0.0), (0.0, 1.0)


def looks(*appearances, score=0.9):
    masks = [LEFT, RIGHT][: len(appearances)]
    found = seen(*((number + 1, mask, score) for number, mask in enumerate(masks)))
    return replace(found, appearances=np.array(appearances, np.float32).reshape(-1, 2))


@pytest.mark.parametrize(
    ("detections", "known", "nothing_known"),
    [
        (looks(), [GREY], True),
        (looks(GREY, score=0.4), [GREY], True),
        (looks(GREY), [GREY], False),
        (looks(PINK), [GREY], True),
        (looks(PINK, GREY), [GREY], False),
        (looks(PINK), [GREY, PINK], False),
        (looks((0.6, 0.8)), [GREY], True),
        (looks((0.8, 0.6)), [PINK, (0.99, 0.14)], False),
    ],
)
def test_one_familiar_thing_is_enough(detections, known, nothing_known):
    assert shows_nothing_known(detections, known, SETTINGS) is nothing_known


@pytest.mark.parametrize("known", [[], [()]])
def test_before_anything_was_followed_nothing_is_strange(known):
    assert not shows_nothing_known(looks(PINK), known, SETTINGS)


def test_without_features_what_is_seen_counts():
    plain = replace(looks(PINK), appearances=None)
    assert not shows_nothing_known(plain, [GREY], SETTINGS)


def test_many_classes_are_no_mistake():
    few = replace(SETTINGS, outside_classes=2)
    assert shows_nothing_known(looks(PINK, PINK), [GREY], SETTINGS)
    assert not shows_nothing_known(looks(PINK, PINK), [GREY], few)
