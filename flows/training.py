"""Train the two models on the simulated theatre, the overseer also on a data set."""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from flows.model_card import model_card
from flows.models import model_folder
from flows.training_job import (
    CLIP_FRAMES,
    CURVES,
    FIRST_VALIDATION_SEED,
    THEATRE,
    TrainingJob,
    claim_run_folder,
    run_folder,
)
from overseer.datasets import LabelledFrames, read_labelled_frames
from overseer.datasets.splits import refuse_shared_videos, split_by_video
from overseer.networks import OverseerConfig
from overseer.train import train_overseer
from pipeline.errors import UsageError
from pipeline.labelled_clip import LabelledClip
from pipeline.labels import LabelSet, load_label_set
from pipeline.training_curves import draw_training
from samples.theatre.clips import FIRST_TRAINING_SEED, clip_pool
from tracking.baselines import FlowMasks, HeldMasks
from tracking.sam2_model import SMALL_CONFIG
from tracking.train import Trunk, train_tracker
from tracking.validation import region_similarity
from tracking.weights import save_network

_CLIP_SIZE = (384, 216)
# Pictures are kept this much larger than the network's input, for training to zoom into.
_SIDE_TO_VARY = 1.25
_screen = Console(stderr=True)


def train_overseer_job(job: TrainingJob, *, config: OverseerConfig, batch_size: int) -> Path:
    """Train an overseer and write its model folder; returns the folder.

    Raises:
        InputError: the data set holds nothing to learn from.
        UsageError: the folder holds another training, or training and validation share a video.
    """
    _check_validation(job)
    claim_run_folder(job, "overseer", {"network": asdict(config), "batch_size": batch_size})
    with Progress(console=_screen) as progress:
        material = _overseer_material(job, progress, config.image_size)
        overseer = train_overseer(
            clips=material.clips,
            validation_clips=material.validation_clips,
            label_set=material.label_set,
            config=config,
            plan=job.plan,
            batch_size=batch_size,
            folder=run_folder(job),
            start_from=_start(job, "overseer"),
            on_step=_step_reporter(job, progress),
        )
    details = f"- network: Mask R-CNN, {config}\n- frames in each step: {batch_size}\n"
    details += f"- labels: {overseer.label_set.name}'s classes\n"
    options = f"--backbone {config.backbone} --batch-size {batch_size} "
    overseer.save(job.out, model_card("overseer", job, details, options, config.backbone))
    draw_training(run_folder(job), job.out / CURVES, {})
    return job.out


def _check_validation(job: TrainingJob) -> None:
    is_measured = job.data == THEATRE or job.validation_data or job.validation_split
    if job.plan.patience and not is_measured:
        raise UsageError(
            "--patience needs frames to measure on; give --validation-split or --validation-data"
        )
    if job.validation_split is None:
        return
    if job.data == THEATRE:
        raise UsageError(
            "--validation-split divides a data set; the theatre has --validation-clips"
        )
    if job.validation_data is not None:
        raise UsageError("give one of --validation-data and --validation-split, not both")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Material:
    label_set: LabelSet
    clips: Sequence[LabelledClip]
    validation_clips: Sequence[LabelledClip]


def _overseer_material(job: TrainingJob, progress: Progress, image_size: int) -> _Material:
    if job.data == THEATRE:
        return _Material(
            label_set=job.scenery.looks[0].label_set,
            clips=_theatre_clips(job, FIRST_TRAINING_SEED, job.clips, progress),
            validation_clips=_validation_clips(job, progress),
        )
    label_set = None if job.labels is None else load_label_set(job.labels)
    side = round(_SIDE_TO_VARY * image_size)
    folder = Path(job.data)
    frames = _read_data(folder, job.layout, label_set, side)
    others: tuple[LabelledClip, ...] = ()
    if job.validation_data is not None:
        validation = _read_data(job.validation_data, job.layout, frames.label_set, side)
        refuse_shared_videos(folder, frames, job.validation_data, validation)
        others = validation.clips
    elif job.validation_split is not None:
        frames, validation = split_by_video(folder, frames, job.validation_split, job.plan.seed)
        others = validation.clips
        names = ", ".join(sorted(set(validation.videos)))
        _screen.print(
            f"measured on {len(others)} frames, those of {names}; {len(frames.clips)} frames are "
            "learned from",
            soft_wrap=True,
            highlight=False,
        )
    return _Material(label_set=frames.label_set, clips=frames.clips, validation_clips=others)


def _start(job: TrainingJob, package: str) -> Path | None:
    return None if job.start_from is None else model_folder(job.start_from, package)


def _read_data(folder: Path, layout: str, label_set: LabelSet | None, side: int) -> LabelledFrames:
    frames = read_labelled_frames(folder, layout, label_set, side)
    for problem in frames.problems:
        _screen.print(f"left out: {problem}", soft_wrap=True, highlight=False)
    _screen.print(f"{folder}: {len(frames.clips)} frames", highlight=False)
    return frames


def train_tracker_job(job: TrainingJob, *, trunk: Trunk = "frozen") -> Path:
    """Train the small tracker and write its model folder; returns the folder.

    Args:
        job: what to train on.
        trunk: `frozen` or `learning`, see `tracking.train.train_tracker`.

    Raises:
        UsageError: the data is not the theatre.
    """
    if job.data != THEATRE:
        raise UsageError(
            f"--data {job.data}: the tracker is trained on clips in which each frame is "
            "labelled, which only --data theatre has"
        )
    claim_run_folder(job, "tracker", {"trunk": trunk})
    with Progress(console=_screen) as progress:
        clips = _theatre_clips(job, FIRST_TRAINING_SEED, job.clips, progress)
        validation_clips = _validation_clips(job, progress)
        baselines = {
            "mask held still": region_similarity(HeldMasks(), validation_clips),
            "mask warped by optical flow": region_similarity(FlowMasks(), validation_clips),
        }
        network = train_tracker(
            clips=clips,
            validation_clips=validation_clips,
            plan=job.plan,
            folder=run_folder(job),
            start_from=_start(job, "tracking"),
            trunk=trunk,
            on_step=_step_reporter(job, progress),
        )
    details = f"- network: SAM-2, `tracking/configs/{SMALL_CONFIG}.yaml`, trunk {trunk}\n"
    details += "".join(
        f"- {name}, same clips: J {score:.3f}\n" for name, score in baselines.items()
    )
    save_network(
        network, SMALL_CONFIG, job.out, model_card("tracker", job, details, f"--trunk {trunk} ")
    )
    draw_training(run_folder(job), job.out / CURVES, baselines)
    return job.out


def _validation_clips(job: TrainingJob, progress: Progress) -> list[LabelledClip]:
    return _theatre_clips(job, FIRST_VALIDATION_SEED, job.validation_clips, progress)


def _theatre_clips(
    job: TrainingJob, first_seed: int, count: int, progress: Progress
) -> list[LabelledClip]:
    bar = progress.add_task("drawing clips", total=count)
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    width, height = _CLIP_SIZE
    return clip_pool(
        folder=cache / "scopeline" / "theatre",
        seeds=range(first_seed, first_seed + count),
        frame_count=CLIP_FRAMES,
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
