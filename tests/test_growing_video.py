"""A video that a recorder still writes while it is read."""

import shutil

import pytest

from pipeline import frames
from pipeline.errors import InputError
from pipeline.frames import open_video


def test_a_video_that_grows_while_it_is_read_is_none_yet(small_video, tmp_path, monkeypatch):
    path = tmp_path / "op.mp4"
    shutil.copy(small_video, path)
    hash_files = frames.hash_files

    def record_on(files):
        with path.open("ab") as file:
            file.write(b"more")
        return hash_files(files)

    with monkeypatch.context() as recording:
        recording.setattr(frames, "hash_files", record_on)
        # Its frames have been counted, and its hash would be that of the whole recording.
        with pytest.raises(InputError, match=r"op\.mp4 has changed while it was read; annotate it"):
            open_video(path)
    assert open_video(path).info.frame_count == 12
