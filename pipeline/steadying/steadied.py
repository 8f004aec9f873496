"""A loop whose outlines are steadied once the frames of another loop can no longer change."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from pydantic import TypeAdapter

from pipeline.annotate import AnnotationLoop
from pipeline.loop_state import LoopState
from pipeline.records import FrameAnnotation, FrameBatch
from pipeline.steadying.averaged_frames import FrameAverager

# Frames are given out in such blocks, so that the way back through time is gone once for several.
_BLOCK_FRAMES = 8
# What comes later than this has little weight: 0.8 ** 6 is 0.26.
_REACH_FRAMES = 6
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
        self._batch_frames = batch_frames
        self._beside = ThreadPoolExecutor(1, "steadying")
        self._averager = FrameAverager(weight, frame_size)
        self._pending: deque[FrameAnnotation] = deque()
        self._done: list[FrameAnnotation] = []

    @property
    def past_frames(self) -> int:
        """How many frames before a state `restore` must see again."""
        pending = self._batch_frames + _BLOCK_FRAMES + _REACH_FRAMES
        return self._loop.past_frames + pending + 1

    def step(self, batch: FrameBatch) -> list[FrameAnnotation]:
        """Take the next batch; returns the frames, in order, that nothing can change any more."""
        self._averager.see(batch)
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
        outlines = {f"{_OUTLINE}{track}": values for track, values in self._averager.before.items()}
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
        self._averager.before = {
            int(name.removeprefix(_OUTLINE)): state.arrays[name] for name in outlines
        }

    def _seen(self, batches: Iterable[FrameBatch]) -> Iterator[FrameBatch]:
        for batch in batches:
            self._averager.see(batch)
            yield batch

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
        steady = self._averager.average(frames, count)
        for _ in steady:
            self._pending.popleft()
        return steady
