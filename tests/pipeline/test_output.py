"""Files and folders that are there when they are complete, and not before."""

import errno
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
        pytest.raises(OutputError, match="out cannot be written .Read-only file system.; free"),
        whole(read_only / "out") as draft,
    ):
        draft.write_text("content")
