"""Frames whose outlines are averaged with those around them in time, and drawn anew."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipeline.enlarged_masks import enlarged_masks
from pipeline.masks import encode_mask, enlarged_mask
from pipeline.optical_flow import shrunk_size
from pipeline.outlines import smoothed
from pipeline.records import FrameAnnotation, FrameBatch
from pipeline.steadying.moved_outlines import MovedOutlines
from pipeline.steadying.steady_outlines import (
    Distances,
    mixed,
    on_their_objects,
    without_flashes,
)

# At which outlines are averaged. Flow at half of it costs little less, and a third of the gain.
LONGER_SIDE_PX = 480


class FrameAverager:
    """Averages outlines through time: forwards from what was given out, backwards from what comes.

    Args:
        weight: how much of an outline comes from each neighbouring frame, 0 .. 0.9.
        frame_size: height and width of the video.

    Attributes:
        before: the outlines of the last frame that was given out, averaged with those before it.
    """

    def __init__(self, weight: float, frame_size: tuple[int, int]) -> None:
        self._weight = weight
        self._frame_size = frame_size
        self._size = shrunk_size(frame_size, LONGER_SIDE_PX)
        self._moved = MovedOutlines(self._size)
        self.before: Distances = {}

    def see(self, batch: FrameBatch) -> None:
        """Take the pictures of frames, before these are averaged."""
        self._moved.see(batch)

    def average(self, frames: Sequence[FrameAnnotation], count: int) -> list[FrameAnnotation]:
        """Return the first frames with steady outlines, knowing those after them as well.

        Args:
            frames: neighbours in time; the first one follows the last that was given out.
            count: how many are averaged, at least one.
        """
        later = self._moved_back(frames)
        done = []
        for frame, after in zip(frames[:count], later, strict=False):
            if "cut" in frame.flags:
                self.before = {}
            seen = self._moved.of(frame)
            earlier = self._moved.into(frame, self.before, frame.index - 1)
            own = without_flashes(seen, earlier, after)
            around = [on_their_objects(moved, own) for moved in (earlier, after)]
            done.append(self._redrawn(frame, mixed(own, around, self._weight)))
            self.before = mixed(own, around[:1], self._weight)
        self._moved.forget_before(done[-1].index)
        return done

    def _moved_back(self, frames: Sequence[FrameAnnotation]) -> list[Distances]:
        """Return what the frames after each of these say of its outlines, moved into it."""
        outlines = self._moved.of(frames[-1])
        said: list[Distances] = [{}]
        for place in range(len(frames) - 2, -1, -1):
            frame, later = frames[place], frames[place + 1]
            if "cut" in later.flags:
                outlines = {}
            moved = self._moved.into(frame, outlines, later.index)
            seen = self._moved.of(frame)
            outlines = mixed(seen, [on_their_objects(moved, seen)], self._weight)
            said.append(moved)
        return said[::-1]

    def _redrawn(self, frame: FrameAnnotation, distances: Distances) -> FrameAnnotation:
        """Return a frame whose tracks have these outlines; each pixel is the deepest track's."""
        if not frame.tracks:
            return frame
        outlines = [distances[track.track_id] for track in frame.tracks]
        if self._size != self._frame_size:
            outlines = [smoothed(outline) for outline in outlines]
        masks = enlarged_masks(np.stack(outlines), self._frame_size)
        free = ~masks.any(0)
        tracks = []
        for track, mask in zip(frame.tracks, masks, strict=True):
            # What is too small to have an inside keeps what nobody else claims.
            drawn = mask if mask.any() else enlarged_mask(track.rle, self._frame_size) & free
            if drawn.any():
                tracks.append(replace(track, rle=encode_mask(drawn)))
        return replace(frame, tracks=tuple(tracks))
