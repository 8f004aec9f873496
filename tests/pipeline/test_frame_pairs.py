"""Frames that two annotations have in common."""

from pipeline.frame_pairs import common_frames
from tests.conftest import annotated_frame


def pairs(found, true):
    sides = ([annotated_frame(index) for index in indices] for indices in (found, true))
    return [(found.index, true.index) for found, true in common_frames(*sides)]


def test_frames_of_both_are_paired_by_their_index():
    assert pairs((0, 1, 2, 3), (0, 1, 2, 3)) == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert pairs((0, 2, 3, 9), (1, 2, 5, 9, 10)) == [(2, 2), (9, 9)]
    assert pairs((0, 1), (1,)) == [(1, 1)]
    assert pairs((5, 6), (0, 1, 6)) == [(6, 6)]


def test_nothing_in_common_is_no_pair():
    for found, true in (((), (0, 1)), ((0, 1), ()), ((0, 2), (1, 3))):
        assert pairs(found, true) == []


def test_no_more_of_a_truth_is_read_than_what_is_judged():
    truth = iter([annotated_frame(index) for index in range(9)])
    assert len(list(common_frames([annotated_frame(0), annotated_frame(2)], truth))) == 2
    assert next(truth).index == 3
