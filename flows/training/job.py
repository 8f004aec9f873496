"""What to train a model on, and how long."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from overseer.augmentation import Augmentation
from overseer.config import Learning
from pipeline.errors import InputError, ModelError, UsageError
from pipeline.labelled_clip import LabelledClip
from pipeline.labels import LabelSet
from pipeline.networks.model_folder import TRAINING, WEIGHTS, sha256_of
from pipeline.output import remove_left_drafts, replaced_file
from pipeline.remedies import unwritable
from pipeline.training.loop import CHECKPOINT, TrainingPlan
from samples.theatre.clips import EDITION
from samples.theatre.looks import Scenery

THEATRE = "theatre"
THEATRE_CLIP_FRAMES = 24
# Below the training seeds, and not among those that figures are measured on.
FIRST_VALIDATION_SEED = 90_000
_IDENTITY, _MATERIAL = "job.json", "material.json"
_PSEUDO_LABELS = "pseudo-labels.json"


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
        validation_split: share of the data set's frames to measure on instead, by video, 0..1.
        validation_videos: names of the data set's videos to measure on instead, with commas
            between them.
        left_out_videos: names of videos of the data set that belong to neither part, likewise.
        pseudo_labels: annotation sets, or folders of them, whose frames an overseer learns from
            besides.
        augmentation: how an overseer's labelled frames are varied.
        learning: what of an overseer learns.
        kept_share: how much of the weights that the training started from stays in what
            is saved, 0..1.
        device: where the network learns: auto, cpu, cuda or cuda:N.
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
    validation_split: float | None = None
    validation_videos: str | None = None
    left_out_videos: str | None = None
    pseudo_labels: tuple[Path, ...] = ()
    augmentation: Augmentation = "usual"
    learning: Learning = "everything"
    kept_share: float = 0.0
    device: str = "auto"

    @property
    def validation(self) -> dict[str, Path | float | str]:
        """How the frames of a data set to measure on were chosen, by option."""
        chosen = {
            "--validation-data": self.validation_data,
            "--validation-split": self.validation_split,
            "--validation-videos": self.validation_videos,
        }
        return {option: value for option, value in chosen.items() if value is not None}


def run_folder(job: TrainingJob) -> Path:
    """Return where the unfinished run and its records are kept."""
    return job.out / TRAINING


def claim_run_folder(job: TrainingJob, kind: str, options: dict[str, Any]) -> None:
    """Make the run's folder, or see that the unfinished run in it is this one.

    Args:
        job: what to train on.
        kind: overseer or tracker.
        options: what else makes the run what it is.

    Raises:
        UsageError: the folder holds a run of another kind, on other data or with other options.
    """
    _claim(job, _IDENTITY, _identity(job, kind, options))


def refuse_other_run(job: TrainingJob, kind: str, options: dict[str, Any]) -> None:
    """See that an unfinished run in the folder, if there is one, is this one.

    What cannot be read must not make a folder in which the right data is refused.

    Args:
        job: likewise.
        kind: likewise.
        options: likewise.

    Raises:
        UsageError: as `claim_run_folder`.
    """
    _refuse_other(job, _IDENTITY, _identity(job, kind, options))


def find_start(job: TrainingJob, find: Callable[[str], Path]) -> Path | None:
    """Return what a training starts from, if it needs anything but its checkpoint.

    One that takes the place of what it starts from has removed that when it is killed while it
    writes its own weights. All of these are in its checkpoint by then.

    Args:
        job: what to train on.
        find: returns the folder of a model, or the file of a checkpoint, by name or path.

    Raises:
        ModelError: there is none.
    """
    if job.start_from is None:
        return None
    start = find(job.start_from)
    is_removed = start.resolve() == job.out.resolve() and not (start / WEIGHTS).exists()
    return None if is_removed and (run_folder(job) / CHECKPOINT).exists() else start


def content_of_start(job: TrainingJob, find: Callable[[str], Path]) -> dict[str, str]:
    """Return the hash of the weights that a training starts from, for its options.

    Where what is trained takes the place of what it starts from, these are others in the end.

    Args:
        job: what to train on.
        find: returns the folder of a model, or the file of a checkpoint, by name or path.

    Raises:
        ModelError: it has no weights.
    """
    start = None if job.start_from is None else find(job.start_from)
    if start is None or start.resolve() == job.out.resolve():
        return {}
    weights = start / WEIGHTS if start.is_dir() else start
    if not weights.is_file():
        raise ModelError(f"{weights} does not exist; check --start-from")
    return {"content of --start-from": sha256_of(weights)}


def _identity(job: TrainingJob, kind: str, options: dict[str, Any]) -> dict[str, Any]:
    return {
        "kind": kind,
        "data": job.data,
        "layout": job.layout,
        "labels": str(job.labels),
        "looks": [" ".join((look.name, look.content)).strip() for look in job.scenery.looks],
        "families": list(job.scenery.families),
        "edition": EDITION if job.data == THEATRE else None,
        "clips": job.clips,
        # Which weights were the best is seen on these.
        "validation_clips": job.validation_clips if job.data == THEATRE else None,
        "start_from": job.start_from,
        "validation_split": job.validation_split,
        "validation_videos": job.validation_videos,
        "left_out_videos": job.left_out_videos,
        "pseudo_labels": [str(path) for path in job.pseudo_labels],
        "augmentation": job.augmentation,
        "plan": asdict(job.plan),
        **options,
    }


def claim_material(
    job: TrainingJob, label_set: LabelSet, names: Sequence[str], clips: Sequence[LabelledClip]
) -> None:
    """Note what the unfinished run learns from, or see that it is the same as before.

    Args:
        job: what is trained.
        label_set: what the class ids mean.
        names: of the frames.
        clips: the frames, read from a data set.

    Raises:
        UsageError: the run has begun with other frames or classes.
    """
    # Colours are for display, and those of classes that nobody gave one may be others by now.
    shown_alike = replace(label_set, classes=label_set.uncoloured)
    material = {
        "list of classes and values": shown_alike.to_json(),
        "content of the data": _digest(names, clips),
    }
    _claim(job, _MATERIAL, material)


def claim_pseudo_labels(job: TrainingJob, clips: Sequence[LabelledClip]) -> None:
    """Note which pseudo-labels the unfinished run learns from, or see that they are the same.

    Raises:
        UsageError: the annotation sets are others by now, or more of them.
    """
    names = [str(number) for number in range(len(clips))]
    _claim(job, _PSEUDO_LABELS, {"content of the pseudo-labels": _digest(names, clips)})


def _digest(names: Sequence[str], clips: Sequence[LabelledClip]) -> str:
    digest = hashlib.sha256()
    for name, clip in zip(names, clips, strict=True):
        classes = sorted(clip.class_of_track.items())
        digest.update(f"{name} {clip.images.shape} {classes}".encode())
        digest.update(clip.images.tobytes())
        digest.update(clip.track_maps.tobytes())
    return digest.hexdigest()


def _claim(job: TrainingJob, name: str, identity: dict[str, Any]) -> None:
    path = run_folder(job) / name
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(job.out, error) from error
        remove_left_drafts(path)
        with replaced_file(path) as draft:
            draft.write_text(json.dumps(identity, indent=2) + "\n")
        return
    _refuse_other(job, name, identity)


def _refuse_other(job: TrainingJob, name: str, identity: dict[str, Any]) -> None:
    path = run_folder(job) / name
    if not path.exists():
        return
    try:
        known = json.loads(path.read_text())
        if not isinstance(known, dict):
            raise ValueError("it is no table of options")
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} is damaged ({error}); remove {path.parent} to begin the training anew"
        ) from error
    other = [name for name, value in identity.items() if known.get(name, value) != value]
    if other:
        raise UsageError(
            f"{job.out} holds a training with another {', '.join(other)}; choose another --out, or "
            f"remove {run_folder(job)} to begin anew"
        )
