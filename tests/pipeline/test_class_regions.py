"""Annotations without instances."""

import numpy as np

from pipeline.class_regions import merge_by_class, true_frames, without_regions
from pipeline.labels import LabelSet, numbered_class
from pipeline.masks import decode_mask
from tests.conftest import annotated_frame, rectangle

LEFT, RIGHT, BELOW = rectangle(0, 0, 9, 9), rectangle(20, 0, 29, 9), rectangle(0, 20, 48, 32)


def test_the_tracks_of_a_class_become_one():
    (frame,) = merge_by_class([annotated_frame(3, t7_c1=LEFT, t8_c1=RIGHT, t9_c2=BELOW)])
    assert frame.index == 3
    merged = {track.track_id: decode_mask(track.rle) for track in frame.tracks}
    assert merged.keys() == {1, 2}
    assert np.array_equal(merged[1], LEFT | RIGHT)
    assert np.array_equal(merged[2], BELOW)


def test_a_frame_without_tracks_stays_empty():
    assert [frame.tracks for frame in merge_by_class([annotated_frame(0)])] == [()]


def test_what_lies_in_a_region_is_taken_out_and_the_rest_stays():
    frames = [annotated_frame(index, t7_c1=LEFT, t8_c1=RIGHT) for index in (0, 1)]
    region = rectangle(0, 0, 25, 32)
    plain, cut = without_regions(frames, {1: region}.get)
    assert plain == frames[0]
    (track,) = cut.tracks
    assert track.track_id == 8
    assert np.array_equal(decode_mask(track.rle), RIGHT & ~region)


def test_true_masks_get_the_ids_that_their_classes_have_in_what_they_judge():
    truth = LabelSet(
        name="truth", classes=(numbered_class(1, "Liver"), numbered_class(2, "Grasper"))
    )
    judged = LabelSet(name="judged", classes=(numbered_class(1, "Grasper"),))
    frames, classes = true_frames([annotated_frame(0, t7_c1=LEFT, t8_c2=RIGHT)], truth, judged)
    (liver, grasper) = next(frames).tracks
    assert (grasper.track_id, grasper.class_id) == (8, 1)
    assert classes[1].name == "Grasper"
    assert classes[liver.class_id].name == "Liver"
    assert liver.class_id != 1
    same = [annotated_frame(0, t7_c1=LEFT)]
    frames, classes = true_frames(same, judged, judged)
    assert (list(frames), classes) == (same, judged)
