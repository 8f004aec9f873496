"""Rare classes are drawn more often, but not without bounds."""

import numpy as np
import pytest

from overseer.class_balance import balanced_chances
from pipeline.labelled_clip import LabelledClip


def clip(*class_ids):
    return LabelledClip(
        images=np.zeros((1, 4, 4, 3), np.uint8),
        track_maps=np.zeros((1, 4, 4), np.uint8),
        class_of_track=dict(enumerate(class_ids, start=1)),
    )


def test_clips_whose_classes_are_frequent_count_alike():
    assert balanced_chances([clip(1), clip(1, 2), clip(2), clip()]).tolist() == [0.25] * 4


def test_a_class_in_1_of_160_clips_counts_four_times():
    chances = balanced_chances([clip(1)] * 159 + [clip(1, 7)])
    # sqrt(0.1 / 0.00625) = 4
    assert chances[-1] / chances[0] == pytest.approx(4)
    assert chances.sum() == pytest.approx(1)
