"""Metrics on hand-worked cases."""

import pytest

from pipeline.errors import InputError
from pipeline.metrics import evaluate
from tests.conftest import annotated_frame, rectangle

LEFT = rectangle(4, 4, 14, 14)
RIGHT = rectangle(24, 4, 34, 14)
LIVER = rectangle(0, 20, 48, 32)


def test_the_truth_itself_is_perfect(labels):
    frames = [annotated_frame(i, t1_c1=LEFT, t2_c1=RIGHT, t3_c2=LIVER) for i in range(4)]
    result = evaluate(frames, frames, labels)
    assert (result.j, result.f, result.miou, result.dice) == (1, 1, 1, 1)
    assert (result.objects, result.unmatched_tracks, result.frames) == (3, 0, 4)


def test_half_a_mask_has_half_the_iou(labels):
    truth = [annotated_frame(0, t1_c1=LEFT)]
    half = [annotated_frame(0, t9_c1=rectangle(4, 4, 9, 14))]
    result = evaluate(half, truth, labels)
    assert result.j == pytest.approx(0.5)
    assert result.dice == pytest.approx(2 / 3)


def test_objects_are_matched_whatever_their_ids(labels):
    truth = [annotated_frame(i, t1_c1=LEFT, t2_c1=RIGHT) for i in range(3)]
    swapped = [annotated_frame(i, t1_c1=RIGHT, t2_c1=LEFT) for i in range(3)]
    assert evaluate(swapped, truth, labels).j == 1


def test_an_identity_that_changes_costs(labels):
    truth = [annotated_frame(i, t1_c1=LEFT) for i in range(4)]
    switching = [annotated_frame(i, **{f"t{1 + i // 3}_c1": LEFT}) for i in range(4)]
    result = evaluate(switching, truth, labels)
    assert result.j == pytest.approx(0.75)
    assert result.miou == 1
    assert result.unmatched_tracks == 1


def test_a_missed_object_and_a_wrong_class_cost(labels):
    truth = [annotated_frame(0, t1_c1=LEFT, t2_c2=LIVER)]
    found = [annotated_frame(0, t1_c2=LEFT, t2_c2=LIVER)]
    result = evaluate(found, truth, labels)
    assert result.j == pytest.approx(0.5)
    assert result.per_class[1].iou == 0
    assert 0 < result.per_class[2].iou < 1


def test_masks_where_nothing_is_cost(labels):
    truth = [annotated_frame(0, t1_c1=LEFT), annotated_frame(1)]
    found = [annotated_frame(0, t1_c1=LEFT), annotated_frame(1, t1_c1=LEFT)]
    result = evaluate(found, truth, labels)
    assert result.j == pytest.approx(0.5)
    assert result.f == pytest.approx(0.5)


def test_nothing_to_compare_is_an_error(labels):
    with pytest.raises(InputError, match="no frame in common"):
        evaluate([annotated_frame(0)], [annotated_frame(5)], labels)
    big = annotated_frame(0, t1_c1=rectangle(0, 0, 9, 9, (64, 96)))
    with pytest.raises(InputError, match="48x32"):
        evaluate([big], [annotated_frame(0, t1_c1=LEFT)], labels)


def with_gap(name, hidden, length=40):
    """An object that hides over a span of frames."""
    return [
        annotated_frame(i) if hidden[0] <= i < hidden[1] else annotated_frame(i, **{name: LEFT})
        for i in range(length)
    ]


def test_presence_counts_each_frame_in_which_both_agree(labels):
    truth = with_gap("t1_c1", (10, 20))
    late = with_gap("t1_c1", (12, 24))
    # Frames 10, 11 are false alarms, 20 to 23 are misses.
    assert evaluate(late, truth, labels).presence == pytest.approx(34 / 40)


def test_an_object_that_comes_back_must_be_found_within_five_frames(labels):
    truth = with_gap("t1_c1", (10, 25))
    assert evaluate(truth, truth, labels).found_again == 1
    soon, late = with_gap("t1_c1", (10, 29)), with_gap("t1_c1", (10, 30))
    assert evaluate(soon, truth, labels).found_again == 1
    assert evaluate(late, truth, labels).found_again == 0


def test_an_object_is_back_once_it_is_more_than_a_speck(labels):
    speck = rectangle(0, 0, 1, 1)
    truth = with_gap("t1_c1", (10, 25))
    truth[25:29] = [annotated_frame(i, t1_c1=speck) for i in range(25, 29)]
    for hidden_until, found in ((33, 1), (34, 0)):
        again = with_gap("t1_c1", (10, hidden_until))
        assert evaluate(again, truth, labels).found_again == found
    truth[25:] = [annotated_frame(i, t1_c1=speck) for i in range(25, len(truth))]
    assert evaluate(truth, truth, labels).found_again is None


def test_short_and_long_absences_are_not_returns(labels):
    for hidden in ((10, 15), (2, 38), (25, 40), (0, 20)):
        truth = with_gap("t1_c1", hidden)
        assert evaluate(truth, truth, labels).found_again is None


def entering(name, frame):
    """An object that is there from a frame on."""
    return with_gap(name, (0, frame), 20)


def test_a_new_object_must_be_followed_from_where_it_entered(labels):
    truth = entering("t1_c1", 8)
    for begins, on_time in ((6, 1), (8, 1), (10, 1), (5, 0), (11, 0)):
        assert evaluate(entering("t7_c1", begins), truth, labels).entered_on_time == on_time
    nothing = [annotated_frame(i) for i in range(20)]
    assert evaluate(nothing, truth, labels).entered_on_time == 0


def test_an_object_counts_as_entered_once_it_is_more_than_a_speck(labels):
    speck = rectangle(0, 0, 1, 1)
    truth = [annotated_frame(i) for i in range(3)]
    truth += [annotated_frame(i, t1_c1=speck) for i in range(3, 9)]
    truth += [annotated_frame(i, t1_c1=LEFT) for i in range(9, 20)]
    for begins, on_time in ((1, 1), (11, 1), (12, 0)):
        assert evaluate(entering("t7_c1", begins), truth, labels).entered_on_time == on_time


def test_what_is_there_from_the_start_does_not_enter(labels):
    truth = [annotated_frame(i, t1_c1=LEFT) for i in range(4)]
    assert evaluate(truth, truth, labels).entered_on_time is None


def test_a_truth_of_some_frames_does_not_say_when_objects_come(labels):
    for truth in (entering("t1_c1", 8), with_gap("t1_c1", (10, 25))):
        sparse = evaluate(truth, truth[::3], labels)
        assert (sparse.entered_on_time, sparse.found_again, sparse.j) == (None, None, 1)
        later = evaluate(truth[2:], truth, labels)
        assert (later.entered_on_time, later.found_again) != (None, None)


def test_j_and_f_is_the_mean_of_both(labels):
    truth = [annotated_frame(0, t1_c1=LEFT)]
    result = evaluate([annotated_frame(0, t1_c1=rectangle(4, 4, 9, 14))], truth, labels)
    assert result.j != result.f
    assert result.j_and_f == pytest.approx((result.j + result.f) / 2)


def test_an_object_that_is_never_followed_is_not_on_time_however_early_it_came(labels):
    nothing = [annotated_frame(i) for i in range(20)]
    assert evaluate(nothing, entering("t1_c1", 1), labels).entered_on_time == 0


def test_a_speck_that_never_grows_does_not_enter(labels):
    speck = rectangle(0, 0, 1, 1)
    truth = [annotated_frame(0), *(annotated_frame(i, t1_c1=speck) for i in range(1, 9))]
    assert evaluate(truth, truth, labels).entered_on_time is None


def test_an_object_comes_back_after_ten_to_thirty_hidden_frames(labels):
    truth = with_gap("t1_c1", (10, 20))
    assert evaluate(truth, truth, labels).found_again == 1
    truth = with_gap("t1_c1", (5, 35))
    assert evaluate(truth, truth, labels).found_again == 1
    truth = with_gap("t1_c1", (10, 19))
    assert evaluate(truth, truth, labels).found_again is None


def test_classes_are_told_by_their_names(labels):
    frames = [annotated_frame(0, t1_c1=LEFT, t3_c2=LIVER, t4_c9=RIGHT)]
    document = evaluate(frames, frames, labels).to_json()
    assert list(document["per_class"]) == ["Grasper", "Liver", "class 9"]
    assert document["per_class"]["Liver"] == {"iou": 1, "dice": 1, "frames": 1}
