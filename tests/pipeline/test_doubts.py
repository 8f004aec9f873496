"""Which frames are worth labelling next."""

from dataclasses import replace

import pytest

from pipeline.annotation_set import AnnotationSet
from pipeline.annotation_set.writer import AnnotationSetWriter, new_manifest
from pipeline.doubts import worth_labelling
from pipeline.records import PromptReason, PromptRecord
from tests.conftest import annotated_frame, rectangle

MASK, OTHER = rectangle(4, 4, 14, 14), rectangle(20, 20, 30, 30)


def frame(index, *reasons, qualities=(0.9, 0.9)):
    plain = annotated_frame(index, t1_c1=MASK, t2_c2=OTHER)
    prompts = tuple(
        PromptRecord(
            prompt_id=number, track_id=1, class_id=1, kind="mask", reason=reason, score=0.8
        )
        for number, reason in enumerate(reasons)
    )
    tracks = tuple(
        replace(track, quality=quality)
        for track, quality in zip(plain.tracks, qualities, strict=True)
    )
    return replace(plain, prompts=prompts, tracks=tracks)


@pytest.fixture
def worth(tmp_path, clip_info, labels):
    def ranked(*frames, **options):
        path = tmp_path / "clip.annset"
        with AnnotationSetWriter(path, new_manifest(clip_info, labels)) as writer:
            for each in frames:
                writer.add(each)
        return worth_labelling(AnnotationSet(path), **options)

    return ranked


def test_what_the_tracker_is_least_sure_of_comes_first(worth):
    ranked = worth(
        frame(0),
        frame(50, qualities=(0.9, 0.1)),
        frame(100, PromptReason.DRIFTED, PromptReason.DRIFTED, qualities=(0.6, 0.8)),
        frame(150, PromptReason.ENTERED, qualities=(0.9, 0.8)),
        count=3,
    )
    assert [doubt.frame_index for doubt in ranked] == [50, 100, 150]
    assert [doubt.reason for doubt in ranked] == [
        "mean quality 0.50",
        "mean quality 0.70; overseer against tracks 1",
        "mean quality 0.85",
    ]


def test_neighbours_are_not_both_worth_it(worth):
    ranked = worth(*(frame(index) for index in range(160)))
    assert [doubt.frame_index for doubt in ranked] == [0, 25, 50, 75, 100, 125, 150]


def test_what_is_certain_or_empty_is_not_worth_it(worth):
    assert worth(annotated_frame(0), frame(40, PromptReason.DRIFTED, qualities=(1.0, 1.0))) == []
