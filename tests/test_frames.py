"""Video sources against PyAV and against what was written."""

import os
import threading
import zlib
from contextlib import nullcontext
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline import decode_ahead as decode_ahead_module
from pipeline.decode_ahead import DecodedCount, decode_ahead
from pipeline.errors import InputError
from pipeline.frames import open_video
from pipeline.picture_files import read_image
from pipeline.video_writer import VideoWriter


def test_a_video_gives_every_frame_once_in_order(small_video):
    video = open_video(small_video)
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


def test_read_image_is_rgb(tmp_path):
    blue_in_bgr = np.zeros((2, 2, 3), np.uint8)
    blue_in_bgr[..., 0] = 200
    cv2.imwrite(str(tmp_path / "blue.png"), blue_in_bgr)
    assert read_image(tmp_path / "blue.png")[0, 0].tolist() == [0, 0, 200]


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


def copy_packets(source, target, rotation=0):
    """Write what a video holds into another file, to be turned by so many degrees when shown."""
    with av.open(str(source)) as whole, av.open(str(target), "w") as copied:
        stream = copied.add_stream_from_template(whole.streams.video[0])
        if rotation:
            stream.set_display_rotation(rotation)
        for packet in whole.demux(video=0):
            if packet.size:
                packet.stream = stream
                copied.mux(packet)


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


def numbered_pictures(count):
    """Pictures uint8[N, 64, 96, 3] that are brighter from one to the next."""
    steps = np.linspace(20, 230, count).astype(np.uint8)
    return np.broadcast_to(steps[:, None, None, None], (count, 64, 96, 3))


def encode(path, pictures, start_s=0):
    """Write a video with B-frames and a key frame each 20 frames."""
    options = {"g": "20", "bf": "3", "sc_threshold": "0"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = (
            pictures.shape[2],
            pictures.shape[1],
            "yuv420p",
        )
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = 25 * start_s + number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def cut_without_encoding(source, path, frame):
    """Cut a video's beginning off as `ffmpeg -ss ... -c copy` does: from its key frame, hidden."""
    with av.open(str(source)) as whole, av.open(str(path), "w") as part:
        stream = part.add_stream_from_template(whole.streams.video[0])
        ticks = round(frame / 25 / whole.streams.video[0].time_base)
        packets = [packet for packet in whole.demux(video=0) if packet.size]
        keys = [p for p in packets if p.is_keyframe and p.pts <= ticks]
        for packet in packets[packets.index(keys[-1]) :]:
            packet.pts, packet.dts, packet.stream = packet.pts - ticks, packet.dts - ticks, stream
            part.mux(packet)


def levels_of(video, **options):
    """The brightness of each frame of a video."""
    return [image.mean() for batch in video.batches(8, **options) for image in batch.images]


@pytest.mark.parametrize("on_bad_frame", ["stop", "skip"])
def test_frames_that_a_cut_has_hidden_are_not_of_the_video(tmp_path, on_bad_frame):
    whole, part = tmp_path / "whole.mp4", tmp_path / "part.mp4"
    encode(whole, numbered_pictures(60))
    cut_without_encoding(whole, part, frame=27)
    expected = levels_of(open_video(whole))[27:]
    video = open_video(part, on_bad_frame)
    assert video.info.frame_count == 33
    assert levels_of(video) == pytest.approx(expected)
    assert levels_of(video, start=17) == pytest.approx(expected[17:])
    assert not any(batch.undecodable for batch in video.batches(8))


@pytest.mark.parametrize("on_bad_frame", ["stop", "skip"])
def test_a_recording_that_lost_its_beginning_starts_with_its_first_key_frame(
    tmp_path, on_bad_frame
):
    whole, rest = tmp_path / "whole.ts", tmp_path / "rest.ts"
    # Noise is as large in each frame, so that half of the file is half of the video.
    encode(whole, np.random.default_rng(0).integers(0, 256, (60, 64, 96, 3)).astype(np.uint8))
    content = whole.read_bytes()
    rest.write_bytes(content[len(content) // 188 // 2 * 188 :])
    expected = levels_of(open_video(whole))[40:]
    video = open_video(rest, on_bad_frame)
    assert levels_of(video) == pytest.approx(expected)
    assert levels_of(video, start=9) == pytest.approx(expected[9:])


def test_recordings_that_were_joined_byte_by_byte_are_one_video(tmp_path):
    """Times begin anew where the second one does, so nothing can be found by them."""
    first, second, joined = (tmp_path / f"{name}.ts" for name in ("first", "second", "joined"))
    encode(first, numbered_pictures(30), start_s=10)
    encode(second, numbered_pictures(40))
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    expected = [*levels_of(open_video(first)), *levels_of(open_video(second))]
    video = open_video(joined)
    assert video.info.frame_count == 70
    assert levels_of(video) == pytest.approx(expected)
    assert levels_of(video, start=33) == pytest.approx(expected[33:])


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


def test_a_damaged_picture_can_be_skipped(tmp_path):
    for index in (0, 2):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((8, 10, 3), 50 * index, np.uint8))
    (tmp_path / "1.png").write_bytes(b"PNG?")
    (batch,) = open_video(tmp_path, "skip").batches(4)
    assert batch.undecodable == {1}
    assert batch.images[:, 0, 0, 0].tolist() == [0, 0, 100]


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


def test_a_damaged_picture_is_named(tmp_path):
    cv2.imwrite(str(tmp_path / "0.png"), np.zeros((8, 10, 3), np.uint8))
    (tmp_path / "1.png").write_bytes(b"PNG?")
    with pytest.raises(InputError, match=r"1\.png is not a readable picture"):
        list(open_video(tmp_path).batches(4))


def test_stopping_early_stops_the_decoder(small_video):
    batches = open_video(small_video).batches(1)
    next(batches)
    batches.close()
    for thread in threading.enumerate():
        if thread.name == "decode-ahead":
            thread.join(5)
            assert not thread.is_alive()


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


def test_a_broken_link_among_frames_is_named_and_folders_are_no_frames(tmp_path):
    for index in range(2):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.zeros((64, 96, 3), np.uint8))
    (tmp_path / "thumbs.png").mkdir()
    assert open_video(tmp_path).info.frame_count == 2
    (tmp_path / "2.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(InputError, match=r"2\.png cannot be read .*; replace or remove it"):
        open_video(tmp_path)


def test_half_a_jpeg_is_no_picture(tmp_path):
    path = tmp_path / "0.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)).save(path)
    whole = path.read_bytes()
    picture = read_image(path)
    path.write_bytes(whole + b"what some cameras write behind it")
    assert np.array_equal(read_image(path), picture)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"0\.jpg is not a readable picture"):
        read_image(path)


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


def test_a_path_that_cannot_be_looked_at_is_one_sentence(tmp_path):
    path = tmp_path / ("x" * 300 + ".mp4")
    with pytest.raises(InputError, match="cannot be read .File name too long.; let this user"):
        open_video(path)


@pytest.mark.parametrize("decodes", [True, False])
def test_a_decoder_is_waited_for_as_long_as_it_decodes(small_video, monkeypatch, decodes):
    decoded, may_go_on = DecodedCount(), threading.Event()

    def decode():
        for _ in decoded.over(range(40)):
            may_go_on.wait(0.05 if decodes else 30)
        yield from open_video(small_video).decode(8, 8)

    monkeypatch.setattr(decode_ahead_module, "_DECODE_TIMEOUT_S", 0.5)
    batches = decode_ahead(decode(), small_video, decoded)
    with nullcontext() if decodes else pytest.raises(InputError, match="stopped giving frames"):
        assert len(next(batches)) == 8
    may_go_on.set()


def test_all_that_is_decoded_counts_also_before_the_first_frame_that_is_wanted(small_video):
    video = open_video(small_video, "skip")
    assert [batch.indices.tolist() for batch in video.batches(8, start=11)] == [[11]]
    assert video._count.frames == 12


def test_a_list_of_files_is_no_video(tmp_path, small_video):
    listing = tmp_path / "list.mp4"
    listing.write_text(f"ffconcat version 1.0\nfile {small_video.name}\n")
    with pytest.raises(InputError, match=r"list\.mp4 is "):
        open_video(listing)


def test_a_pipe_among_frames_is_none_of_them(tmp_path):
    cv2.imwrite(str(tmp_path / "0.png"), np.zeros((8, 8, 3), np.uint8))
    os.mkfifo(tmp_path / "1.png")
    assert open_video(tmp_path).info.frame_count == 1


def test_a_picture_whose_name_is_not_unicode_is_read_and_one_that_is_too_large_is_named(tmp_path):
    odd = tmp_path / os.fsdecode(b"\xff.png")
    cv2.imwrite(str(tmp_path / "0.png"), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "0.png").rename(odd)
    assert read_image(odd).shape == (8, 8, 3)
    large = bytearray(odd.read_bytes())
    large[16:24] = (60_000).to_bytes(4, "big") * 2
    large[29:33] = zlib.crc32(large[12:29]).to_bytes(4, "big")
    (tmp_path / "large.png").write_bytes(large)
    with pytest.raises(InputError, match=r"large\.png is not a readable picture"):
        read_image(tmp_path / "large.png")
