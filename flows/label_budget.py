"""How few labels? Overseers trained on parts of a data set, and how well each annotates."""

import csv
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure
from rich.progress import Progress
from rich.table import Table

from flows.model_card import model_card
from flows.settings import AnnotateSettings, PolicyName
from flows.training import check_validation, learn_overseer, side_to_vary
from flows.training_job import THEATRE, TrainingJob, claim_run_folder
from flows.training_material import Material, labelled_material, screen
from flows.video_job import VideoJob, annotate_job
from overseer.networks import OverseerConfig
from pipeline.class_regions import merge_by_class
from pipeline.errors import UsageError
from pipeline.exports.output import replaced_file
from pipeline.labelled_clip import LabelledClip
from pipeline.labels import LabelSet
from pipeline.metrics import evaluate
from pipeline.records import FrameAnnotation

TABLE, CURVE = "label-budget.csv", "label-budget.svg"
_POLICIES: tuple[PolicyName, PolicyName] = ("constellation", "framewise")


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetPoint:
    """What a number of labelled frames is worth.

    Attributes:
        labels: frames that the overseer learned from.
        annotated: mean IoU over the classes of what `annotate` makes of the measured frames.
        overseer_alone: likewise of the overseer, frame by frame.
        training_seconds: what the training took.
    """

    labels: int
    annotated: float
    overseer_alone: float
    training_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _MeasuredVideo:
    """A video as a folder of pictures, and the truth on the frames that are measured."""

    folder: Path
    truth: tuple[FrameAnnotation, ...]


def parse_budgets(text: str) -> tuple[int, ...]:
    """Read numbers of frames as `--label-budget` takes them, such as `10,20,40`.

    Raises:
        UsageError: it is something else.
    """
    parts = text.split(",")
    if not all(part.strip().isdigit() and int(part) for part in parts):
        raise UsageError(f"--label-budget {text} is not numbers of frames; write it as 10,20,40")
    return tuple(sorted({int(part) for part in parts}))


def show_budgets(points: Sequence[BudgetPoint]) -> Table:
    """Return the table of the curve."""
    table = Table("labelled frames", "annotated video", "overseer alone", "training")
    for point in points:
        table.add_row(
            str(point.labels),
            f"{point.annotated:.3f}",
            f"{point.overseer_alone:.3f}",
            f"{point.training_seconds / 60:.1f} min",
        )
    return table


def measure_label_budgets(
    job: TrainingJob,
    budgets: Sequence[int],
    *,
    config: OverseerConfig,
    batch_size: int,
    settings: AnnotateSettings,
) -> list[BudgetPoint]:
    """Train an overseer on each number of frames, annotate, and write the curve.

    The frames are spread evenly over the data set. Measured is on the validation data, where the
    job has some, else on the frames of the same videos that no budget uses; frames that follow
    each other closely make a video that a tracker can follow.

    Args:
        job: `out` receives a model folder for each budget, `label-budget.csv` and its picture.
        budgets: numbers of frames.
        config: the network to train.
        batch_size: frames in each step.
        settings: how to annotate, but for overseer and policy.

    Raises:
        InputError: the data set holds nothing to learn from.
        UsageError: a budget is larger than the data set, or nothing is left to measure on.
    """
    if job.data == THEATRE:
        raise UsageError("--label-budget needs labelled frames; give --data a data set")
    check_validation(job)
    material = labelled_material(job, side_to_vary(config))
    chosen = {budget: _spread(len(material.clips), budget) for budget in budgets}
    videos = list(_measured_videos(material, set().union(*chosen.values()), job.out / "videos"))
    if not videos:
        raise UsageError(
            f"--label-budget: {max(budgets)} frames leave none of {job.data} to measure on; give "
            "smaller numbers, or other videos with --validation-data"
        )
    points = []
    for budget in budgets:
        model = job.out / f"labels-{budget:04}"
        started = time.monotonic()
        _train(replace(job, out=model), material, chosen[budget], config, batch_size)
        seconds = time.monotonic() - started
        scores = {
            policy: _score(videos, model, policy, settings, material.label_set)
            for policy in _POLICIES
        }
        points.append(
            BudgetPoint(
                labels=budget,
                annotated=scores["constellation"],
                overseer_alone=scores["framewise"],
                training_seconds=seconds,
            )
        )
        _write_table(points, job.out / TABLE)
    _draw(points, job.out / CURVE)
    return points


def _spread(count: int, budget: int) -> frozenset[int]:
    """Return the numbers of evenly spaced frames."""
    if budget > count:
        raise UsageError(f"--label-budget {budget}: there are only {count} frames to learn from")
    return frozenset(np.linspace(0, count - 1, budget).round().astype(int).tolist())


def _train(
    job: TrainingJob,
    material: Material,
    numbers: frozenset[int],
    config: OverseerConfig,
    batch_size: int,
) -> None:
    """Train on some of the frames and write the model folder, unless it is there."""
    options = {"network": asdict(config), "batch_size": batch_size, "labels": len(numbers)}
    claim_run_folder(job, "overseer", options)
    order = sorted(numbers)
    part = replace(
        material,
        clips=[material.clips[number] for number in order],
        videos=[material.videos[number] for number in order],
        names=[material.names[number] for number in order],
    )
    with Progress(console=screen) as progress:
        overseer = learn_overseer(job, part, config, batch_size, progress)
    details = f"- network: Mask R-CNN, {config}\n- learned from {len(order)} frames of the data\n"
    options_text = f"--backbone {config.backbone} --batch-size {batch_size} "
    overseer.save(job.out, model_card("overseer", job, details, options_text, config.backbone))


def _measured_videos(material: Material, used: set[int], folder: Path) -> Iterator[_MeasuredVideo]:
    if material.validation_clips:
        clips, videos = material.validation_clips, material.validation_videos
        used = set()
    else:
        clips, videos = material.clips, material.videos
    for name in dict.fromkeys(videos):
        numbers = [number for number, video in enumerate(videos) if video == name]
        truth = tuple(
            clips[number].annotation(0, index)
            for index, number in enumerate(numbers)
            if number not in used
        )
        if truth:
            place = folder / name.replace("/", "-")
            _write_pictures([clips[number] for number in numbers], place)
            yield _MeasuredVideo(folder=place, truth=truth)


def _write_pictures(clips: Sequence[LabelledClip], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index, clip in enumerate(clips):
        cv2.imwrite(str(folder / f"{index:06}.png"), clip.images[0][..., ::-1])


def _score(
    videos: Sequence[_MeasuredVideo],
    model: Path,
    policy: PolicyName,
    settings: AnnotateSettings,
    label_set: LabelSet,
) -> float:
    """Return the mean IoU over the classes, averaged over the videos by their frames."""
    own = AnnotateSettings(**(settings.model_dump() | {"overseer": str(model), "policy": policy}))
    scores, frames = [], []
    for video in videos:
        job = VideoJob(video=video.folder, out=model / policy, settings=own, resume=False)
        found = merge_by_class(annotate_job(job).frames())
        true = list(merge_by_class(iter(video.truth)))
        scores.append(evaluate(found, true, label_set).miou)
        frames.append(len(true))
    return float(np.average(scores, weights=frames))


def _write_table(points: Sequence[BudgetPoint], path: Path) -> None:
    with replaced_file(path) as draft, draft.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(asdict(points[0])))
        writer.writeheader()
        writer.writerows(asdict(point) for point in points)


def _draw(points: Sequence[BudgetPoint], path: Path) -> None:
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    labels = [point.labels for point in points]
    axes.plot(labels, [point.annotated for point in points], marker="o", label="annotated video")
    axes.plot(
        labels, [point.overseer_alone for point in points], marker="o", label="overseer alone"
    )
    axes.set(xlabel="labelled frames", ylabel="mean IoU", ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path)
