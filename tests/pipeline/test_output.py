"""Files and folders that are there when they are complete, and not before."""

import errno
import os
from pathlib import Path

import pytest

from pipeline.errors import OutputError
from pipeline.output import whole_file, whole_folder


@pytest.fixture
def read_only(tmp_path, monkeypatch):
    """A folder of a file system that refuses whatever changes it, even if nothing would change."""

    def refuse(path, *args, **kwargs):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    for name in ("mkdir", "unlink", "write_text", "rename", "replace"):
        monkeypatch.setattr(Path, name, refuse)
    return tmp_path


@pytest.mark.parametrize("whole", [whole_file, whole_folder])
def test_a_read_only_file_system_is_one_sentence(read_only, whole):
    with (
        pytest.raises(
            OutputError, match="out cannot be written .Read-only file system.; let this user"
        ),
        whole(read_only / "out") as draft,
    ):
        draft.write_text("content")


@pytest.mark.parametrize("whole", [whole_file, whole_folder])
def test_what_is_in_the_way_of_an_output_is_told(tmp_path, whole):
    (tmp_path / "file").touch()
    for path, problem in (
        (tmp_path / "file" / "out", "move the file away that is in the place of its folder"),
        (tmp_path / ("x" * 300), "shorten its name"),
    ):
        with pytest.raises(OutputError, match=problem), whole(path) as draft:
            draft.write_text("content")


def test_nobody_is_told_to_remove_a_folder_for_a_file(tmp_path):
    (tmp_path / "recordings").mkdir()
    with (
        pytest.raises(OutputError, match="recordings is a folder; give the name of a file"),
        whole_file(tmp_path / "recordings"),
    ):
        pass


def test_what_a_killed_process_of_the_same_number_has_left_is_not_in_the_way(tmp_path):
    left = tmp_path / f".out-{os.getpid()}.tmp"
    left.mkdir()
    (left / "half").touch()
    with whole_folder(tmp_path / "out") as draft:
        (draft / "whole").touch()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["whole"]
