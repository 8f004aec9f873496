"""How few labels? Overseers trained on parts of a data set, and how well each annotates."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from rich.table import Table

from flows.consoles import screen
from flows.frame_progress import counting_progress
from flows.settings import AnnotateSettings, PolicyName
from flows.training.checks import check_overseer_job
from flows.training.clock import seconds_of_training
from flows.training.job import (
    THEATRE,
    TrainingJob,
    claim_run_folder,
    content_of_start,
)
from flows.training.material import Material, NamedClips, claim_frames, labelled_material
from flows.training.train import (
    learn_overseer,
    learn_tracker,
    moving_material,
    side_to_vary,
)
from flows.video_job import VideoJob, annotate_job
from overseer.config import OverseerConfig
from overseer.model_folders import find_overseer
from pipeline.class_regions import merge_by_class, without_regions
from pipeline.errors import OutputError, UsageError
from pipeline.labelled_clip import IGNORED, LabelledClip
from pipeline.labels import LabelSet
from pipeline.metrics import evaluate
from pipeline.networks.model_folder import TRAINING
from pipeline.output import remove_left_drafts, replaced_file
from pipeline.records import FrameAnnotation
from tracking.adapted_weights import load_to_adapt
from tracking.model_folders import Adaptation, describe_base

TABLE, CURVE = "label-budget.csv", "label-budget.svg"
# What a tracker needs to learn what the frames' objects look like. `--help` of the command says it.
_TRACKER_STEPS, _TRACKER_RATE, _TRACKER_CLIPS = 300, 5e-4, 300


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetPoint:
    """What a number of labelled frames is worth.

    Attributes:
        labels: frames that the overseer learned from.
        annotated: mean IoU over the classes of what `annotate` makes of the measured frames.
        overseer_alone: likewise of the overseer, frame by frame.
        training_seconds: what the training took, in all runs of the command up to its end.
    """

    labels: int
    annotated: float
    overseer_alone: float
    training_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _MeasuredVideo:
    """A video as a folder of pictures, and the truth on the frames that are measured.

    Attributes:
        folder: holds the pictures.
        truth: the frames that are measured.
        ignored: where the labels of a frame are open, bool[H, W], by its index.
    """

    folder: Path
    truth: tuple[FrameAnnotation, ...]
    ignored: dict[int, NDArray[np.bool_]]


def parse_budgets(text: str) -> tuple[int, ...]:
    """Read numbers of frames as `--label-budget` takes them, such as `10,20,40`.

    Raises:
        UsageError: it is something else.
    """
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) for part in parts):
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
    adaptation: Adaptation | None = None,
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
        adaptation: how the settings' tracker is fine-tuned on the same frames, if it is.

    Raises:
        InputError: the data set holds nothing to learn from.
        UsageError: a budget is larger than the data set, or nothing is left to measure on.
    """
    if job.data == THEATRE:
        raise UsageError("--label-budget needs labelled frames; give --data a data set")
    check_overseer_job(job, config, batch_size)
    material = _with_withheld_videos(labelled_material(job, side_to_vary(config)))
    chosen = {budget: _spread(len(material.training.clips), budget) for budget in budgets}
    videos = list(_measured_videos(material, set().union(*chosen.values()), job.out / "videos"))
    if not videos:
        raise UsageError(
            f"--label-budget: {max(budgets)} frames leave none of {job.data} with an object to "
            "measure on; give smaller numbers, or videos to measure on with --validation-videos"
        )
    points = []
    for budget in budgets:
        model = job.out / f"labels-{budget:04}"
        part = _part(material, sorted(chosen[budget]))
        _train(replace(job, out=model), part, config, batch_size)
        trained = {"overseer": model}
        if adaptation is not None:
            trained["tracker"] = _fine_tune(job, model / "tracker", part, settings, adaptation)
        own = settings.model_dump() | {name: str(folder) for name, folder in trained.items()}
        score = partial(_score, videos, model, own, material.label_set)
        points.append(
            BudgetPoint(
                labels=budget,
                annotated=score("constellation"),
                overseer_alone=score("framewise"),
                training_seconds=sum(
                    seconds_of_training(folder / TRAINING) for folder in trained.values()
                ),
            )
        )
        _write_table(points, job.out / TABLE)
    _draw(points, job.out / CURVE)
    return points


def _with_withheld_videos(material: Material) -> Material:
    """Return material that pseudo-labels give no frame that the budgets are measured on.

    Without frames to measure on of their own these are others of the same videos.
    """
    measured = material.validation if material.validation.clips else material.training
    withheld = material.withheld_videos | set(measured.videos)
    return replace(material, withheld_videos=withheld)


def _spread(count: int, budget: int) -> frozenset[int]:
    """Return the numbers of evenly spaced frames."""
    if budget > count:
        raise UsageError(
            f"--label-budget {budget}: there are only {count} frames to learn from; give no more"
        )
    return frozenset(np.linspace(0, count - 1, budget).round().astype(int).tolist())


def _part(material: Material, numbers: Sequence[int]) -> Material:
    whole = material.training
    training = NamedClips(
        clips=[whole.clips[number] for number in numbers],
        videos=[whole.videos[number] for number in numbers],
        names=[whole.names[number] for number in numbers],
    )
    return replace(material, training=training)


def _train(job: TrainingJob, part: Material, config: OverseerConfig, batch_size: int) -> None:
    """Train on some of the frames and write the model folder."""
    options = {
        "network": asdict(config),
        "batch_size": batch_size,
        "learning": job.learning,
        "labels": len(part.training.clips),
        **content_of_start(job, find_overseer),
    }
    claim_run_folder(job, "overseer", options)
    # With its own run, which goes on where only that of the whole data was removed.
    claim_frames(job, part)
    with counting_progress() as progress:
        learn_overseer(job, part, config, batch_size, progress)


def _fine_tune(
    job: TrainingJob,
    out: Path,
    part: Material,
    settings: AnnotateSettings,
    adaptation: Adaptation,
) -> Path:
    """Fine-tune the tracker on the same frames; returns its model folder."""
    plan = replace(job.plan, steps=_TRACKER_STEPS, learning_rate=_TRACKER_RATE, patience=0)
    own = replace(
        job,
        out=out,
        start_from=settings.tracker,
        # What is kept is the overseer's.
        kept_share=0.0,
        clips=_TRACKER_CLIPS,
        plan=plan,
    )
    origin = describe_base(settings.tracker)
    options = {
        "adaptation": asdict(adaptation),
        "base": asdict(origin),
        "labels": len(part.training.clips),
    }
    claim_run_folder(own, "tracker", options)
    claim_frames(own, part)
    screen.print(f"fine-tuning the tracker on the same frames, {_TRACKER_STEPS} steps")
    with counting_progress() as progress:
        network = load_to_adapt(settings.tracker, adaptation)
        material = moving_material(own, part, adaptation)
        learn_tracker(own, material, network, adaptation, origin, progress)
    return out


def _measured_videos(material: Material, used: set[int], folder: Path) -> Iterator[_MeasuredVideo]:
    if material.validation.clips:
        measured, used = material.validation, set()
    else:
        measured = material.training
    clips = measured.clips
    # Pictures of another size are another video, as every video has one size.
    kinds = [(video, clip.images.shape) for video, clip in zip(measured.videos, clips, strict=True)]
    places: set[Path] = set()
    for position, kind in enumerate(dict.fromkeys(kinds)):
        numbers = [number for number, other in enumerate(kinds) if other == kind]
        truth = tuple(
            clips[number].annotation(0, index)
            for index, number in enumerate(numbers)
            if number not in used
        )
        # Where there is nothing to find, no class has an IoU, and 0 would say that all were missed.
        if any(frame.tracks for frame in truth):
            place = folder / kind[0].replace("/", "-")
            if place in places:
                place = folder / f"{place.name}-{position}"
            places.add(place)
            own = [clips[number] for number in numbers]
            _write_pictures(own, place)
            yield _MeasuredVideo(folder=place, truth=truth, ignored=_open_regions(own))


def _open_regions(clips: Sequence[LabelledClip]) -> dict[int, NDArray[np.bool_]]:
    """Return where the labels of a frame are open, by its index; a frame that is not has none."""
    regions = ((index, clip.track_maps[0] == IGNORED) for index, clip in enumerate(clips))
    return {index: region for index, region in regions if region.any()}


def _write_pictures(clips: Sequence[LabelledClip], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index, clip in enumerate(clips):
        path = folder / f"{index:06}.png"
        if not cv2.imwrite(str(path), clip.images[0][..., ::-1]):
            raise OutputError(f"{path} cannot be written; free space or choose another --out")


def _score(
    videos: Sequence[_MeasuredVideo],
    model: Path,
    options: dict[str, Any],
    label_set: LabelSet,
    policy: PolicyName,
) -> float:
    """Return the mean IoU over the classes, averaged over the videos by their frames."""
    settings = AnnotateSettings(**options | {"policy": policy})
    scores, frames = [], []
    for video in videos:
        job = VideoJob(video=video.folder, out=model / policy, settings=settings, resume=False)
        found = without_regions(merge_by_class(annotate_job(job).frames()), video.ignored.get)
        true = list(merge_by_class(iter(video.truth)))
        scores.append(evaluate(found, true, label_set).miou)
        frames.append(len(true))
    return float(np.average(scores, weights=frames))


def _write_table(points: Sequence[BudgetPoint], path: Path) -> None:
    remove_left_drafts(path)
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
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()
    remove_left_drafts(path)
    with replaced_file(path) as draft:
        figure.savefig(draft, format=path.suffix[1:])
