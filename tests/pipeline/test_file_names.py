"""Names that are not UTF-8, as old shares have them."""

import os
from pathlib import Path

import pytest

from flows.archive.source import find_videos
from pipeline.errors import InputError
from pipeline.frames import open_video


def test_a_name_that_is_not_utf8_is_one_that_nothing_can_be_opened_by(tmp_path):
    for name in (b"op1.mp4", b"op\xe9.mp4"):
        (tmp_path / os.fsdecode(name)).write_bytes(b"video")
    whole, other = find_videos(str(tmp_path))
    assert whole.name == "op1"
    other.name.encode()
    for path in (Path(other.address), tmp_path / os.fsdecode(b"op\xe9.mp4")):
        with pytest.raises(InputError, match="has a name that is not UTF-8; rename it") as refused:
            open_video(path)
        str(refused.value).encode()
