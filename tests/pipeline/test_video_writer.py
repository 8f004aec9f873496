"""The writer of videos."""

import numpy as np
import pytest

from pipeline.errors import OutputError
from pipeline.frames import open_video
from pipeline.single_frames import numbered_frames
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


def test_pictures_of_odd_size_lose_their_last_row_and_column(tmp_path):
    """H.264 has even sizes alone."""
    image = np.full((63, 65, 3), 90, np.uint8)
    image[:, 32:] = 200
    with VideoWriter(tmp_path / "odd.mp4", rate=25, width=65, height=63) as writer:
        writer.add(image)
    video = open_video(tmp_path / "odd.mp4")
    assert (video.info.height, video.info.width) == (62, 64)
    ((_, shown),) = numbered_frames(video)
    assert np.abs(shown.astype(int) - image[:62, :64]).max() < 16
