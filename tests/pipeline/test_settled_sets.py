"""What is settled when a set is finished: classes that turned, and tracks that were none."""

from dataclasses import replace

import pytest

from pipeline.annotation_set import AnnotationSet
from pipeline.annotation_set.writer import AnnotationSetWriter, new_manifest, resumable_state
from pipeline.errors import InputError
from pipeline.loop_state import LoopState
from pipeline.records import PromptReason, PromptRecord
from tests.conftest import annotated_frame, rectangle

MASK, OTHER = rectangle(2, 2, 9, 9), rectangle(20, 2, 29, 9)


def test_a_track_has_one_class_from_its_first_frame_to_its_last(tmp_path, clip_info, labels):
    path = tmp_path / "clip.annset"
    mask = rectangle(4, 4, 14, 14)
    with AnnotationSetWriter(path, new_manifest(clip_info, labels)) as writer:
        for index in range(250):
            turned = "t1_c1" if index < 120 else "t1_c2"
            writer.add(annotated_frame(index, **{turned: mask, "t2_c1": mask}))
        writer._wait_for_writing()
        before = (path / "masks" / "part-000001.parquet").read_bytes()
        writer.settle_classes({1: 2, 2: None}.get)
    found = AnnotationSet(path)
    classes = {t.track_id: set() for frame in found.frames() for t in frame.tracks}
    for frame in found.frames():
        for track in frame.tracks:
            classes[track.track_id].add(track.class_id)
    assert classes == {1: {2}, 2: {1}}
    assert found.manifest.counts.masks == 500
    assert (path / "masks" / "part-000001.parquet").read_bytes() != before


def test_a_class_that_turned_in_the_last_frame_is_that_of_all_of_them(tmp_path, clip_info, labels):
    path = tmp_path / "clip.annset"
    with AnnotationSetWriter(path, new_manifest(clip_info, labels)) as writer:
        for index in range(110):
            writer.add(annotated_frame(index, t1_c1=MASK, t2_c1=OTHER))
        writer.settle_classes({1: 2}.get)
    classes = [tuple(track.class_id for track in f.tracks) for f in AnnotationSet(path).frames()]
    assert classes == [(2, 1)] * 110


def test_classes_settled_when_a_set_failed_are_settled_anew_when_it_goes_on(
    tmp_path, clip_info, labels
):
    path, manifest = tmp_path / "clip.annset", new_manifest(clip_info, labels)
    mask = rectangle(2, 2, 9, 9)

    def batch(start, stop):
        return [annotated_frame(index, t1_c1=mask) for index in range(start, stop)]

    with (
        pytest.raises(InputError),
        AnnotationSetWriter(path, manifest) as writer,
    ):
        writer.add_batch(batch(0, 100), lambda: LoopState(next_frame=100))
        writer.settle_classes(lambda track_id: 2)
        raise InputError("the network share is away")
    saved = resumable_state(AnnotationSet(path), manifest)
    assert saved is not None
    part = path / "masks" / "part-000000.parquet"
    whole = part.read_bytes()
    part.write_bytes(whole[:100])
    with pytest.raises(InputError, match=r"part-000000\.parquet is missing or damaged; annotate"):
        AnnotationSetWriter(path, manifest, saved)
    part.write_bytes(whole)
    with AnnotationSetWriter(path, manifest, saved) as writer:
        writer.add_batch(batch(100, 250), lambda: LoopState(next_frame=250))
        writer.settle_classes(lambda track_id: 1)
    found = AnnotationSet(path)
    assert {track.class_id for frame in found.frames() for track in frame.tracks} == {1}


def with_a_false_track(start, stop):
    """Frames of track 1, and of track 2 in frames 90 to 120, which returns in frame 200."""
    for index in range(start, stop):
        false = {"t2_c1": OTHER} if 90 <= index <= 120 or index >= 200 else {}
        frame = annotated_frame(index, t1_c1=MASK, **false)
        yield replace(frame, prompts=(entered(index),) if index in (95, 200) else ())


def entered(prompt_id):
    return PromptRecord(
        prompt_id=prompt_id,
        track_id=2,
        class_id=1,
        kind="mask",
        reason=PromptReason.ENTERED,
        score=0.6,
    )


def frames_of(found, track_id):
    return [f.index for f in found.frames() if track_id in {track.track_id for track in f.tracks}]


@pytest.mark.parametrize(("length", "left"), [(150, []), (210, list(range(200, 210)))])
def test_a_track_that_was_none_is_taken_out_of_all_parts(tmp_path, clip_info, labels, length, left):
    path = tmp_path / "clip.annset"
    with AnnotationSetWriter(path, new_manifest(clip_info, labels)) as writer:
        for frame in with_a_false_track(0, length):
            writer.add(frame)
        writer.withdraw({2: 130})
    found = AnnotationSet(path)
    assert frames_of(found, 2) == left
    assert frames_of(found, 1) == list(range(length))
    assert [index for index, _ in found.prompts()] == left[:1]
    counts = found.manifest.counts
    assert (counts.masks, counts.prompts) == (length + len(left), len(left[:1]))
    assert counts.tracks == (2 if left else 1)


def test_a_track_is_taken_out_of_the_last_frame_that_is_named_and_no_other(
    tmp_path, clip_info, labels
):
    path = tmp_path / "clip.annset"
    with AnnotationSetWriter(path, new_manifest(clip_info, labels)) as writer:
        for frame in with_a_false_track(0, 210):
            writer.add(frame)
        writer.withdraw({2: 200})
    found = AnnotationSet(path)
    assert frames_of(found, 2) == list(range(201, 210))
    assert list(found.prompts()) == []


def test_where_no_track_was_false_nothing_is_written_again(tmp_path, clip_info, labels):
    path = tmp_path / "clip.annset"
    with AnnotationSetWriter(path, new_manifest(clip_info, labels)) as writer:
        for frame in with_a_false_track(0, 150):
            writer.add(frame)
        writer._wait_for_writing()
        before = {file: file.stat().st_mtime_ns for file in path.rglob("part-*.parquet")}
        writer.withdraw({7: 130})
    now = {file: file.stat().st_mtime_ns for file in before}
    assert now == before


def test_a_set_that_failed_and_goes_on_counts_what_it_holds(tmp_path, clip_info, labels):
    path, manifest = tmp_path / "clip.annset", new_manifest(clip_info, labels)
    with pytest.raises(InputError), AnnotationSetWriter(path, manifest) as writer:
        writer.add_batch(list(with_a_false_track(0, 100)), lambda: LoopState(next_frame=100))
        writer.withdraw({2: 99})
        raise InputError("the network share is away")
    saved = resumable_state(AnnotationSet(path), manifest)
    with AnnotationSetWriter(path, manifest, saved) as writer:
        writer.add_batch(list(with_a_false_track(100, 150)), lambda: LoopState(next_frame=150))
        writer.withdraw({2: 130})
    counts = AnnotationSet(path).manifest.counts
    assert (counts.frames, counts.masks, counts.prompts, counts.tracks) == (150, 150, 0, 1)
