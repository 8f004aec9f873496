"""Which stream of a video file is the video, which of its packets become frames, and when."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from pipeline.errors import InputError

# H.264 and HEVC keep at most 16 frames to be shown later.
_MOST_REORDERED = 16
LONGEST_STEP_S = 3600.0
"""From one frame to the next; a recorder's clock that was set jumps by years."""


class _Packet(NamedTuple):
    time: int | None
    is_key: bool
    is_cut_away: bool


def video_stream(container: InputContainer) -> VideoStream:
    """Return the stream of a file that is its video: the largest, and of those the longest.

    Recorders and editors put small previews beside it, often before it.

    Raises:
        InputError: there is none but cover pictures.
    """
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]
    if not streams:
        raise InputError(f"{container.name} holds no video frames; give a file with a video stream")
    return max(streams, key=lambda stream: (stream.width * stream.height, stream.frames))


def shown_times(packets: "Iterable[av.Packet[Any]]") -> list[int | None]:
    """Return the presentation times of the frames that a video shows, in the order of decoding.

    Two kinds of packets hold pictures that nobody sees: those that an edit list cuts away, as in a
    part of an mp4 that was cut out without encoding it anew, which begins with the key frame before
    the cut; and those that build on a key frame which the file does not hold, as in a recording
    whose beginning was lost. Players and ffmpeg count frames alike.

    Args:
        packets: of one stream, in the order of the file.

    Returns:
        In units of the stream's time base; None where a packet does not say.
    """
    known = [
        _Packet(packet.pts, packet.is_keyframe, packet.is_discard)
        for packet in packets
        if packet.size
    ]
    return [packet.time for packet in _decodable(known) if not packet.is_cut_away]


def _decodable(packets: Sequence[_Packet]) -> list[_Packet]:
    """Leave out what comes before the first key frame, in the file or when it is shown."""
    keys = [place for place, packet in enumerate(packets) if packet.is_key]
    if not keys:
        return list(packets)
    first, *others = keys
    # In recordings that were joined, times may begin anew behind another key frame.
    end = others[0] if others else len(packets)
    begin = packets[first].time
    group = [packet for packet in packets[first:end] if not is_before(packet.time, begin)]
    return [*group, *packets[end:]]


def tell_frames_apart(times: Sequence[int | None]) -> bool:
    """Return whether a frame can be found by its time, as `shown_times` returns them.

    They must all be known and differ, and run on from one end of the file to the other.
    """
    known = [time for time in times if time is not None]
    if len(set(known)) < len(times):
        return False
    moved = np.argsort(np.array(known, np.int64)) - np.arange(len(known))
    return bool((np.abs(moved) <= _MOST_REORDERED).all())


def mean_rate(times: Sequence[int | None], tick_s: float, told: float) -> float:
    """Return how many frames a video shows in a second, on average.

    Files tell their most common rate, or the fineness of their clock, as if it were the mean one:
    Matroska where the rate varies, raw DV always. What frames' own times contradict by a frame or
    more over the whole video is not believed.

    Args:
        times: of the frames, as `shown_times` returns them.
        tick_s: the unit of these times in seconds.
        told: frames/s by the file's own word.
    """
    if not tell_frames_apart(times):
        return told
    known = np.sort(np.array([time for time in times if time is not None], np.int64))
    steps_s = np.diff(known) * tick_s
    steps_s = steps_s[steps_s < LONGEST_STEP_S]
    length_s = float(steps_s.sum())
    if not length_s or abs(length_s - len(steps_s) / told) < 1 / told:
        return told
    return len(steps_s) / length_s


def has_decoding_times(container: InputContainer) -> bool:
    """Return whether a file's times are of the order of decoding, which AVI alone knows."""
    return container.format.name == "avi" and video_stream(container).codec_context.has_b_frames


def is_before(time: int | None, other: int | None) -> bool:
    """Return whether a presentation time is before another, as far as both are known."""
    return time is not None and other is not None and time < other
