"""What a file's packets say of its frames, where its header says something else."""

from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition

from pipeline.frames import open_video
from tests.conftest import encode_at

# In milliseconds: as a recorder writes that leaves out pictures in which nothing moves.
UNEVEN = [0, 40, 80, 120, 320, 360, 400, 600, 800, 840, 880, 1080]


def test_the_rate_of_a_matroska_file_with_uneven_frames_is_the_mean_one(tmp_path):
    path = tmp_path / "uneven.mkv"
    encode_at(path, UNEVEN)
    video = open_video(path)
    assert video.info.rate == pytest.approx(11 / 1.08)
    (batch,) = video.batches(20)
    assert batch.times.tolist() == pytest.approx([time / 1000 for time in UNEVEN])


def test_a_clock_that_was_set_while_it_recorded_does_not_count(tmp_path):
    path = tmp_path / "set.mkv"
    encode_at(path, [*UNEVEN[:6], *(time + 10_000_000 for time in UNEVEN[6:])])
    assert open_video(path).info.rate == pytest.approx(10 / 1.04)


def test_the_clock_of_raw_dv_is_not_its_rate(tmp_path):
    path = tmp_path / "camcorder.dv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("dvvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 720, 576, "yuv420p"
        for level in range(4):
            picture = np.full((576, 720, 3), 50 * level, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())
    assert open_video(path).info.rate == pytest.approx(25)


@pytest.mark.parametrize("name", ["clip.mkv", "clip.mp4"])
def test_a_usual_rate_is_told_as_exactly_as_the_file_tells_it(tmp_path, name):
    """Matroska rounds times to milliseconds, which is no reason to doubt it."""
    path, rate = tmp_path / name, Fraction(30_000, 1001)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for level in range(40):
            picture = np.full((64, 96, 3), 5 * level, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())
    assert open_video(path).info.rate == float(rate)


def with_preview(path, size, disposition):
    """Write a video of 12 frames, 96x64, behind a picture of another size."""
    with av.open(str(path), "w") as container:
        preview = container.add_stream("mjpeg", rate=1)
        preview.width, preview.height, preview.pix_fmt = *size, "yuvj420p"
        preview.disposition = disposition
        video = container.add_stream("h264", rate=25, options={"bf": "0"})
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        picture = np.full((size[1], size[0], 3), 200, np.uint8)
        container.mux(preview.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(preview.encode())
        for level in range(12):
            picture = np.full((64, 96, 3), 20 * level, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(video.encode())


@pytest.mark.parametrize("on_bad_frame", ["stop", "skip"])
@pytest.mark.parametrize(
    ("name", "size", "disposition"),
    [
        ("small.mp4", (48, 32), Disposition(0)),
        ("small.mkv", (48, 32), Disposition(0)),
        ("large.mp4", (640, 480), Disposition.attached_pic),
    ],
)
def test_a_preview_before_the_video_is_not_the_video(
    tmp_path, name, size, disposition, on_bad_frame
):
    with_preview(tmp_path / name, size, disposition)
    video = open_video(tmp_path / name, on_bad_frame)
    assert (video.info.width, video.info.height) == (96, 64)
    assert (video.info.frame_count, video.info.rate) == (12, 25)
    (whole,) = video.batches(20)
    assert whole.images.mean((1, 2, 3)).tolist() == pytest.approx(range(0, 240, 20), abs=6)
    (late,) = video.batches(20, start=9)
    assert np.array_equal(late.images, whole.images[9:])
