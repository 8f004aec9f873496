"""How many frames each stage of a video's job has taken, and in how many seconds."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pipeline.records import FrameBatch


@dataclass(slots=True)
class Stage:
    """What a stage has done so far.

    Attributes:
        frames: that went through it.
        seconds: that the job has spent in it; waiting for frames decoded beside it counts.
    """

    frames: int = 0
    seconds: float = 0.0

    @contextmanager
    def clock(self) -> Iterator[None]:
        """Count the time of the block."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - started


@dataclass(slots=True)
class StageCounters:
    """The stages of a video's job: decoding, annotating (both networks) and writing."""

    decoding: Stage = field(default_factory=Stage)
    annotating: Stage = field(default_factory=Stage)
    writing: Stage = field(default_factory=Stage)

    def decoded(self, batches: Iterator[FrameBatch]) -> Iterator[FrameBatch]:
        """Yield batches, counting the time that is spent waiting for them."""
        while True:
            with self.decoding.clock():
                batch = next(batches, None)
            if batch is None:
                return
            self.decoding.frames += len(batch)
            yield batch

    def to_json(self) -> dict[str, Any]:
        """Return the counters by stage."""
        stages = {
            "decoding": self.decoding,
            "annotating": self.annotating,
            "writing": self.writing,
        }
        return {
            name: {"frames": stage.frames, "seconds": round(stage.seconds, 3)}
            for name, stage in stages.items()
        }
