"""Frames of a video one by one: in order, or some of them."""

from collections.abc import Generator, Iterable
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from pipeline.frames import VideoSource

_DECODED_TOGETHER = 8
# A jump decodes from the key frame before, which is some ten seconds at most.
_WORTH_SEEKING = 250


def numbered_frames(
    video: VideoSource, max_frames: int | None = None, start: int = 0
) -> Generator[tuple[int, NDArray[np.uint8]], None, None]:
    """Decode in order, for those who need no batches.

    Args:
        video: where the frames come from.
        max_frames: end before the frame of this index.
        start: index of the first frame.

    Yields:
        The index and the picture uint8[H, W, 3], RGB, of each frame.

    Raises:
        InputError: a frame cannot be decoded, or the video ends early.
    """
    with closing(video.batches(_DECODED_TOGETHER, max_frames, start)) as batches:
        for batch in batches:
            yield from batch.numbered()


def chosen_frames(
    video: VideoSource, wanted: Iterable[int]
) -> Generator[tuple[int, NDArray[np.uint8]], None, None]:
    """Decode some frames; what lies far between them is not decoded, where the video allows.

    Args:
        video: where the frames come from.
        wanted: indices of frames, ascending; the next is asked for when a frame is taken.

    Yields:
        The index and the picture uint8[H, W, 3], RGB, of each.

    Raises:
        InputError: a frame cannot be decoded, or the video ends early.
    """
    frames = numbered_frames(video)
    following = 0
    try:
        for index in wanted:
            if video.is_seekable and index - following > _WORTH_SEEKING:
                frames.close()
                frames = numbered_frames(video, start=index)
            for found, image in frames:
                if found == index:
                    yield found, image
                    break
            following = index + 1
    finally:
        frames.close()
