"""Decoding of a video in which some frames are damaged, without losing count of them."""

import heapq
from collections.abc import Collection, Iterator
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.decoding.packet_times import is_before, video_stream
from pipeline.decoding.upright_pictures import rgb_picture
from pipeline.errors import InputError


def decode_with_gaps(
    container: av.container.InputContainer, size: tuple[int, int], times: Collection[int]
) -> Iterator[tuple[float | None, NDArray[np.uint8] | None]]:
    """Decode what can be decoded, and say where a frame is missing.

    A frame is known by the presentation time that its packet has. A decoder gives frames in the
    order of their times: those of earlier packets that have not come by then are lost. So is a
    frame of which the decoder itself says that it is corrupt.

    Args:
        container: an open video file.
        size: height and width that pictures are brought to.
        times: of the frames that the file shows, as far as they are known.

    Yields:
        For each frame its presentation time in seconds if it is known, and its picture
        uint8[h, w, 3], RGB, or None where it is lost.

    Raises:
        av.error.FFmpegError: the file cannot be read on.
        InputError: there is no frame that can be decoded.
    """
    stream = video_stream(container)
    # Frames that are decoded in parallel would be lost together with the damaged one.
    stream.thread_type = "SLICE"
    tick_s = float(stream.time_base or 0)
    shown, begin = frozenset(times), min(times, default=None)
    expected: list[int] = []
    begun = decoded = False
    for packet in container.demux(stream):
        if packet.size and packet.pts in shown:
            heapq.heappush(expected, packet.pts)
        for frame in _decode(packet):
            begun = begun or not is_before(frame.pts, begin)
            if not begun:
                continue
            while expected and frame.pts is not None and expected[0] < frame.pts:
                yield heapq.heappop(expected) * tick_s, None
            if expected and expected[0] == frame.pts:
                heapq.heappop(expected)
            picture = None
            if not frame.is_corrupt:
                picture = rgb_picture(frame, size)
            decoded = decoded or picture is not None
            yield frame.time, picture
    if not decoded:
        raise InputError(
            f"{container.name} holds no frame that can be decoded; copy it again or convert it to "
            "mp4 (H.264)"
        )
    while expected:
        yield heapq.heappop(expected) * tick_s, None


def _decode(packet: "av.Packet[Any]") -> list[av.VideoFrame]:
    try:
        return [frame for frame in packet.decode() if isinstance(frame, av.VideoFrame)]
    except av.error.FFmpegError:
        return []
