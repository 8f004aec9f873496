"""Pairs of rows and columns, each in one pair at most."""

import numpy as np

from pipeline.pairs import best_pairs


def test_the_best_pair_comes_first():
    overlaps = np.array([[0.9, 0.8], [0.95, 0.1], [0.7, 0.6]])
    assert best_pairs(overlaps, overlaps > 0) == {1: 0, 0: 1}
    assert best_pairs(overlaps, overlaps < 0.9) == {0: 1, 2: 0}


def test_of_equal_pairs_the_earlier_row_comes_first():
    assert best_pairs(np.full((2, 1), 0.5), np.full((2, 1), True)) == {0: 0}
    assert best_pairs(np.zeros((0, 3)), np.zeros((0, 3), bool)) == {}
