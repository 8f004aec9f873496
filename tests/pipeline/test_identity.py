"""Identity scores, on cases worked by hand."""

import sys

import pytest

from pipeline.errors import UsageError
from pipeline.identity import identity_scores
from tests.conftest import annotated_frame, rectangle

LEFT, RIGHT = rectangle(0, 0, 10, 10), rectangle(20, 0, 30, 10)


def objects(count=4):
    return [annotated_frame(i, t1_c5=LEFT, t2_c5=RIGHT) for i in range(count)]


def test_right_tracks_score_full():
    found = [annotated_frame(i, t8_c5=LEFT, t9_c5=RIGHT) for i in range(4)]
    scores = identity_scores(found, objects())
    assert (scores.hota, scores.idf1, scores.id_switches) == (pytest.approx(1), 1, 0)


def test_a_track_that_changes_halfway():
    one = [annotated_frame(i, t1_c5=LEFT) for i in range(4)]
    found = [annotated_frame(i, t1_c5=LEFT) for i in (0, 1)]
    found += [annotated_frame(i, t2_c5=LEFT) for i in (2, 3)]
    scores = identity_scores(found, one)
    # Each detection is right; of each track's 2 frames and the object's 4, 2 are common.
    assert scores.hota == pytest.approx((1 * 2 / 4) ** 0.5)
    assert scores.idf1 == pytest.approx(2 * 2 / (4 + 4))
    assert scores.id_switches == 1


def test_two_tracks_that_swap_objects():
    found = [annotated_frame(i, t1_c5=LEFT, t2_c5=RIGHT) for i in (0, 1)]
    found += [annotated_frame(i, t2_c5=LEFT, t1_c5=RIGHT) for i in (2, 3)]
    scores = identity_scores(found, objects())
    assert scores.id_switches == 2
    assert scores.idf1 == pytest.approx(0.5)


def test_another_class_is_no_match():
    found = [annotated_frame(i, t1_c9=LEFT, t2_c5=RIGHT) for i in range(4)]
    assert identity_scores(found, objects()).idf1 == pytest.approx(0.5)


def test_nothing_found_scores_nothing():
    empty = [annotated_frame(i) for i in range(4)]
    scores = identity_scores(empty, objects())
    assert (scores.hota, scores.idf1, scores.id_switches) == (0, 0, 0)


def test_only_common_frames_count():
    found = [annotated_frame(i, t1_c5=LEFT, t2_c5=RIGHT) for i in range(2)]
    assert identity_scores(found, objects()).idf1 == 1


def test_without_trackeval_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "trackeval.metrics", None)
    with pytest.raises(UsageError, match="pip install --no-deps trackeval"):
        identity_scores(objects(), objects())
