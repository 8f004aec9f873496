"""How the constellation corrects and refines outlines, on hand-made detections and tracks."""

import numpy as np

from pipeline.policies.constellation.looks import Adaptive, AdaptiveLookSettings, EveryNth
from pipeline.policies.constellation.policy import Constellation
from pipeline.policies.constellation.settings import ConstellationSettings, Rule
from pipeline.records import PromptReason
from tests.hand_made import GRASPER, HERE, LEFT, LIVER, MIDDLE, RIGHT, followed, seen, start


def test_a_correction_has_the_class_of_the_track_not_of_the_detection(labels):
    settings = ConstellationSettings(other_class_iou=0.3, distinct_iou=1.0)
    policy = Constellation(labels, settings, EveryNth(1))
    start(policy, GRASPER)
    other = seen((LIVER, np.roll(LEFT, 3, 1), 0.7)), followed((1, LEFT, 1.0))
    (prompt,) = policy.decide(1, *other).prompts
    assert (prompt.track_id, prompt.reason) == (1, PromptReason.DRIFTED)
    assert prompt.class_id == GRASPER


def test_an_outline_that_nearly_agrees_is_refined(labels):
    settings = ConstellationSettings(drift_iou=0.5, refine_iou=0.99)
    policy = Constellation(labels, settings, EveryNth(1))
    start(policy)
    nearly = seen((GRASPER, np.roll(LEFT, 2, 1), 0.9))
    (prompt,) = policy.decide(1, nearly, followed((1, LEFT, 1.0))).prompts
    assert prompt.reason is PromptReason.REFRESHED
    row = int(np.flatnonzero(LEFT.any(1)).mean())
    assert np.array_equal(prompt.mask[row], np.roll(LEFT, 1, 1)[row])


def test_an_outline_is_not_refined_by_a_doubtful_detection(labels):
    settings = ConstellationSettings(drift_iou=0.5, refine_iou=0.99, drift_score=0.95)
    policy = Constellation(labels, settings, EveryNth(1))
    start(policy)
    nearly = seen((GRASPER, np.roll(LEFT, 2, 1), 0.9))
    assert not policy.decide(1, nearly, followed((1, LEFT, 1.0))).prompts


def corrected(labels, overlap, rules=frozenset(Rule), score=0.9):
    """The mask of a correction, where a detection lies this much of a square beside a track."""
    settings = ConstellationSettings(rules=rules, drift_iou=0.9, drift_looks=1, midway_iou=0.5)
    policy = Constellation(labels, settings, EveryNth(1))
    start(policy)
    detected = np.roll(LEFT, overlap, 1)
    decision = policy.decide(1, seen((GRASPER, detected, score)), followed((1, LEFT, 1.0)))
    (prompt,) = decision.prompts
    assert prompt.reason is PromptReason.DRIFTED
    return prompt.mask, detected


def test_a_correction_near_the_track_lies_half_way_between_track_and_detection(labels):
    mask, _ = corrected(labels, 2)
    row = int(np.flatnonzero(LEFT.any(1)).mean())
    assert np.array_equal(mask[row], np.roll(LEFT, 1, 1)[row])


def test_a_correction_of_a_lost_track_is_the_detection(labels):
    width = int(LEFT.any(0).sum())
    mask, detected = corrected(labels, width // 2)
    assert np.array_equal(mask, detected)


def test_without_its_rule_a_correction_is_the_detection(labels):
    mask, detected = corrected(labels, 2, rules=frozenset(Rule) - {Rule.MIDWAY})
    assert np.array_equal(mask, detected)


def test_what_the_overseer_is_very_sure_of_is_taken_as_it_is(labels):
    mask, detected = corrected(labels, 2, score=0.99)
    assert np.array_equal(mask, detected)
    mask, detected = corrected(labels, 2, rules=frozenset(Rule) - {Rule.TRUSTED}, score=0.99)
    assert not np.array_equal(mask, detected)


def looks_of_ten_frames(labels, shift, score, rules=frozenset(Rule)):
    """Frames of ten that are looked at, where a detection lies so far beside its track."""
    schedule = Adaptive(AdaptiveLookSettings(calm_frames=8, alert_frames=3))
    policy = Constellation(labels, ConstellationSettings(rules=rules, drift_looks=1), schedule)
    start(policy)
    policy.decide(1, *HERE)
    tracked = followed((1, LEFT, 1.0))
    looks = []
    for frame in range(2, 12):
        if policy.doubts(frame, tracked):
            looks.append(frame)
            policy.decide(frame, seen((GRASPER, np.roll(LEFT, shift, 1), score)), tracked)
    return looks


def test_a_tracker_that_goes_astray_is_looked_after_on_each_frame(labels):
    astray = looks_of_ten_frames(labels, shift=4, score=0.99)
    assert astray == [9, 10, 11]
    # A detection that agrees, or is not very sure, tells nothing of the tracker.
    assert looks_of_ten_frames(labels, shift=0, score=0.99) == [9]
    assert looks_of_ten_frames(labels, shift=4, score=0.9) == [9]
    without = frozenset(Rule) - {Rule.TRUSTED}
    assert looks_of_ten_frames(labels, shift=4, score=0.99, rules=without) == [9]


def test_the_memory_is_renewed_however_often_the_overseer_looks(policy):
    start(policy)
    refreshed = [frame for frame in range(10, 120, 10) if policy.decide(frame, *HERE).prompts]
    assert refreshed == [50, 100]


def test_what_is_not_sure_contradicts_nothing(policy):
    start(policy, LIVER)
    doubtful = seen((LIVER, RIGHT, 0.6)), followed((1, LEFT, 1.0))
    assert not any(policy.decide(frame, *doubtful).prompts for frame in range(1, 6))


def test_a_correction_must_be_contradicted_twice_as_well(policy):
    start(policy, LIVER)
    contradiction = seen((LIVER, RIGHT, 0.9)), followed((1, LEFT, 1.0))
    prompted = [len(policy.decide(frame, *contradiction).prompts) for frame in range(1, 7)]
    assert prompted == [0, 1, 0, 1, 0, 1]


def test_a_contradiction_is_looked_at_again_soon(labels):
    settings = ConstellationSettings(drift_looks=2)
    policy = Constellation(labels, settings, Adaptive())
    policy.decide(0, seen((LIVER, LEFT, 0.9), (GRASPER, MIDDLE, 0.9)), followed())
    tracked = followed((1, LEFT, 1.0), (2, MIDDLE, 1.0))
    policy.decide(8, seen((LIVER, RIGHT, 0.9), (GRASPER, MIDDLE, 0.9)), tracked)
    assert [frame for frame in range(9, 12) if policy.doubts(frame, tracked)] == [11]
