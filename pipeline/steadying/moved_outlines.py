"""The outlines of frames, and where they are in the frames beside them, along the optical flow."""

import numpy as np
from numpy.typing import NDArray

from pipeline.masks import decode_shrunk
from pipeline.optical_flow import Flow, FlowEstimator, small_grey
from pipeline.outlines import signed_distance
from pipeline.records import FrameAnnotation, FrameBatch
from pipeline.steadying.steady_outlines import FARTHEST_PX, Distances, moved_along


class MovedOutlines:
    """Outlines of the latest frames, each made once, and moved between neighbouring frames.

    Args:
        size: height and width at which outlines are measured and flow is estimated.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._flow = FlowEstimator("fast")
        self._greys: dict[int, NDArray[np.uint8]] = {}
        # Of frames beyond a block's end, which the next block needs as well.
        self._outlines: dict[int, Distances] = {}
        self._ways: dict[tuple[int, int], Flow] = {}

    def see(self, batch: FrameBatch) -> None:
        """Take the pictures of frames, before anything is moved into or out of them."""
        for index, image in batch.numbered():
            # Decoded pictures may be a pixel wider or higher than flow needs them.
            self._greys[index] = small_grey(image, self._size)

    def of(self, frame: FrameAnnotation) -> Distances:
        """Return the distance to each outline of a frame, float32[h, w] by track id."""
        if frame.index not in self._outlines:
            self._outlines[frame.index] = {
                track.track_id: signed_distance(decode_shrunk(track.rle, self._size), FARTHEST_PX)
                for track in frame.tracks
            }
        return self._outlines[frame.index]

    def into(self, frame: FrameAnnotation, outlines: Distances, neighbour: int) -> Distances:
        """Move outlines of a neighbour into a frame, of tracks that are in both.

        Args:
            frame: where they are moved to.
            outlines: of the neighbour, float32[h, w] by track id.
            neighbour: its frame index.
        """
        seen = self.of(frame)
        if not outlines.keys() & seen.keys():
            return {}
        pair = frame.index, neighbour
        if pair not in self._ways:
            self._ways[pair] = self._flow.between(*(self._greys[index] for index in pair))
        return moved_along(outlines, self._ways[pair], seen)

    def forget_before(self, index: int) -> None:
        """Forget the frames before one, which is kept."""
        for kept in (self._greys, self._outlines):
            for old in [other for other in kept if other < index]:
                del kept[old]
        for pair in [pair for pair in self._ways if min(pair) < index]:
            del self._ways[pair]
