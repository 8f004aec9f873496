"""Splits of labelled frames: by video, near the wanted share, the same each time."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overseer.datasets.labelled_frames import LabelledFrames
from overseer.datasets.splits import Division, divide, refuse_shared_videos, split_by_video
from pipeline.errors import UsageError
from pipeline.labelled_clip import LabelledClip
from pipeline.labels import INSTRUMENTS

FOLDER = Path("data")


def frames_of(*videos, first=0):
    """One small picture for each name, no two alike."""
    clips = [
        LabelledClip(
            images=np.full((1, 2, 2, 3), first + number, np.uint8),
            track_maps=np.zeros((1, 2, 2), np.uint8),
            class_of_track={},
        )
        for number, _ in enumerate(videos)
    ]
    paths = tuple(Path(f"{first + number}.png") for number, _ in enumerate(videos))
    return LabelledFrames(label_set=INSTRUMENTS, clips=tuple(clips), paths=paths, videos=videos)


@given(st.lists(st.sampled_from("abcdef"), min_size=2, max_size=60), st.integers(0, 5))
def test_every_frame_is_in_one_part_and_no_video_in_both(videos, seed):
    frames = frames_of(*videos)
    if len(set(videos)) < 2:
        with pytest.raises(UsageError, match="one video only"):
            split_by_video(FOLDER, frames, 0.2, seed)
        return
    training, validation = split_by_video(FOLDER, frames, 0.2, seed)
    assert training.videos
    assert validation.videos
    assert not set(training.videos) & set(validation.videos)
    assert sorted(training.paths + validation.paths) == sorted(frames.paths)
    for part in (training, validation):
        assert [frames.paths.index(path) for path in part.paths] == sorted(
            frames.paths.index(path) for path in part.paths
        )


def test_the_share_is_met_where_videos_allow_it():
    videos = [f"op{number}" for number in range(10) for _ in range(12)]
    sides = [split_by_video(FOLDER, frames_of(*videos), 0.3, seed)[1].videos for seed in range(5)]
    assert [len(side) for side in sides] == [36] * 5
    assert len({frozenset(side) for side in sides}) > 1


def test_the_same_seed_gives_the_same_split():
    videos = [f"op{number}" for number in range(20)]
    first, second = (split_by_video(FOLDER, frames_of(*videos), 0.2, 7)[1] for _ in range(2))
    assert first.videos == second.videos


def test_a_shared_video_is_named():
    with pytest.raises(UsageError, match="data and other both hold frames of b; keep all"):
        refuse_shared_videos(FOLDER, frames_of("a", "b"), Path("other"), frames_of("b", first=9))
    many = [f"op{number}" for number in range(7)]
    with pytest.raises(UsageError, match="op0, op1, op2, op3, op4 and 2 more"):
        refuse_shared_videos(FOLDER, frames_of(*many), Path("o"), frames_of(*many, first=9))


def test_the_same_picture_under_another_name_is_found():
    with pytest.raises(UsageError, match=r"1.png \(video c\) is the same picture as 1.png"):
        refuse_shared_videos(FOLDER, frames_of("a", "b"), Path("other"), frames_of("c", first=1))
    refuse_shared_videos(FOLDER, frames_of("a", "b"), Path("other"), frames_of("c", first=2))


def test_something_is_left_to_learn_from_however_large_the_other_share_is():
    for seed in range(5):
        training, validation = split_by_video(FOLDER, frames_of(*"aabbcc"), 0.99, seed)
        assert (len(training.videos), len(validation.videos)) == (2, 4)


def named(validation_videos=None, left_out_videos=None, share=None):
    return Division(
        validation_videos=validation_videos, left_out_videos=left_out_videos, share=share
    )


def test_videos_are_measured_on_and_left_out_by_their_names():
    frames = frames_of(*"aabbbcdd")
    parts = divide(FOLDER, frames, named("b, c", "d"))
    sides = (parts.training, parts.validation, parts.left_out)
    assert ["".join(side.videos) for side in sides] == ["aa", "bbbc", "dd"]
    assert sum((side.paths for side in sides), ()) == frames.paths
    parts = divide(FOLDER, frames, named(left_out_videos="a,d"))
    assert (parts.validation, "".join(parts.training.videos)) == (None, "bbbc")
    parts = divide(FOLDER, frames, named(left_out_videos="d", share=0.5))
    assert {*parts.training.videos, *parts.validation.videos} == {*"abc"}


def test_a_name_may_have_commas_of_its_own():
    parts = divide(FOLDER, frames_of("op 1, left", "op 1", "op 2"), named("op 1, left,op 2"))
    assert parts.training.videos == ("op 1",)


@pytest.mark.parametrize(
    ("validation_videos", "left_out_videos", "said"),
    [
        ("op2,op99", None, r"^--validation-videos op2,op99: data has no video 'op99'; name some of "
         r"op1, op2, op3, op4, op5 and 15 more$"),
        (None, "op", "--leave-out-videos op: data has no video 'op';"),
        ("", None, "--validation-videos : data has no video '';"),
        ("op1,op2", "op2", "both name op2; name it once"),
        (",".join(f"op{n}" for n in range(1, 21)), None, "no video of data is left to learn from"),
    ],
)  # fmt: skip
def test_names_that_cannot_be_are_one_sentence(validation_videos, left_out_videos, said):
    frames = frames_of(*(f"op{number}" for number in range(1, 21)))
    with pytest.raises(UsageError, match=said):
        divide(FOLDER, frames, named(validation_videos, left_out_videos))


def test_of_the_only_video_that_is_not_left_out_it_is_said_that_others_were():
    said = (
        r"data holds frames of one video only \(b\) beside those that are left out, and a split "
        "never divides a video; leave out fewer,"
    )
    with pytest.raises(UsageError, match=said):
        divide(FOLDER, frames_of(*"abbc"), named(left_out_videos="a,c", share=0.5))


def test_a_picture_that_is_in_both_parts_is_found_whoever_names_the_videos():
    frames = frames_of("a", "b")
    frames = replace(frames, clips=(frames.clips[0], frames.clips[0]))
    with pytest.raises(UsageError, match=r"1.png \(video b\) is the same picture as 0.png"):
        divide(FOLDER, frames, named("b"))
