"""What each stage of a job has done."""

import time

import numpy as np
import pytest

from flows.stage_counters import Stage, StageCounters
from pipeline.records import FrameBatch


def batches(*sizes):
    for size in sizes:
        time.sleep(0.02)
        yield FrameBatch(
            indices=np.arange(size, dtype=np.int64),
            times=np.zeros(size),
            images=np.zeros((size, 4, 4, 3), np.uint8),
        )


def test_waiting_for_frames_counts_as_decoding():
    counters = StageCounters()
    assert [len(batch) for batch in counters.decoded(batches(8, 8, 3))] == [8, 8, 3]
    assert counters.decoding.frames == 19
    assert counters.decoding.seconds >= 0.06
    assert counters.annotating.seconds == 0


def test_an_error_in_a_stage_passes_through_and_its_time_counts():
    counters = StageCounters()
    with pytest.raises(OSError, match="full"), counters.writing.clock():
        time.sleep(0.01)
        raise OSError("full")
    assert 0.01 <= counters.to_json()["writing"]["seconds"] < 60


def test_each_stage_is_told_under_its_name():
    counters = StageCounters(
        decoding=Stage(frames=1, seconds=0.1234),
        annotating=Stage(frames=2, seconds=5),
        writing=Stage(frames=3, seconds=60.00049),
    )
    assert counters.to_json() == {
        "decoding": {"frames": 1, "seconds": 0.123},
        "annotating": {"frames": 2, "seconds": 5},
        "writing": {"frames": 3, "seconds": 60.0},
    }
