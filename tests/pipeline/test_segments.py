"""Long videos in segments: where they are cut, and that joining keeps identities."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.labels import LabelSet, numbered_class
from pipeline.masks import encode_mask
from pipeline.records import PromptReason, PromptRecord
from pipeline.segments import OVERLAP_FRAMES, Segment, SegmentJoiner, plan_segments
from tests.conftest import annotated_frame, rectangle

LEFT, MIDDLE, RIGHT = (rectangle(x, 4, x + 10, 20) for x in (2, 18, 34))
FIRST = Segment(start=0, own_from=0, stop=12)
SECOND = Segment(start=4, own_from=8, stop=20)
LABELS = LabelSet(
    name="two", classes=(numbered_class(1, "Grasper"), numbered_class(2, "Liver", "stuff"))
)


@given(
    frame_count=st.integers(1, 5000),
    count=st.integers(1, 9),
    cuts=st.lists(st.integers(0, 5000), max_size=20),
)
def test_segments_cover_a_video_and_overlap(frame_count, count, cuts):
    segments = plan_segments(frame_count, count, cuts, 8)
    assert len(segments) <= count
    assert (segments[0].start, segments[0].own_from) == (0, 0)
    assert segments[-1].stop == frame_count
    for before, after in pairwise(segments):
        assert after.start % 8 == 0
        assert before.own_from < after.own_from
        # What the later one takes over, the earlier one has annotated too.
        assert before.start <= after.start <= after.own_from
        assert before.stop == after.own_from + OVERLAP_FRAMES <= frame_count


def test_a_video_is_divided_at_a_cut_that_is_near():
    near, far = 1100, 1400
    (_, second) = plan_segments(2000, 2, [near, far], 8)
    assert second == Segment(start=near // 8 * 8, own_from=near, stop=2000)
    # That a segment begins with a cut shows beside the frame before.
    (_, second) = plan_segments(2000, 2, [1104], 8)
    assert second == Segment(start=1096, own_from=1104, stop=2000)
    (_, second) = plan_segments(2000, 2, [1900], 8)
    assert second == Segment(start=(1000 - OVERLAP_FRAMES) // 8 * 8, own_from=1000, stop=2000)


def test_a_short_video_is_not_divided():
    assert plan_segments(100, 4, [50], 8) == [Segment(start=0, own_from=0, stop=100)]


def prompt(prompt_id, track_id, class_id=1):
    return PromptRecord(
        prompt_id=prompt_id,
        track_id=track_id,
        class_id=class_id,
        kind="mask",
        reason=PromptReason.ENTERED,
        score=0.9,
    )


def frames(start, stop, prompts=None, **masks):
    """Frames that hold the same tracks; prompts by frame."""
    for index in range(start, stop):
        frame = annotated_frame(index, **masks)
        yield replace(frame, prompts=tuple((prompts or {}).get(index, ())))


def joined(first, second):
    joiner = SegmentJoiner([FIRST, SECOND], LABELS)
    found = list(joiner.join([first, second]))
    assert [frame.index for frame in found] == list(range(20))
    return joiner, found


def track_at(frame, mask):
    (track,) = [track for track in frame.tracks if track.rle == encode_mask(mask)]
    return track


def test_an_object_has_one_identity_on_both_sides():
    _, found = joined(
        frames(0, 12, t1_c1=LEFT, t2_c2=RIGHT), frames(4, 20, t1_c2=RIGHT, t2_c1=LEFT)
    )
    ids = [(track_at(frame, LEFT).track_id, track_at(frame, RIGHT).track_id) for frame in found]
    assert set(ids) == {(1, 2)}


def test_another_object_gets_an_identity_of_its_own():
    _, found = joined(frames(0, 12, t1_c1=LEFT), frames(4, 20, t1_c1=MIDDLE))
    assert {track.track_id for frame in found[:8] for track in frame.tracks} == {1}
    assert {track.track_id for frame in found[8:] for track in frame.tracks} == {2}


def test_stuff_that_is_away_at_the_joint_gets_its_id_back():
    first = [*frames(0, 4, t1_c2=LEFT), *frames(4, 12)]
    second = [*frames(4, 14), *frames(14, 20, t1_c1=MIDDLE, t2_c2=RIGHT)]
    _, found = joined(first, second)
    assert {track.track_id for frame in found[:4] for track in frame.tracks} == {1}
    assert [(t.track_id, t.class_id) for t in found[19].tracks] == [(2, 1), (1, 2)]


def test_two_tracks_of_a_segment_stay_two_where_a_class_of_stuff_has_changed():
    first = frames(0, 12, t1_c2=LEFT)
    second = [*frames(4, 12, t1_c1=LEFT), *frames(12, 20, t1_c1=LEFT, t2_c2=RIGHT)]
    _, found = joined(first, second)
    assert len({track.track_id for track in found[19].tracks}) == 2


def test_an_object_that_only_the_earlier_segment_saw_after_the_joint_leaves_no_trace():
    second = frames(4, 20, t1_c1=LEFT)
    first = [*frames(0, 10, t1_c1=LEFT), *frames(10, 12, t1_c1=LEFT, t5_c2=RIGHT)]
    _, found = joined(first, second)
    assert {track.track_id for frame in found for track in frame.tracks} == {1}


def test_prompts_are_numbered_anew_and_each_mask_names_one_that_is_there():
    first = frames(0, 12, {0: [prompt(0, 1)], 10: [prompt(1, 1)]}, t1_c1=LEFT)
    later = {4: [prompt(0, 1), prompt(1, 2)], 15: [prompt(2, 1)]}
    second = frames(4, 20, later, t1_c1=LEFT, t2_c1=RIGHT)
    second = (
        replace(
            frame,
            tracks=tuple(
                replace(track, prompt_id=1 if track.track_id == 2 else 2 * (frame.index >= 15))
                for track in frame.tracks
            ),
        )
        for frame in second
    )
    _, found = joined(first, second)
    given = {p.prompt_id: (frame.index, p.track_id) for frame in found for p in frame.prompts}
    # That of frame 10 is not the video's; the new object's moves to where it is first seen.
    assert given == {0: (0, 1), 1: (8, 2), 2: (15, 1)}
    for frame in found:
        for track in frame.tracks:
            assert given[track.prompt_id][1] == track.track_id


@pytest.mark.parametrize(("given_at", "kept_at"), [(5, 5), (10, 8)])
def test_a_back_filled_mask_names_a_prompt_that_comes_later(given_at, kept_at):
    first = frames(0, 12, {given_at: [prompt(7, 1)]}, t1_c1=LEFT)
    first = (
        replace(frame, tracks=tuple(replace(track, prompt_id=7) for track in frame.tracks))
        for frame in first
    )
    _, found = joined(first, frames(4, 20, {4: [prompt(0, 1)]}, t1_c1=LEFT))
    given = {p.prompt_id: frame.index for frame in found for p in frame.prompts}
    assert given == {0: kept_at}
    assert {track.prompt_id for frame in found for track in frame.tracks} == {0}


def test_a_track_has_the_class_of_most_of_its_frames():
    joiner, _ = joined(frames(0, 12, t1_c1=LEFT), frames(4, 20, t1_c2=LEFT))
    # Eight frames as a grasper, twelve as liver.
    assert joiner.class_of(1) == 2
    assert joiner.class_of(9) is None


def test_frames_without_objects_are_joined_too():
    _, found = joined(frames(0, 12), frames(4, 20, t1_c1=LEFT))
    assert [len(frame.tracks) for frame in found] == [0] * 8 + [1] * 12


@pytest.mark.parametrize("shift", [0, 3])
def test_an_object_is_the_same_where_its_masks_overlap_by_half(shift):
    moved = rectangle(2 + shift, 4, 12 + shift, 20)
    _, found = joined(frames(0, 12, t1_c1=LEFT), frames(4, 20, t3_c1=moved))
    assert {track.track_id for frame in found for track in frame.tracks} == {1}


def test_masks_of_no_prompt_have_none_in_the_joined_video():
    def unprompted(start, stop):
        for frame in frames(start, stop, t1_c1=LEFT):
            yield replace(frame, tracks=(replace(frame.tracks[0], prompt_id=-1),))

    _, found = joined(unprompted(0, 12), unprompted(4, 20))
    assert {track.prompt_id for frame in found for track in frame.tracks} == {-1}
    assert not any(frame.prompts for frame in found)
