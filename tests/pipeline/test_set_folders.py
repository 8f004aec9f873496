"""The folders of sets: replaced, removed, and written by one process at a time."""

import errno
from shutil import rmtree

import pytest

from pipeline.annotation_set import AnnotationSet
from pipeline.annotation_set import folders as set_folders
from pipeline.annotation_set import writer as annotation_set_writer
from pipeline.annotation_set.folders import remove_set
from pipeline.annotation_set.writer import AnnotationSetWriter, new_manifest, resumable_state
from pipeline.errors import AnnotationAbandonedError, OutputError
from pipeline.loop_state import LoopState
from tests.pipeline.test_annotation_set import frames, write


def test_an_unfinished_set_is_replaced_and_a_finished_one_is_not(tmp_path, clip_info, labels):
    path = tmp_path / "clip.annset"
    AnnotationSetWriter(path, new_manifest(clip_info, labels))
    write(path, clip_info, labels, 3)
    with pytest.raises(OutputError, match="already complete"):
        AnnotationSetWriter(path, new_manifest(clip_info, labels))


def test_a_foreign_folder_is_never_removed(tmp_path, clip_info, labels):
    path = tmp_path / "clip.annset"
    path.mkdir()
    (path / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="not an annotation set"):
        AnnotationSetWriter(path, new_manifest(clip_info, labels))
    assert (path / "thesis.txt").exists()


@pytest.mark.parametrize("lost", ["manifest.json", "masks"])
def test_a_damaged_set_can_be_removed_and_a_foreign_folder_cannot(
    tmp_path, clip_info, labels, lost
):
    path = tmp_path / "clip.annset"
    write(path, clip_info, labels, 3)
    if lost == "masks":
        rmtree(path / lost)
    else:
        (path / lost).unlink()
    remove_set(path)
    assert not list(tmp_path.glob("*"))
    write(path, clip_info, labels, 3)
    (path / ".DS_Store").write_text("of a file manager")
    remove_set(path)
    path.mkdir()
    (path / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="not an annotation set"):
        remove_set(path)
    assert (path / "thesis.txt").exists()


def test_a_set_is_there_only_once_it_has_a_manifest(tmp_path, clip_info, labels, monkeypatch):
    path = tmp_path / "clip.annset"

    def killed(folder, manifest):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(annotation_set_writer, "write_manifest", killed)
        with pytest.raises(KeyboardInterrupt):
            AnnotationSetWriter(path, new_manifest(clip_info, labels))
    assert not path.exists()
    write(path, clip_info, labels, 3)
    assert [found.name for found in tmp_path.iterdir()] == ["clip.annset"]


def test_a_set_has_one_writer_at_a_time(tmp_path, clip_info, labels):
    path, manifest = tmp_path / "clip.annset", new_manifest(clip_info, labels)
    with AnnotationSetWriter(path, manifest) as writer:
        with pytest.raises(OutputError, match="is being written by another process"):
            AnnotationSetWriter(path, manifest)
        with pytest.raises(OutputError, match="is being written by another process"):
            remove_set(path)
        for frame in frames(230):
            writer.add(frame)
    assert AnnotationSet(path).is_complete
    remove_set(path)
    assert not path.exists()


def test_who_lost_a_set_to_another_process_leaves_it_alone(
    tmp_path, clip_info, labels, monkeypatch
):
    def without_locks(*_):
        raise OSError(errno.ENOLCK, "no locks available")

    # As over a network, where another machine may take a set over.
    monkeypatch.setattr(set_folders.fcntl, "flock", without_locks)
    path, manifest = tmp_path / "clip.annset", new_manifest(clip_info, labels)
    loser = AnnotationSetWriter(path, manifest)
    every = list(frames(230))
    loser.add_batch(every[:100], lambda: LoopState(next_frame=100))
    loser.checkpoint(lambda: LoopState(next_frame=100))
    saved = resumable_state(AnnotationSet(path), manifest)
    with AnnotationSetWriter(path, manifest, saved) as winner:
        winner.add_batch(every[100:], lambda: LoopState(next_frame=230))
    with pytest.raises(AnnotationAbandonedError), loser:
        loser.add_batch(every[100:150], lambda: LoopState(next_frame=150))
        raise AnnotationAbandonedError("it is another's now")
    assert AnnotationSet(path).is_complete
    assert len(list(AnnotationSet(path).frames())) == 230
