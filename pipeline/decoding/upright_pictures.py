"""Decoded frames as upright pictures."""

import av
import numpy as np
from numpy.typing import NDArray


def rgb_picture(frame: av.VideoFrame, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a decoded frame as uint8[h, w, 3], RGB, upright, brought to a height and width.

    Shrinking as part of the change from YUV is cheaper than to shrink what it gives.
    """
    turns = quarter_turns(frame)
    height, width = size[::-1] if turns % 2 else size
    if (frame.height, frame.width) == (height, width):
        picture = frame.to_ndarray(format="rgb24")
    else:
        picture = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA")
    return np.asarray(np.rot90(picture, turns), np.uint8)


def quarter_turns(frame: av.VideoFrame) -> int:
    """Return how often a frame has to be turned by 90 degrees, counterclockwise, to be upright.

    A phone or a helmet camera writes so into its files, and players turn what they show.
    """
    return round(frame.rotation / 90) % 4
