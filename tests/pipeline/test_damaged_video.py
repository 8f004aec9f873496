"""Videos and folders of frames that are damaged or end early: named, or skipped over."""

import av
import cv2
import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.frames import open_video
from pipeline.video_writer import VideoWriter
from tests.small_data import copy_packets


def write_corrupt(path, frame_count=60):
    """A video of noise, in the middle of which a fifth of the bytes is zero."""
    noise = np.random.default_rng(0).integers(0, 256, (frame_count, 64, 96, 3)).astype(np.uint8)
    with VideoWriter(path, rate=25, width=96, height=64) as writer:
        for image in noise:
            writer.add(image)
    content = bytearray(path.read_bytes())
    # Beyond the frames that the decoder reads ahead when it opens the file.
    start = 6 * len(content) // 10
    content[start : start + len(content) // 5] = bytes(len(content) // 5)
    whole = path.with_name("whole.mp4")
    path.rename(whole)
    path.write_bytes(content)
    return whole


def test_a_corrupted_video_says_where(tmp_path):
    path = tmp_path / "corrupt.mp4"
    write_corrupt(path)
    with pytest.raises(InputError) as caught:
        list(open_video(path).batches(4))
    assert f"{path} cannot be decoded at frame" in str(caught.value)
    assert "--on-bad-frame skip" in str(caught.value)


def test_bad_frames_of_a_video_can_be_skipped(tmp_path):
    path = tmp_path / "corrupt.mp4"
    whole = write_corrupt(path)
    batches = list(open_video(path, "skip").batches(8))
    assert np.concatenate([batch.indices for batch in batches]).tolist() == list(range(60))
    times = np.concatenate([batch.times for batch in batches])
    assert np.allclose(times, np.arange(60) / 25)
    lost = frozenset().union(*(batch.undecodable for batch in batches))
    assert 5 <= len(lost) <= 25
    assert min(lost) > 25
    images = np.concatenate([batch.images for batch in batches])
    right = np.concatenate([batch.images for batch in open_video(whole).batches(8)])
    first = min(lost)
    assert np.array_equal(images[:first], right[:first])
    assert np.array_equal(images[first], right[first - 1])


def test_a_whole_video_has_nothing_to_skip(small_video):
    stopping = list(open_video(small_video).batches(5))
    skipping = list(open_video(small_video, "skip").batches(5))
    assert len(stopping) == len(skipping)
    for one, other in zip(stopping, skipping, strict=True):
        assert np.array_equal(one.images, other.images)
        assert np.array_equal(one.times, other.times)
        assert not other.undecodable


def test_skipping_does_not_take_a_truncated_video_for_whole(tmp_path):
    path = tmp_path / "truncated.mkv"
    whole = write_corrupt(tmp_path / "corrupt.mp4")
    copy_packets(whole, path)
    video = open_video(path, "skip")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="truncated.mkv ends after"):
        list(video.batches(4))


def test_a_video_of_which_nothing_decodes_is_refused(tmp_path):
    path = tmp_path / "noise.mp4"
    write_corrupt(path)
    content = bytearray(path.read_bytes())
    media = content.find(b"mdat") + 4
    end = content.find(b"moov") - 4
    content[media:end] = bytes(end - media)
    path.write_bytes(content)
    with pytest.raises(InputError, match="noise.mp4"):
        list(open_video(path, "skip").batches(4))


@pytest.mark.parametrize("suffix", ["mp4", "avi"])
def test_a_recording_in_which_nothing_was_recorded_is_no_video(tmp_path, suffix):
    path = tmp_path / f"nothing.{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        container.start_encoding()
    with pytest.raises(InputError, match=rf"nothing\.{suffix} holds no video frames; give a file"):
        open_video(path)


def test_a_damaged_picture_can_be_skipped(tmp_path):
    for index in (0, 2):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((8, 10, 3), 50 * index, np.uint8))
    (tmp_path / "1.png").write_bytes(b"PNG?")
    (batch,) = open_video(tmp_path, "skip").batches(4)
    assert batch.undecodable == {1}
    assert batch.images[:, 0, 0, 0].tolist() == [0, 0, 100]


def test_a_damaged_picture_is_named(tmp_path):
    cv2.imwrite(str(tmp_path / "0.png"), np.zeros((8, 10, 3), np.uint8))
    (tmp_path / "1.png").write_bytes(b"PNG?")
    with pytest.raises(InputError, match=r"1\.png is not a readable picture"):
        list(open_video(tmp_path).batches(4))


def test_a_part_of_a_matroska_file_is_no_video(tmp_path):
    whole = tmp_path / "op.mkv"
    with av.open(str(whole), "w") as target:
        stream = target.add_stream("h264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for index in range(60):
            noise = np.random.default_rng(index).integers(0, 255, (64, 96, 3), np.uint8)
            target.mux(stream.encode(av.VideoFrame.from_ndarray(noise)))
        target.mux(stream.encode())
    assert open_video(whole).info.frame_count == 60
    content = whole.read_bytes()
    (tmp_path / "part.mkv").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=rf"part\.mkv has \d+ of {len(content)} bytes; copy it"):
        open_video(tmp_path / "part.mkv")
    # A recorder that was switched off has not written how long the file is.
    place = content.index(b"\x18\x53\x80\x67") + 4
    content = content[:place] + b"\x01" + b"\xff" * 7 + content[place + 8 :]
    (tmp_path / "off.mkv").write_bytes(content[: len(content) // 2])
    assert 0 < open_video(tmp_path / "off.mkv").info.frame_count < 60
