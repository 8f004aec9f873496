"""The picture of a training: its losses and its scores on clips that it did not learn from."""

import csv
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from pipeline.output import replaced_file
from pipeline.training.record import LOSSES, VALIDATION

_SMOOTHED_POINTS = 200


def read_record(path: Path) -> dict[str, NDArray[np.float64]]:
    """Read a record of a training: `step` and its values, each float64[N] in order of steps.

    A run that was stopped repeats the steps after its last checkpoint; the later ones count.
    """
    with path.open(newline="") as file:
        by_step = {int(row["step"]): row for row in csv.DictReader(file)}
    rows = [by_step[step] for step in sorted(by_step)]
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def last_scores(folder: Path) -> dict[str, float]:
    """Return the scores of the last validation of the run in a folder, by name, if any."""
    if not (folder / VALIDATION).exists():
        return {}
    record = read_record(folder / VALIDATION)
    return {name: float(values[-1]) for name, values in record.items() if name != "step"}


def best_scores(folder: Path) -> dict[str, float]:
    """Return the scores of the validation that was best in its first score, by name, if any."""
    if not (folder / VALIDATION).exists():
        return {}
    record = read_record(folder / VALIDATION)
    names = [name for name in record if name != "step"]
    best = int(record[names[0]].argmax())
    return {name: float(record[name][best]) for name in names}


def draw_training(folder: Path, picture: Path, baselines: dict[str, float]) -> None:
    """Draw the curves of the run in a folder.

    Args:
        folder: holds the run's records.
        picture: file to write, SVG.
        baselines: scores 0..1 to compare with, drawn as level lines.

    Raises:
        OutputError: the picture cannot be written.
    """
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    loss_axes, score_axes = figure.subplots(1, 2)
    losses = read_record(folder / LOSSES)
    steps = losses.pop("step")
    for name, values in losses.items():
        loss_axes.plot(*_smoothed(steps, values), label=name)
    loss_axes.set(title="loss", xlabel="step", yscale="log")
    loss_axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    loss_axes.legend(fontsize="small")
    if (folder / VALIDATION).exists():
        _draw_scores(score_axes, read_record(folder / VALIDATION), baselines)
    else:
        score_axes.set_axis_off()
        score_axes.set(title="no validation data")
    with replaced_file(picture) as draft:
        figure.savefig(draft, format="svg")


def _draw_scores(
    axes: Axes, scores: dict[str, NDArray[np.float64]], baselines: dict[str, float]
) -> None:
    steps = scores.pop("step")
    for name, values in scores.items():
        axes.plot(steps, values, marker="o", label=name)
    for number, (name, score) in enumerate(baselines.items()):
        axes.axhline(score, color="grey", linestyle=("--", ":")[number % 2], label=name)
    axes.set(title="on unseen frames", xlabel="step", ylim=(0, 1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)


def _smoothed(
    steps: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Average neighbouring steps, so that at most `_SMOOTHED_POINTS` remain."""
    groups = min(len(steps), _SMOOTHED_POINTS)
    means = [
        np.array([part.mean() for part in np.array_split(series, groups)])
        for series in (steps, values)
    ]
    return means[0], means[1]
