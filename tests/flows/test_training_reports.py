"""What a training says of itself where no bar can be drawn."""

from dataclasses import replace

import pytest
from rich.progress import Progress

from flows.training.material import step_reporter
from tests.small_training import drawn_clips, job

__all__ = ["drawn_clips", "job"]


@pytest.mark.parametrize(("step_s", "said"), [(0.1, [100, 200, 250]), (25.0, [3, 6, 8])])
def test_a_log_is_told_each_hundred_steps_and_each_minute(job, monkeypatch, capsys, step_s, said):
    now_s = 0.0
    monkeypatch.setattr("flows.training.material.monotonic", lambda: now_s)
    steps = said[-1]
    job.out.mkdir()
    planned = replace(job, plan=replace(job.plan, steps=steps))
    report = step_reporter(planned, Progress(disable=True))
    for step in range(steps):
        now_s += step_s
        report(step, {"loss": 1.0})
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"step {number} of {steps}, loss 1.000" for number in said]
