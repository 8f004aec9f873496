"""A loop whose outlines are steadied once the frames of another loop can no longer change."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from pipeline.annotate import AnnotationLoop
from pipeline.enlarged_masks import enlarged_masks
from pipeline.loop_state import LoopState
from pipeline.masks import decode_shrunk, encode_mask, enlarged_mask
from pipeline.optical_flow import Flow, FlowEstimator, shrunk_size, small_grey
from pipeline.outlines import signed_distance, smoothed
from pipeline.records import FrameAnnotation, FrameBatch
from pipeline.steady_outlines import (
    FARTHEST_PX,
    Distances,
    mixed,
    moved_along,
    on_their_objects,
    without_flashes,
)

# Frames are given out in such blocks, so that the way back through time is gone once for several.
_BLOCK_FRAMES = 8
# What comes later than this has little weight: 0.8 ** 6 is 0.26.
_REACH_FRAMES = 6
# At which outlines are averaged. Flow at half of it costs little less, and a third of the gain.
LONGER_SIDE_PX = 480
_OUTLINE = "steadied-outline-"
_FRAMES = TypeAdapter(list[FrameAnnotation])


class Steadied:
    """Annotates as another loop does, and averages each outline with those around it in time.

    Nothing is averaged across a cut of the camera. While the other loop takes a batch, the frames
    that it gave before are steadied on another thread. The other loop may see smaller pictures than
    the video has: the outlines that are given out are those of the video, with smooth edges.

    Args:
        loop: annotates.
        weight: how much of an outline comes from each neighbouring frame, 0 .. 0.9.
        batch_frames: how many frames come at once, at most.
        frame_size: height and width of the video.
    """

    def __init__(
        self,
        loop: AnnotationLoop,
        weight: float,
        *,
        batch_frames: int,
        frame_size: tuple[int, int],
    ) -> None:
        self._loop = loop
        self._weight = weight
        self._batch_frames = batch_frames
        self._beside = ThreadPoolExecutor(1, "steadying")
        self._flow = FlowEstimator("fast")
        self._greys: dict[int, NDArray[np.uint8]] = {}
        # Of frames beyond a block's end, which the next block needs as well.
        self._outlines: dict[int, Distances] = {}
        self._ways: dict[tuple[int, int], Flow] = {}
        self._frame_size = frame_size
        self._size = shrunk_size(frame_size, LONGER_SIDE_PX)
        self._pending: deque[FrameAnnotation] = deque()
        self._done: list[FrameAnnotation] = []
        # The outlines of the last frame that was given out, averaged with those before it.
        self._before: Distances = {}

    @property
    def past_frames(self) -> int:
        """How many frames before a state `restore` must see again."""
        pending = self._batch_frames + _BLOCK_FRAMES + _REACH_FRAMES
        return self._loop.past_frames + pending + 1

    def step(self, batch: FrameBatch) -> list[FrameAnnotation]:
        """Take the next batch; returns the frames, in order, that nothing can change any more."""
        self._see(batch)
        steadying = self._beside.submit(self._steady_blocks)
        try:
            arrived = self._loop.step(batch)
        finally:
            steadying.result()
        self._pending.extend(arrived)
        return self._given_out()

    def finish(self) -> list[FrameAnnotation]:
        """Return the frames that are left when no batch follows."""
        self._pending.extend(self._loop.finish())
        while self._pending:
            self._done += self._steady_block()
        return self._given_out()

    def withdrawn(self) -> Mapping[int, int]:
        """Return which tracks turned out to be none, with the last frame that each may be in."""
        return self._loop.withdrawn()

    def class_of(self, track_id: int) -> int | None:
        """Return the class of a track if it may have turned since its first frames were given."""
        return self._loop.class_of(track_id)

    def state(self) -> LoopState:
        """Return where the annotation stands, between two batches."""
        inner = self._loop.state()
        outlines = {f"{_OUTLINE}{track}": values for track, values in self._before.items()}
        return LoopState(
            next_frame=inner.next_frame,
            values={
                "loop": inner.values,
                "pending": _FRAMES.dump_python(list(self._pending), mode="json"),
            },
            arrays={**inner.arrays, **outlines},
        )

    def restore(self, state: LoopState, past: Iterable[FrameBatch]) -> None:
        """Go on from a state, given the batches before it."""
        outlines = {name for name in state.arrays if name.startswith(_OUTLINE)}
        inner = LoopState(
            next_frame=state.next_frame,
            values=state.values["loop"],
            arrays={name: state.arrays[name] for name in state.arrays.keys() - outlines},
        )
        seen = self._seen(past)
        self._loop.restore(inner, seen)
        # A loop that needs no past has left it unread.
        deque(seen, maxlen=0)
        self._pending = deque(_FRAMES.validate_python(state.values["pending"]))
        self._before = {int(name.removeprefix(_OUTLINE)): state.arrays[name] for name in outlines}

    def _seen(self, batches: Iterable[FrameBatch]) -> Iterator[FrameBatch]:
        for batch in batches:
            self._see(batch)
            yield batch

    def _see(self, batch: FrameBatch) -> None:
        for index, image in batch.numbered():
            # Decoded pictures may be a pixel wider or higher than flow needs them.
            self._greys[index] = small_grey(image, self._size)

    def _given_out(self) -> list[FrameAnnotation]:
        done, self._done = self._done, []
        return done

    def _steady_blocks(self) -> None:
        """Steady the blocks of which enough is known of the frames after them."""
        while self._pending and len(self._pending) >= self._block_length() + _REACH_FRAMES:
            self._done += self._steady_block()

    def _block_length(self) -> int:
        """Return how many frames are left of the first pending frame's block."""
        return _BLOCK_FRAMES - self._pending[0].index % _BLOCK_FRAMES

    def _steady_block(self) -> list[FrameAnnotation]:
        """Steady a block of the pending frames with what is known of those after it."""
        count = min(self._block_length(), len(self._pending))
        frames = list(islice(self._pending, count + _REACH_FRAMES))
        seen = [self._distances(frame) for frame in frames]
        later = self._moved_back(frames, seen)
        done = []
        for place in range(count):
            frame = self._pending.popleft()
            if "cut" in frame.flags:
                self._before = {}
            earlier = self._moved(self._before, frame.index - 1, frame, seen[place])
            own = without_flashes(seen[place], earlier, later[place])
            around = [on_their_objects(moved, own) for moved in (earlier, later[place])]
            done.append(self._redrawn(frame, mixed(own, around, self._weight)))
            self._before = mixed(own, around[:1], self._weight)
        self._forget_before(done[-1].index)
        return done

    def _forget_before(self, index: int) -> None:
        for kept in (self._greys, self._outlines):
            for old in [other for other in kept if other < index]:
                del kept[old]
        for pair in [pair for pair in self._ways if min(pair) < index]:
            del self._ways[pair]

    def _moved_back(
        self, frames: Sequence[FrameAnnotation], seen: Sequence[Distances]
    ) -> list[Distances]:
        """Return what the frames after each of these say of its outlines, moved into it."""
        outlines = seen[-1]
        said: list[Distances] = [{}]
        for place in range(len(frames) - 2, -1, -1):
            later = frames[place + 1]
            if "cut" in later.flags:
                outlines = {}
            moved = self._moved(outlines, later.index, frames[place], seen[place])
            believed = on_their_objects(moved, seen[place])
            outlines = mixed(seen[place], [believed], self._weight)
            said.append(moved)
        return said[::-1]

    def _moved(
        self, outlines: Distances, neighbour: int, frame: FrameAnnotation, seen: Distances
    ) -> Distances:
        """Move a neighbour's outlines into a frame, of tracks that are in both."""
        if not outlines.keys() & seen.keys():
            return {}
        pair = frame.index, neighbour
        if pair not in self._ways:
            self._ways[pair] = self._flow.between(*(self._greys[index] for index in pair))
        return moved_along(outlines, self._ways[pair], seen)

    def _distances(self, frame: FrameAnnotation) -> Distances:
        """Return the distance to each outline of a frame, at the size that flow is estimated at."""
        if frame.index not in self._outlines:
            self._outlines[frame.index] = {
                track.track_id: signed_distance(decode_shrunk(track.rle, self._size), FARTHEST_PX)
                for track in frame.tracks
            }
        return self._outlines[frame.index]

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
