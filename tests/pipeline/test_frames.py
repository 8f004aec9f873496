"""Video sources against PyAV and against what was written."""

import os

import av
import cv2
import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.frames import open_video
from pipeline.video_writer import VideoWriter
from tests.small_data import copy_packets


def test_a_video_gives_every_frame_once_in_order(small_video):
    video = open_video(str(small_video))
    batches = list(video.batches(5))
    assert [len(batch) for batch in batches] == [5, 5, 2]
    indices = np.concatenate([batch.indices for batch in batches])
    times = np.concatenate([batch.times for batch in batches])
    images = np.concatenate([batch.images for batch in batches])
    assert indices.tolist() == list(range(12))
    assert np.allclose(times, np.arange(12) / 25)
    assert np.allclose(images.mean((1, 2, 3)), 20 * np.arange(12), atol=4)
    assert (video.info.width, video.info.height, video.info.frame_count) == (96, 64, 12)


def test_frames_equal_those_of_another_decoder(small_video):
    ours = np.concatenate([batch.images for batch in open_video(small_video).batches(4)])
    with av.open(str(small_video)) as container:
        theirs = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert np.abs(ours.astype(int) - np.stack(theirs).astype(int)).max() <= 3


def test_max_frames_ends_early(small_video):
    assert sum(len(batch) for batch in open_video(small_video).batches(4, max_frames=6)) == 6


def test_a_folder_of_frames_is_in_natural_order(tmp_path):
    for index in (0, 1, 2, 10, 9):
        cv2.imwrite(str(tmp_path / f"frame{index}.png"), np.full((8, 10, 3), index, np.uint8))
    video = open_video(tmp_path)
    images = np.concatenate([batch.images for batch in video.batches(2)])
    assert images[:, 0, 0, 0].tolist() == [0, 1, 2, 9, 10]
    assert video.info.name == tmp_path.name
    assert (video.info.width, video.info.height) == (10, 8)


def test_the_hash_follows_the_content(tmp_path, small_video):
    first = open_video(small_video).info.sha256
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(small_video.read_bytes())
    assert open_video(copy).info.sha256 == first
    copy.unlink()
    with VideoWriter(copy, rate=25, width=96, height=64) as writer:
        writer.add(np.zeros((64, 96, 3), np.uint8))
    assert open_video(copy).info.sha256 != first


def make_bad(path, kind, good):
    if kind == "missing":
        return
    if kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("this is not a video\n" * 50)
    elif kind == "truncated":
        path.write_bytes(good[: len(good) // 2])
    elif kind == "folder without frames":
        path.mkdir()


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "truncated", "folder without frames"])
def test_bad_input_is_named_with_a_remedy(tmp_path, small_video, kind):
    path = tmp_path / "bad.mp4"
    make_bad(path, kind, small_video.read_bytes())
    with pytest.raises(InputError) as caught:
        open_video(path)
    assert str(path) in str(caught.value)
    assert ";" in str(caught.value)


@pytest.mark.parametrize("on_bad_frame", ["stop", "skip"])
def test_a_video_that_was_recorded_in_portrait_is_upright(tmp_path, on_bad_frame):
    path, turned = tmp_path / "landscape.mp4", tmp_path / "portrait.mp4"
    moving_disc(path)
    copy_packets(path, turned, rotation=90)
    video = open_video(turned, on_bad_frame)
    assert (video.info.width, video.info.height) == (120, 160)
    upright = next(video.batches(8)).images
    lying = next(open_video(path).batches(8)).images
    assert np.array_equal(upright, np.rot90(lying, axes=(1, 2)))
    assert next(video.shrunk_to((80, 60)).batches(8)).images.shape[1:] == (80, 60, 3)


def test_a_video_without_a_picture_stream(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(InputError, match="sound.mp4"):
        open_video(path)


def test_frames_of_different_size_are_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "0.png"), np.zeros((8, 10, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros((8, 12, 3), np.uint8))
    with pytest.raises(InputError, match=r"1\.png is 12x8"):
        list(open_video(tmp_path).batches(4))


@pytest.mark.parametrize("start", [1, 5, 11])
def test_decoding_from_a_frame_gives_what_decoding_everything_gives(small_video, start):
    video = open_video(small_video)
    whole = np.concatenate([batch.images for batch in video.batches(4)])
    parts = list(video.batches(4, start=start))
    assert np.concatenate([batch.indices for batch in parts]).tolist() == list(range(start, 12))
    assert np.array_equal(np.concatenate([batch.images for batch in parts]), whole[start:])
    assert not list(video.batches(4, start=12))


def test_decoding_from_a_frame_of_a_real_video_seeks_to_that_very_frame(real_video):
    video = open_video(real_video)
    whole = np.concatenate([batch.images[:, ::8, ::8] for batch in video.batches(8, 100)])
    for start in (7, 50, 93):
        found = next(video.batches(4, 100, start))
        assert found.indices[0] == start
        assert np.array_equal(found.images[:, ::8, ::8], whole[start : start + 4])


def moving_disc(path, size=(120, 160), count=10):
    """Write a video of a disc that moves; returns its pictures uint8[N, H, W, 3]."""
    pictures = np.full((count, *size, 3), 40, np.uint8)
    for index, picture in enumerate(pictures):
        cv2.circle(picture, (40 + 5 * index, 60), 30, (200, 80, 60), -1)
    with VideoWriter(path, rate=25, width=size[1], height=size[0]) as writer:
        for picture in pictures:
            writer.add(picture)
    return pictures


def frames_of(folder, pictures):
    folder.mkdir()
    for index, picture in enumerate(pictures):
        cv2.imwrite(str(folder / f"{index}.png"), picture[..., ::-1])
    return folder


@pytest.mark.parametrize("kind", ["file", "file, skipping", "folder"])
def test_pictures_are_shrunk_as_they_are_decoded(tmp_path, kind):
    pictures = moving_disc(tmp_path / "disc.mp4")
    path = frames_of(tmp_path / "disc", pictures) if kind == "folder" else tmp_path / "disc.mp4"
    video = open_video(path, "skip" if kind == "file, skipping" else "stop")
    shrunk = video.shrunk_to((45, 61))
    (batch,) = shrunk.batches(8, start=4)
    assert batch.indices.tolist() == list(range(4, 10))
    assert batch.images.shape == (6, 45, 61, 3)
    expected = [cv2.resize(each, (61, 45), interpolation=cv2.INTER_AREA) for each in pictures[4:]]
    assert np.abs(batch.images.astype(int) - np.stack(expected)).mean() < 4
    # What the video says of itself stays, and so does the source that it was made from.
    assert shrunk.info == video.info
    assert next(iter(video.batches(8))).images.shape[1:] == (120, 160, 3)


def test_a_folder_of_videos_is_for_the_archive(tmp_path):
    with pytest.raises(InputError, match="give a folder of numbered frames or a video$"):
        open_video(tmp_path)
    (tmp_path / "operation.MP4").touch()
    with pytest.raises(InputError, match="one by one, or the folder to `scopeline archive`$"):
        open_video(tmp_path)


def test_pictures_beside_their_masks_are_named(tmp_path):
    (tmp_path / "masks").mkdir()
    with pytest.raises(InputError, match="give a folder of numbered frames or a video$"):
        open_video(tmp_path)
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images/0.png"), np.zeros((6, 8, 3), np.uint8))
    with pytest.raises(InputError, match=f"give {tmp_path}/images$"):
        open_video(tmp_path)


def test_a_broken_link_among_frames_is_named_and_folders_are_no_frames(tmp_path):
    for index in range(2):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.zeros((64, 96, 3), np.uint8))
    (tmp_path / "thumbs.png").mkdir()
    assert open_video(tmp_path).info.frame_count == 2
    (tmp_path / "2.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(InputError, match=r"2\.png cannot be read .*; replace or remove it"):
        open_video(tmp_path)


def test_the_frames_before_a_damaged_one_are_given(tmp_path):
    for index in range(8):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((64, 96, 3), index, np.uint8))
    (tmp_path / "6.png").write_bytes(b"PNG?")
    batches = open_video(tmp_path).batches(4)
    assert [batch.indices.tolist() for batch in (next(batches), next(batches))] == [
        [0, 1, 2, 3],
        [4, 5],
    ]
    with pytest.raises(InputError, match=r"6\.png"):
        next(batches)


@pytest.mark.parametrize("on_bad_frame", ["stop", "skip"])
def test_an_avi_with_frames_out_of_order_is_read_in_order(tmp_path, on_bad_frame):
    path = tmp_path / "reordered.avi"
    with av.open(str(path), "w") as target:
        stream = target.add_stream("h264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.options = {"bf": "3", "b-adapt": "0", "crf": "4"}
        for index in range(30):
            image = np.full((64, 96, 3), 8 * index, np.uint8)
            target.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        target.mux(stream.encode())
    (batch,) = open_video(path, on_bad_frame).batches(40)
    assert not batch.undecodable
    assert batch.times.tolist() == pytest.approx([index / 25 for index in range(30)])
    assert batch.images.mean((1, 2, 3)).tolist() == pytest.approx(
        [8 * index for index in range(30)], abs=6
    )
    (late,) = open_video(path, on_bad_frame).batches(40, start=20)
    assert np.array_equal(late.images, batch.images[20:])


def test_a_path_that_cannot_be_looked_at_is_one_sentence(tmp_path):
    path = tmp_path / ("x" * 300 + ".mp4")
    with pytest.raises(InputError, match="cannot be read .File name too long.; let this user"):
        open_video(path)


def test_a_list_of_files_is_no_video(tmp_path, small_video):
    listing = tmp_path / "list.mp4"
    listing.write_text(f"ffconcat version 1.0\nfile {small_video.name}\n")
    with pytest.raises(InputError, match=r"list\.mp4 is "):
        open_video(listing)


def test_a_pipe_among_frames_is_none_of_them(tmp_path):
    cv2.imwrite(str(tmp_path / "0.png"), np.zeros((8, 8, 3), np.uint8))
    os.mkfifo(tmp_path / "1.png")
    assert open_video(tmp_path).info.frame_count == 1


def test_a_video_says_at_a_prompt_what_it_is(tmp_path, small_video):
    assert repr(open_video(small_video)) == (
        f"VideoFile({str(small_video)!r}, 12 frames, 96x64, 25 frames/s)"
    )
    cv2.imwrite(str(tmp_path / "0.png"), np.zeros((8, 10, 3), np.uint8))
    assert repr(open_video(tmp_path)) == (
        f"FrameFolder({str(tmp_path)!r}, 1 frames, 10x8, 25 frames/s)"
    )
