"""Which packets of a video file become frames, and when those are shown."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import av


class _Packet(NamedTuple):
    time: int | None
    is_key: bool
    is_cut_away: bool


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
    first = next((place for place, packet in enumerate(known) if packet.is_key), 0)
    return [
        packet.time
        for packet in known[first:]
        if not packet.is_cut_away and not is_before(packet.time, known[first].time)
    ]


def is_before(time: int | None, other: int | None) -> bool:
    """Return whether a presentation time is before another, as far as both are known."""
    return time is not None and other is not None and time < other
