"""Which frames are worth labelling next."""

from dataclasses import replace

from pipeline.doubts import worth_labelling
from pipeline.records import PromptReason, PromptRecord
from tests.conftest import annotated_frame, rectangle

MASK = rectangle(4, 4, 14, 14)


def frame(index, *reasons, quality=0.9):
    plain = annotated_frame(index, t1_c1=MASK)
    prompts = tuple(
        PromptRecord(
            prompt_id=number, track_id=1, class_id=1, kind="mask", reason=reason, score=0.8
        )
        for number, reason in enumerate(reasons)
    )
    tracks = tuple(replace(track, quality=quality) for track in plain.tracks)
    return replace(plain, prompts=prompts, tracks=tracks)


def test_a_contradicted_track_comes_before_an_unsure_one():
    frames = [
        frame(0),
        frame(50, quality=0.3),
        frame(100, PromptReason.DRIFTED),
        frame(150, PromptReason.ENTERED),
    ]
    ranked = worth_labelling(frames, count=2)
    assert [doubt.frame_index for doubt in ranked] == [100, 50]
    assert ranked[0].reason == "overseer against tracks 1; mean quality 0.90"


def test_neighbours_are_not_both_worth_it():
    frames = [frame(index, PromptReason.RECLASSIFIED) for index in range(60)]
    assert [doubt.frame_index for doubt in worth_labelling(frames)] == [0, 25, 50]


def test_what_is_certain_or_empty_is_not_worth_it():
    assert worth_labelling([annotated_frame(0), frame(40, quality=1.0)]) == []
