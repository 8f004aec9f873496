"""What the tracker remembers of each track, and nothing older.

SAM-2's predictor keeps the memory of every frame for ever; here a track holds its prompted
frames (the first one and the latest ones), the last memories and the last object pointers.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from pipeline.networks.devices import moved

MAX_PROMPTED = 4
MAX_RECENT = 6
MAX_POINTERS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryRule:
    """Which tracked frames are worth remembering.

    SAM-2 remembers every frame. Once it has lost an object, six frames later it remembers
    nothing but frames without it. SAMURAI (arXiv 2411.11922) selects by presence, motion and
    predicted IoU; with the model that ships, to leave out frames below a predicted IoU of 0.5
    made masks worse.

    Attributes:
        least_presence: a frame in which the track is less certainly visible is not remembered.
        in_detail: how many of the latest memories are read place by place, besides those of
            prompted frames; those before them coarsely, see `MemoryReader`. None: all.
    """

    least_presence: float = 0.5
    in_detail: int | None = None

    def keeps(self, presence: float) -> bool:
        """Return whether a frame in which a track is visible with this certainty is kept."""
        return presence >= self.least_presence


# With the tracker that ships J&F stays what it is (0.836 on four scenes that no figure is reported
# on), for 0.65 of the time that attending to memories takes.
LATEST_IN_DETAIL = MemoryRule(in_detail=1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class FrameMemory:
    """What one frame left behind of one track; itself a key, to what is made of it.

    Attributes:
        frame_index: the frame.
        features: bfloat16[C, h, w], output of the memory encoder.
        pointer: float32[D], the object pointer.
    """

    frame_index: int
    features: Tensor
    pointer: Tensor


@dataclass(slots=True)
class TrackMemory:
    """The bounded memory of one track.

    Attributes:
        prompted: memories of prompted frames; the first prompt is never forgotten.
        recent: memories of the last tracked frames, oldest first.
        pointers: (frame index, object pointer) of the last tracked frames, oldest first.
    """

    prompted: list[FrameMemory] = field(default_factory=list)
    recent: deque[FrameMemory] = field(default_factory=lambda: deque(maxlen=MAX_RECENT))
    pointers: deque[tuple[int, Tensor]] = field(default_factory=lambda: deque(maxlen=MAX_POINTERS))

    def remember_prompted(self, memory: FrameMemory) -> None:
        """Add the memory of a prompted frame, in place of what was tracked there."""
        self.forget_frame(memory.frame_index)
        self.prompted = [kept for kept in self.prompted if kept.frame_index != memory.frame_index]
        self.prompted.append(memory)
        if len(self.prompted) > MAX_PROMPTED:
            del self.prompted[1]

    def remember_tracked(self, memory: FrameMemory) -> None:
        """Add the memory of a tracked frame; the oldest one falls out."""
        self.recent.append(memory)
        self.pointers.append((memory.frame_index, memory.pointer))

    def forget_frame(self, frame_index: int) -> None:
        """Forget what was tracked in the last frame, which has this index."""
        while self.recent and self.recent[-1].frame_index == frame_index:
            self.recent.pop()
        while self.pointers and self.pointers[-1][0] == frame_index:
            self.pointers.pop()


@dataclass(frozen=True, slots=True, kw_only=True)
class GatheredMemories:
    """The memories of several tracks side by side.

    Attributes:
        memories: of each of B tracks, those of prompted frames first, then the oldest first.
        ages: of each of these, 1 for the latest memory of a tracked frame, 2 for the one before,
            and so on; 0 marks a prompted frame.
        pointers: float32[B, P, D], padded with zeros.
        pointer_ages: int64[B, P], frames since the pointer was made.
        pointer_counts: how many of each track's pointers are not padding.
    """

    memories: list[list[FrameMemory]]
    ages: list[list[int]]
    pointers: Tensor
    pointer_ages: Tensor
    pointer_counts: list[int]


class MemoryBank:
    """The memories of all tracks that are being followed."""

    def __init__(self) -> None:
        self._tracks: dict[int, TrackMemory] = {}

    def __contains__(self, track_id: int) -> bool:
        """Return whether a track is being followed."""
        return track_id in self._tracks

    @property
    def track_ids(self) -> list[int]:
        """The tracks that are being followed, in ascending order."""
        return sorted(self._tracks)

    def __getitem__(self, track_id: int) -> TrackMemory:
        """Return the memory of a track, a new one if it has none."""
        return self._tracks.setdefault(track_id, TrackMemory())

    def last_prompts(self, track_ids: Sequence[int]) -> "MemoryBank":
        """Return a bank that knows nothing but the last prompted frame of some tracks."""
        other = MemoryBank()
        for track_id in track_ids:
            other[track_id].remember_prompted(self._tracks[track_id].prompted[-1])
        return other

    def end(self, track_id: int) -> None:
        """Forget a track; the others are not touched."""
        self._tracks.pop(track_id, None)

    def clear(self) -> None:
        """Forget all tracks."""
        self._tracks.clear()

    def gather(self, track_ids: Sequence[int], frame_index: int) -> GatheredMemories:
        """Put the memories of some tracks side by side for a frame that comes after them."""
        tracks = [self._tracks[track_id] for track_id in track_ids]
        rows = [_pointers(memory, frame_index) for memory in tracks]
        counts = [len(row) for row in rows]
        pointers = [torch.stack([pointer for pointer, _ in row]) for row in rows]
        ages = [torch.tensor([age for _, age in row]) for row in rows]
        return GatheredMemories(
            memories=[[*memory.prompted, *memory.recent] for memory in tracks],
            # By rank and not by time, since frames that are not worth it leave no memory.
            ages=[
                [0] * len(memory.prompted) + list(range(len(memory.recent), 0, -1))
                for memory in tracks
            ],
            pointers=pad_sequence(pointers, batch_first=True),
            pointer_ages=moved(pad_sequence(ages, batch_first=True), pointers[0].device),
            pointer_counts=counts,
        )


def _pointers(memory: TrackMemory, frame_index: int) -> list[tuple[Tensor, int]]:
    """Return (object pointer, its age in frames) of all that is not out of date."""
    prompted = [(kept.pointer, frame_index - kept.frame_index) for kept in memory.prompted]
    tracked = [(pointer, frame_index - made) for made, pointer in memory.pointers]
    return prompted + [(pointer, age) for pointer, age in tracked if 1 <= age <= MAX_POINTERS]
