"""The writer of a set: what it leaves to whoever goes on, and what it says of a full disk."""

import errno
from contextlib import suppress

import pytest

from pipeline.annotation_set import AnnotationSet
from pipeline.annotation_set import writer as annotation_set_writer
from pipeline.annotation_set.writer import (
    AnnotationSetWriter,
    new_manifest,
    resumable_state,
    tidy,
)
from pipeline.errors import AnnotationStoppedError, OutputError, SetTakenError
from pipeline.loop_state import LoopState, save_state
from tests.conftest import annotated_frame, rectangle

MASK, OTHER = rectangle(2, 2, 9, 9), rectangle(20, 2, 29, 9)
FRAMES = [annotated_frame(index, t1_c1=MASK, t2_c2=OTHER) for index in range(130)]


@pytest.fixture
def manifest(clip_info, labels):
    return new_manifest(clip_info, labels, software={"scopeline": "1"})


@pytest.fixture
def killed(tmp_path, manifest):
    """A set whose process was killed after a commit of 100 frames."""
    writer = AnnotationSetWriter(tmp_path / "clip.annset", manifest)
    writer.add_batch(FRAMES[:100], lambda: LoopState(next_frame=100))
    writer.checkpoint(lambda: LoopState(next_frame=100))
    return AnnotationSet(writer.path)


def test_only_the_software_that_began_a_set_goes_on_with_it(killed, manifest):
    assert killed.manifest.software == {"scopeline": "1"}
    assert resumable_state(killed, manifest).state.next_frame == 100
    newer = manifest.model_copy(update={"software": {"scopeline": "2"}})
    assert resumable_state(killed, newer) is None


@pytest.mark.parametrize("count", [100, 130])
def test_who_goes_on_ends_with_what_was_never_interrupted(killed, manifest, count):
    # What a process that dies between two commits leaves behind.
    (killed.path / "masks" / "part-000001.parquet").write_bytes(b"never committed")
    (killed.path / "frames" / ".part-000001.parquet.tmp").write_bytes(b"half")
    saved = resumable_state(killed, manifest)
    with AnnotationSetWriter(killed.path, manifest, saved) as writer:
        for frame in FRAMES[100:count]:
            writer.add(frame)
    found = AnnotationSet(killed.path)
    assert found.is_complete
    assert list(found.frames()) == FRAMES[:count]
    counts = found.manifest.counts
    assert (counts.frames, counts.masks, counts.tracks) == (count, 2 * count, 2)
    tables = ("frames", "masks", "prompts")
    written = {
        f"{table}/part-{part:06d}.parquet" for table in tables for part in range(count // 65)
    }
    files = {path for path in killed.path.rglob("*") if path.is_file()}
    names = {path.relative_to(killed.path).as_posix() for path in files}
    assert names == {"manifest.json", *written}


@pytest.mark.parametrize("state", ["complete", "running"])
def test_what_another_process_has_done_meanwhile_stays(killed, manifest, state):
    saved = resumable_state(killed, manifest)
    other = AnnotationSetWriter(killed.path, manifest, resumable_state(killed, manifest))
    with suppress(AnnotationStoppedError), other:
        other.add_batch(FRAMES[100:], lambda: LoopState(next_frame=130))
        other.checkpoint(lambda: LoopState(next_frame=130))
        if state == "running":
            raise AnnotationStoppedError
    with pytest.raises(SetTakenError, match="run the command again"):
        AnnotationSetWriter(killed.path, manifest, saved)
    found = AnnotationSet(killed.path)
    assert found.manifest.state == state
    assert list(found.frames()) == FRAMES
    assert (resumable_state(found, manifest) is None) == (state == "complete")


def test_what_a_process_that_was_killed_has_left_of_a_removed_set_goes(tmp_path, manifest):
    (tmp_path / ".clip.annset.removed" / "masks").mkdir(parents=True)
    with AnnotationSetWriter(tmp_path / "clip.annset", manifest):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["clip.annset"]


def test_what_a_finished_set_still_holds_of_its_annotation_can_be_removed(tmp_path, manifest):
    with AnnotationSetWriter(tmp_path / "clip.annset", manifest) as writer:
        writer.add(FRAMES[0])
    save_state(LoopState(next_frame=1), writer.path / "resume", 1)
    tidy(AnnotationSet(writer.path))
    assert not (writer.path / "resume").exists()
    assert list(AnnotationSet(writer.path).frames()) == FRAMES[:1]


def test_folders_on_the_way_to_a_set_are_made(tmp_path, manifest):
    with AnnotationSetWriter(tmp_path / "2026" / "november" / "clip.annset", manifest) as writer:
        writer.add(FRAMES[0])
    assert AnnotationSet(writer.path).is_complete


FULL = "clip.annset cannot be written .No space left on device.; free space"


@pytest.mark.parametrize("lost", ["write_table", "write_manifest"])
@pytest.mark.parametrize(
    "finish",
    [
        lambda writer: writer.settle_classes({1: 2}.get),
        lambda writer: writer.withdraw({1: 99}),
        lambda writer: writer.add(FRAMES[100]),
    ],
)
def test_a_disk_that_is_full_at_the_end_is_said_to_be(
    tmp_path, manifest, monkeypatch, lost, finish
):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with (
        pytest.raises(OutputError, match=FULL),
        AnnotationSetWriter(tmp_path / "clip.annset", manifest) as writer,
    ):
        writer.add_batch(FRAMES[:100], lambda: LoopState(next_frame=100))
        writer.checkpoint(lambda: LoopState(next_frame=100))
        monkeypatch.setattr(annotation_set_writer, lost, full)
        finish(writer)
    found = AnnotationSet(writer.path)
    assert not found.is_complete
    assert [frame.index for frame in found.frames()] == list(range(100))
