"""What to train a model on, and how long."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.training import TrainingPlan
from samples.theatre.looks import Scenery

THEATRE = "theatre"
CLIP_FRAMES = 24
# Below the training seeds, and not among those that figures are measured on.
FIRST_VALIDATION_SEED = 90_000
CURVES = "training.svg"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob:
    """What to train on, and how long.

    Attributes:
        data: `theatre`, or the folder of a data set.
        out: model folder to write; its subfolder `.training` keeps the unfinished run.
        clips: theatre scenes to draw clips from.
        validation_clips: other scenes, to measure on now and then.
        scenery: what the scenes look like.
        plan: steps, learning rate and seed.
        photographs: the folder that the scenery's photographs come from.
        start_from: name or folder of a model whose weights the training starts from; only the
            backbone's, from ImageNet, if none is given.
        layout: how the data set is laid out; one of `overseer.datasets.LAYOUTS`.
        labels: JSON file that says what the values in a data set's masks mean.
        validation_data: another data set of this layout, of other videos, to measure on.
    """

    data: str
    out: Path
    clips: int
    validation_clips: int
    scenery: Scenery
    plan: TrainingPlan
    photographs: Path | None = None
    start_from: str | None = None
    layout: str = "masks"
    labels: Path | None = None
    validation_data: Path | None = None


def run_folder(job: TrainingJob) -> Path:
    """Return where the unfinished run and its records are kept."""
    return job.out / ".training"
