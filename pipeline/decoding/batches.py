"""Decoded frames, put into batches."""

from collections.abc import Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.records import FrameBatch

# A frame's presentation time in seconds, and its picture uint8[H, W, 3] unless it is undecodable.
DecodedFrame = tuple[float, NDArray[np.uint8] | None]
# Likewise, with a picture in any case, and whether it is the frame's own.
_Filled = tuple[float, NDArray[np.uint8], bool]


def in_batches(
    frames: Iterator[DecodedFrame], size: int, shape: tuple[int, int], first: int, start: int
) -> Iterator[FrameBatch]:
    """Put frames into batches; before a damaged frame, one of those that there are.

    Args:
        frames: what is decoded, in order.
        size: frames in a batch; the last may have fewer.
        shape: height and width of the pictures.
        first: index of the first of `frames`.
        start: index of the first that is wanted.
    """
    filled = islice(_filled(frames, shape), start - first, None)
    for decoded in _groups(filled, size):
        yield FrameBatch(
            indices=np.arange(start, start + len(decoded), dtype=np.int64),
            times=np.array([time_s for time_s, _, _ in decoded], np.float64),
            images=np.stack([image for _, image, _ in decoded]),
            undecodable=frozenset(
                start + row for row, (_, _, whole) in enumerate(decoded) if not whole
            ),
        )
        start += len(decoded)


def _groups(frames: Iterator[_Filled], size: int) -> Iterator[list[_Filled]]:
    """Yield frames by so many; before one that is damaged, as many as there are."""
    while True:
        group: list[_Filled] = []
        try:
            # What came before the damage stays in the list.
            group.extend(islice(frames, size))
        except InputError:
            if group:
                yield group
            raise
        if not group:
            return
        yield group


def _filled(frames: Iterator[DecodedFrame], shape: tuple[int, int]) -> Iterator[_Filled]:
    """Yield frames with pictures; an undecodable one has the last one's."""
    last = np.zeros((*shape, 3), np.uint8)
    for time_s, image in frames:
        if image is not None:
            last = image
        yield time_s, last, image is not None
