"""The writer of videos."""

import numpy as np
import pytest

from pipeline.errors import OutputError
from pipeline.video_writer import VideoWriter


def test_a_video_is_complete_or_not_there(tmp_path):
    path = tmp_path / "half.mp4"
    with pytest.raises(RuntimeError), VideoWriter(path, rate=25, width=64, height=64) as writer:
        writer.add(np.zeros((64, 64, 3), np.uint8))
        raise RuntimeError("stopped")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        VideoWriter(tmp_path / "file" / "y.mp4", rate=25, width=64, height=64)
