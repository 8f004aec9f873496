"""Which frames corrections can change, on cases made by hand."""

from dataclasses import replace

import pytest

from pipeline.corrections.plan import DRAWN_ALONE, deletions_after, plan_corrections
from pipeline.records import Origin
from tests.conftest import annotated_frame, rectangle

MASK = rectangle(4, 4, 14, 14)
DRAWN = rectangle(4, 4, 18, 14)
NOTHING = MASK & ~MASK
FAR = rectangle(24, 20, 40, 30)
EXCHANGED = {"t7_c1": FAR, "t9_c1": MASK}


def corrected(count=100, first=10, last=80, cuts=(), human=()):
    """A set whose track 7 shows from `first` to `last`."""
    for index in range(count):
        frame = annotated_frame(index, **({"t7_c1": MASK} if first <= index <= last else {}))
        if index in human:
            frame = replace(frame, tracks=(replace(frame.tracks[0], origin=Origin.HUMAN),))
        yield replace(frame, flags=("cut",) if index in cuts else ())


def changes(seen=range(100), **by_frame):
    """Frames that a human saw, with masks given as f<frame>=mask or (class, mask)."""
    given = {int(name[1:]): change for name, change in by_frame.items()}
    for index in sorted({*seen, *given}):
        change = given.get(index)
        class_id, mask = change if isinstance(change, tuple) else (1, change)
        yield annotated_frame(index, **({} if change is None else {f"t7_c{class_id}": mask}))


def plan(found, drawn, **deletions):
    (track_plan,) = plan_corrections(found, drawn, look_back=25, **deletions).values()
    return track_plan


def test_a_mask_is_followed_to_the_end_and_back_as_far_as_the_tracker_looks():
    found = plan(corrected(), changes(f40=DRAWN))
    assert set(found.drawn) == {40}
    assert found.followed == (range(40, 81),)
    assert found.before == (range(15, 40),)
    assert found.absent == {}


def test_the_next_mask_of_a_human_ends_it():
    found = plan(corrected(human=(60,)), changes(f20=DRAWN, f40=DRAWN))
    assert found.followed == (range(20, 40), range(40, 60))
    assert found.before == (range(10, 20), range(30, 40))


def test_a_mask_is_followed_back_half_way_to_one_of_an_earlier_correction():
    found = plan(corrected(human=(20, 30)), changes(f40=DRAWN))
    assert found.before == (range(35, 40),)


def test_cuts_end_it_both_ways():
    found = plan(corrected(cuts=(35, 50)), changes(f40=DRAWN))
    assert found.followed == (range(40, 50),)
    assert found.before == (range(35, 40),)
    found = plan(corrected(cuts=(40,)), changes(f40=DRAWN))
    assert [list(span) for span in found.before] == [[]]


@pytest.mark.parametrize(("frame", "followed", "before"), [
    (90, range(90, 100), range(65, 90)),
    (5, range(5, 81), range(5)),
])  # fmt: skip
def test_outside_its_time_a_track_is_followed_as_a_new_one(frame, followed, before):
    found = plan(corrected(), changes(**{f"f{frame}": DRAWN}))
    assert found.followed == (followed,)
    assert found.before == (before,)


def test_a_new_track_is_followed_to_the_end_of_the_video():
    frames = (annotated_frame(index) for index in range(100))
    found = plan(frames, changes(f40=DRAWN))
    assert (found.followed, found.before) == ((range(40, 100),), (range(15, 40),))


def test_a_new_track_is_followed_to_where_it_is_said_to_be_away():
    frames = (annotated_frame(index) for index in range(100))
    found = plan(frames, changes(f40=DRAWN, f41=DRAWN, f42=NOTHING, f49=NOTHING, f50=DRAWN))
    assert found.followed == (range(40, 41), range(41, 42), range(50, 100))
    assert all(found.is_absent(index) for index in range(42, 50))
    assert [len(span) for span in found.before] == [25, 0, 0]


def test_a_deletion_on_frames_that_were_all_seen_is_of_those_frames():
    found = plan(corrected(), changes(f40=NOTHING, f41=NOTHING))
    assert [found.is_absent(index) for index in (39, 40, 41, 42)] == [False, True, True, False]
    assert found.followed == ()


def test_a_deletion_holds_half_way_to_the_next_frame_that_was_seen():
    found = plan(corrected(), changes(seen=range(0, 100, 20), f40=NOTHING))
    assert found.absent == {40: range(30, 50)}


def test_a_track_that_was_deleted_wherever_it_was_seen_is_gone():
    found = plan(corrected(), changes(seen=(40,), f40=NOTHING))
    assert all(found.is_absent(index) for index in range(100))


def test_a_mask_is_not_followed_into_a_deletion():
    found = plan(corrected(), changes(f40=DRAWN, f50=NOTHING, f30=NOTHING))
    assert found.followed == (range(40, 50),)
    assert found.before == (range(31, 40),)


def test_a_deletion_leaves_what_a_human_drew_before():
    found = plan(corrected(human=(20, 60)), changes(seen=(40,), f40=NOTHING))
    assert found.absent == {40: range(30, 50)}


def test_a_mask_is_not_followed_into_a_deletion_of_before():
    before = {7: {50: range(45, 60)}}
    found = plan(corrected(), changes(seen=(), f40=DRAWN, f70=DRAWN), deletions=before)
    assert found.absent == before[7]
    assert found.followed == (range(40, 45), range(70, 81))
    assert found.before == (range(15, 40), range(60, 70))


def test_a_deletion_gives_way_to_what_is_drawn_later():
    before = {7: {50: range(45, 60)}}
    near = plan(corrected(), changes(seen=(), f54=DRAWN), deletions=before)
    assert near.absent == {50: range(45, 52)}
    there = plan(corrected(), changes(seen=(), f50=DRAWN), deletions=before)
    assert there.absent == {}
    assert there.followed == (range(50, 81),)


def test_the_deletions_that_hold_afterwards_are_of_all_corrections():
    before = {7: {50: range(45, 60)}, 8: {3: range(2, 4)}}
    changed = plan_corrections(
        corrected(), changes(f50=DRAWN, f70=NOTHING), look_back=25, deletions=before
    )
    assert deletions_after(before, changed) == {7: {70: range(70, 71)}, 8: {3: range(2, 4)}}
    gone = plan_corrections(corrected(), changes(f50=DRAWN), look_back=25, deletions=before)
    assert deletions_after(before, gone) == {8: {3: range(2, 4)}}


def divided(first, last, seen=range(100)):
    """Track 7 is called 9 from frame `first` to `last`."""
    for index in seen:
        tracks = {"t7_c1": NOTHING, "t9_c1": MASK} if first <= index <= last else {}
        yield annotated_frame(index, **tracks)


def test_a_track_that_was_divided_stays_so_on_both_sides():
    found = plan_corrections(corrected(), divided(40, 99), look_back=25)[9]
    assert [list(span) for span in found.before] == [[]] * 60
    assert found.followed[-1] == range(99, 100)
    found = plan_corrections(corrected(), divided(0, 39), look_back=25)[9]
    assert found.followed[-1] == range(39, 40)


def test_a_divided_track_changes_half_way_between_frames_that_were_seen():
    every_tenth = range(0, 100, 10)
    found = plan_corrections(corrected(), divided(40, 99, every_tenth), look_back=25)
    assert found[9].before[0] == range(35, 40)
    assert found[7].absent[40] == range(35, 100)
    found = plan_corrections(corrected(), divided(0, 30, every_tenth), look_back=25)
    assert found[9].followed[-1] == range(30, 35)


def test_from_the_only_frame_on_which_a_track_was_divided_the_rest_follows():
    found = plan_corrections(corrected(), divided(40, 40), look_back=25)[9]
    assert (found.before, found.followed) == ((range(40, 40),), (range(40, 100),))


def test_tracks_that_were_exchanged_stay_as_they_are_before():
    both = {"t7_c1": MASK, "t9_c1": FAR}
    frames = [annotated_frame(index, **both) for index in range(60)]
    seen = (annotated_frame(i, **(EXCHANGED if i >= 40 else {})) for i in range(60))
    found = plan_corrections(frames, seen, look_back=25)
    assert [list(found[number].before[0]) for number in (7, 9)] == [[], []]
    assert found[9].followed[-1] == range(59, 60)


def test_a_mask_that_two_tracks_had_is_of_the_one_that_it_fits():
    """A second track on the same object is deleted: nothing was divided."""
    both = {"t7_c1": MASK, "t9_c1": DRAWN}
    frames = [annotated_frame(index, **both) for index in range(60)]
    change = {"t7_c1": rectangle(4, 4, 13, 14), "t9_c1": NOTHING}
    seen = (annotated_frame(i, **(change if i == 40 else {})) for i in range(60))
    assert plan_corrections(frames, seen, look_back=25)[7].before == (range(15, 40),)


def test_what_was_drawn_on_a_frame_without_a_picture_is_not_followed():
    frames = (
        replace(frame, flags=("undecodable",)) if frame.index == 40 else frame
        for frame in corrected()
    )
    found = plan(frames, changes(f20=DRAWN, f40=DRAWN))
    assert set(found.drawn) == {20, 40}
    assert (found.followed, found.before) == ((range(20, 40),), (range(10, 20),))


def test_a_new_class_alone_is_nothing_to_track():
    found = plan(corrected(), changes(f40=(2, MASK)))
    assert found.class_id == 2
    assert not found.drawn
    assert not found.followed


def test_a_mask_of_the_class_that_the_track_had_does_not_rename_it_back():
    drawn = changes(f10=(2, MASK), f15=(1, DRAWN))
    assert plan(corrected(), drawn).class_id == 2
    assert plan(corrected(), changes(f10=(2, MASK), f15=(3, DRAWN))).class_id == 3


def test_without_changes_there_are_no_plans():
    assert plan_corrections(corrected(), changes(), look_back=25) == {}


def test_a_frame_that_was_drawn_on_and_not_shown_does_not_end_a_deletion():
    drawn = [*changes(seen=(20, 60), f40=NOTHING), *changes(seen=range(41, 60))]
    between = [
        replace(frame, flags=(DRAWN_ALONE,)) if 40 < frame.index < 60 else frame for frame in drawn
    ]
    assert plan(corrected(), sorted(drawn, key=index_of)).absent == {40: range(30, 41)}
    assert plan(corrected(), sorted(between, key=index_of)).absent == {40: range(30, 50)}


def index_of(frame):
    return frame.index
