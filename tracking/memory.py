"""What the tracker remembers of each track, and nothing older.

SAM-2's predictor keeps the memory of every frame for ever; here a track holds its prompted
frames (the first one and the latest ones), the last memories and the last object pointers.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

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
    """

    least_presence: float = 0.5

    def keeps(self, presence: float) -> bool:
        """Return whether a frame in which a track is visible with this certainty is kept."""
        return presence >= self.least_presence


EVERY_FRAME = MemoryRule(least_presence=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameMemory:
    """What one frame left behind of one track.

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
        self._forget_frame(memory.frame_index)
        self.prompted = [kept for kept in self.prompted if kept.frame_index != memory.frame_index]
        self.prompted.append(memory)
        if len(self.prompted) > MAX_PROMPTED:
            del self.prompted[1]

    def remember_tracked(self, memory: FrameMemory) -> None:
        """Add the memory of a tracked frame; the oldest one falls out."""
        self.recent.append(memory)
        self.pointers.append((memory.frame_index, memory.pointer))

    def _forget_frame(self, frame_index: int) -> None:
        while self.recent and self.recent[-1].frame_index == frame_index:
            self.recent.pop()
        while self.pointers and self.pointers[-1][0] == frame_index:
            self.pointers.pop()


@dataclass(frozen=True, slots=True, kw_only=True)
class GatheredMemories:
    """The memories of several tracks side by side, padded to equal length.

    Attributes:
        features: float32[B, S, C, h, w].
        ages: int64[B, S], 1 for the latest memory of a tracked frame, 2 for the one before,
            and so on; 0 marks a prompted frame.
        features_valid: bool[B, S], False for padding.
        pointers: float32[B, P, D].
        pointer_ages: int64[B, P], frames since the pointer was made.
        pointers_valid: bool[B, P], False for padding.
    """

    features: Tensor
    ages: Tensor
    features_valid: Tensor
    pointers: Tensor
    pointer_ages: Tensor
    pointers_valid: Tensor


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

    def end(self, track_id: int) -> None:
        """Forget a track; the others are not touched."""
        self._tracks.pop(track_id, None)

    def clear(self) -> None:
        """Forget all tracks."""
        self._tracks.clear()

    def gather(self, track_ids: Sequence[int], frame_index: int) -> GatheredMemories:
        """Put the memories of some tracks side by side for a frame that comes after them."""
        rows = [self._row(self._tracks[track_id], frame_index) for track_id in track_ids]
        slots = max(len(features) for features, _, _, _ in rows)
        pointer_slots = max(len(pointers) for _, _, pointers, _ in rows)
        first_features, _, first_pointers, _ = rows[0]
        batch = len(rows)
        features = first_features[0].new_zeros(
            (batch, slots, *first_features[0].shape), dtype=torch.float32
        )
        pointers = first_pointers[0].new_zeros((batch, pointer_slots, len(first_pointers[0])))
        ages = torch.zeros(batch, slots, dtype=torch.int64, device=features.device)
        pointer_ages = torch.zeros(batch, pointer_slots, dtype=torch.int64, device=features.device)
        features_valid = torch.zeros_like(ages, dtype=torch.bool)
        pointers_valid = torch.zeros_like(pointer_ages, dtype=torch.bool)
        for number, (row_features, row_ages, row_pointers, row_pointer_ages) in enumerate(rows):
            count, pointer_count = len(row_features), len(row_pointers)
            features[number, :count] = torch.stack(row_features)
            ages[number, :count] = torch.tensor(row_ages)
            features_valid[number, :count] = True
            pointers[number, :pointer_count] = torch.stack(row_pointers)
            pointer_ages[number, :pointer_count] = torch.tensor(row_pointer_ages)
            pointers_valid[number, :pointer_count] = True
        return GatheredMemories(
            features=features,
            ages=ages,
            features_valid=features_valid,
            pointers=pointers,
            pointer_ages=pointer_ages,
            pointers_valid=pointers_valid,
        )

    @staticmethod
    def _row(
        memory: TrackMemory, frame_index: int
    ) -> tuple[list[Tensor], list[int], list[Tensor], list[int]]:
        recent = list(memory.recent)
        pointers = [
            (frame_index - made, pointer)
            for made, pointer in memory.pointers
            if 1 <= frame_index - made <= MAX_POINTERS
        ]
        features = [kept.features for kept in (*memory.prompted, *recent)]
        # By rank and not by time, since frames that are not worth it leave no memory.
        ages = [0] * len(memory.prompted) + list(range(len(recent), 0, -1))
        all_pointers = [kept.pointer for kept in memory.prompted] + [
            pointer for _, pointer in pointers
        ]
        pointer_ages = [frame_index - kept.frame_index for kept in memory.prompted] + [
            age for age, _ in pointers
        ]
        return features, ages, all_pointers, pointer_ages
