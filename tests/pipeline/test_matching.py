"""Which detection is which track; the policy's tests cover the thresholds in its rules."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.policies.constellation.matching import (
    explain,
    explain_by_class,
    twin_tracks,
    without_second_classes,
)
from pipeline.policies.constellation.settings import ConstellationSettings
from tests.conftest import rectangle
from tests.hand_made import GRASPER, HOOK, LEFT, LIVER, MIDDLE, NOTHING, RIGHT, followed, seen


def matches(detections, tracked, classes, labels):
    return explain(detections, tracked, classes, labels, ConstellationSettings())


def test_a_thing_seen_as_two_kinds_counts_as_the_surer_one(labels_with_hook):
    twice = seen((GRASPER, LEFT, 0.7), (HOOK, LEFT, 0.9), (LIVER, LEFT, 0.6), (HOOK, RIGHT, 0.5))
    kept = without_second_classes(twice, labels_with_hook, 0.5)
    assert kept.class_ids.tolist() == [HOOK, LIVER, HOOK]
    assert kept.scores.tolist() == pytest.approx([0.9, 0.6, 0.5])


def test_two_of_one_kind_stay_two(labels_with_hook):
    twins = seen((GRASPER, LEFT, 0.7), (GRASPER, np.roll(LEFT, 1, 1), 0.9))
    assert len(without_second_classes(twins, labels_with_hook, 0.5)) == 2


def test_each_detection_is_at_most_one_track_and_the_other_way_round(labels):
    detections = seen((GRASPER, LEFT, 0.9), (GRASPER, np.roll(LEFT, 2, 1), 0.8))
    assert matches(detections, followed((1, LEFT, 1.0)), {1: GRASPER}, labels) == {0: 0}


def test_the_same_class_comes_before_the_better_overlap(labels):
    tracked = followed((1, LEFT, 1.0), (2, np.roll(LEFT, 4, 1), 1.0))
    assert matches(seen((GRASPER, LEFT, 0.9)), tracked, {1: LIVER, 2: GRASPER}, labels) == {0: 1}


def test_a_part_within_a_track_is_that_track(labels):
    part = rectangle(4, 4, 8, 6)
    assert matches(seen((GRASPER, part, 0.9)), followed((1, LEFT, 1.0)), {1: GRASPER}, labels)


def test_by_class_alone_the_surest_takes_what_is_free():
    detections = seen((GRASPER, MIDDLE, 0.5), (GRASPER, RIGHT, 0.9))
    tracked = followed((1, LEFT, 1.0))
    alike = np.ones((2, 1))
    assert explain_by_class(detections, tracked, {1: GRASPER}, {}, alike, 0.4) == {1: 0}
    assert explain_by_class(detections, tracked, {1: GRASPER}, {0: 0}, alike, 0.4) == {}
    assert explain_by_class(detections, tracked, {1: HOOK}, {}, alike, 0.4) == {}


def test_by_class_alone_each_goes_to_the_track_that_looks_like_it():
    detections = seen((GRASPER, MIDDLE, 0.5), (GRASPER, RIGHT, 0.9))
    tracked = followed((1, LEFT, 1.0), (2, NOTHING, 0.0))
    classes = {1: GRASPER, 2: GRASPER}
    likeness = np.array([[0.9, 0.5], [0.8, 0.6]])
    assert explain_by_class(detections, tracked, classes, {}, likeness, 0.4) == {0: 0, 1: 1}
    assert explain_by_class(detections, tracked, classes, {}, likeness, 0.7) in ({0: 0}, {1: 0})


def test_a_thing_on_an_organ_is_not_its_twin(labels):
    tracked = replace(followed((1, LEFT, 1.0), (2, LEFT, 1.0)), claims=np.ones((2, 2), np.float32))
    assert twin_tracks(tracked, {}, {1: GRASPER, 2: LIVER}, labels, 0.6) == []
    assert twin_tracks(tracked, {}, {1: GRASPER, 2: GRASPER}, labels, 0.6) == [(1, 2)]
