"""Videos that were cut or joined without encoding them anew."""

from fractions import Fraction

import av
import numpy as np
import pytest

from pipeline.frames import open_video


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
