"""What a training learns from and is measured on: theatre scenes, or the frames of a data set."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from natsort import natsorted
from rich.progress import Progress

from flows.consoles import screen
from flows.frame_progress import SAID_EVERY_S
from flows.training.clock import TrainingClock
from flows.training.job import (
    FIRST_VALIDATION_SEED,
    THEATRE_CLIP_FRAMES,
    TrainingJob,
    claim_material,
    run_folder,
)
from overseer.datasets import WITH_OWN_CLASSES, LabelledFrames, read_labelled_frames
from overseer.datasets.splits import Division, Parts, divide, refuse_shared_videos
from pipeline.errors import InputError
from pipeline.labelled_clip import LabelledClip
from pipeline.labels import LabelSet, load_label_set
from samples.theatre.clips import FIRST_TRAINING_SEED, clip_pool

_CLIP_SIZE = (384, 216)
# Where no progress bar can be shown, and each minute.
_SAID_EVERY_STEPS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedClips:
    """Clips, each with what it is of.

    Attributes:
        clips: the clips.
        videos: the video of each.
        names: what each is called.
    """

    clips: Sequence[LabelledClip] = ()
    videos: Sequence[str] = ()
    names: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What is learned from, and what is measured on.

    Attributes:
        label_set: what the class ids mean.
        training: what is learned from.
        validation: what is measured on now and then; may be none.
        withheld_videos: all videos that must not be learned from, those of a later test too.
    """

    label_set: LabelSet
    training: NamedClips
    validation: NamedClips
    withheld_videos: frozenset[str] = frozenset()


def theatre_material(job: TrainingJob, progress: Progress) -> Material:
    """Draw the theatre's clips, or read them where they have been drawn before."""
    return Material(
        label_set=job.scenery.looks[0].label_set,
        training=_theatre_clips(job, FIRST_TRAINING_SEED, job.clips, progress),
        validation=_theatre_clips(job, FIRST_VALIDATION_SEED, job.validation_clips, progress),
    )


def labelled_material(job: TrainingJob, side: int) -> Material:
    """Read a data set, and what is to be measured on; says what was left out.

    Args:
        job: names the data set.
        side: larger pictures are shrunk to this many pixels.

    Raises:
        InputError: the data set holds nothing to learn from, or what is to be measured on has other
            classes.
        UsageError: both parts hold frames of one video, a video is not known, or the run has
            begun with other frames.
    """
    label_set = None if job.labels is None else load_label_set(job.labels)
    folder = Path(job.data)
    read = _read_data(folder, job.layout, label_set, side)
    parts = divide(folder, read, division_of(job))
    frames, others = parts.training, parts.validation
    if job.validation_data is not None:
        others = _read_to_measure_on(job.validation_data, job, frames.label_set, side)
        # Not even a video that is left out may be measured on.
        refuse_shared_videos(folder, read, job.validation_data, others)
    _say_division(parts)
    measured = NamedClips() if others is None else _named(others)
    material = Material(
        label_set=frames.label_set,
        training=_named(frames),
        validation=measured,
        withheld_videos=frozenset(measured.videos) | set(parts.left_out.videos),
    )
    claim_frames(job, material)
    return material


def claim_frames(job: TrainingJob, material: Material) -> None:
    """Note what the unfinished run learns from, as `claim_material` does."""
    training, validation = material.training, material.validation
    claim_material(
        job,
        material.label_set,
        [*training.names, *validation.names],
        [*training.clips, *validation.clips],
    )


def _named(frames: LabelledFrames) -> NamedClips:
    names = [str(path) for path in frames.paths]
    return NamedClips(clips=frames.clips, videos=frames.videos, names=names)


def division_of(job: TrainingJob) -> Division:
    """Return how a job divides its data set."""
    return Division(
        share=job.validation_split,
        seed=job.plan.seed,
        validation_videos=job.validation_videos,
        left_out_videos=job.left_out_videos,
    )


def _say_division(parts: Parts) -> None:
    """Say which videos of a data set are not learned from."""
    if parts.left_out.clips:
        screen.print(f"left out: {_frames_of(parts.left_out)}", soft_wrap=True)
    if parts.validation is not None:
        screen.print(
            f"measured on {_frames_of(parts.validation)}; {len(parts.training.clips)} frames are "
            "learned from",
            soft_wrap=True,
        )


def _frames_of(part: LabelledFrames) -> str:
    return f"{len(part.clips)} frames, those of {', '.join(natsorted(set(part.videos)))}"


def _read_data(folder: Path, layout: str, label_set: LabelSet | None, side: int) -> LabelledFrames:
    if folder.exists():
        # Thousands of frames take minutes.
        screen.print(f"reading {folder}", soft_wrap=True)
    frames = read_labelled_frames(folder, layout, label_set, side)
    for problem in frames.problems:
        screen.print(f"left out: {problem}", soft_wrap=True)
    screen.print(f"{folder}: {len(frames.clips)} frames")
    return frames


def _read_to_measure_on(
    folder: Path, job: TrainingJob, label_set: LabelSet, side: int
) -> LabelledFrames:
    """Read another data set, whose classes have to be those that are learned."""
    given = None if job.layout in WITH_OWN_CLASSES else label_set
    frames = _read_data(folder, job.layout, given, side)
    if frames.label_set.uncoloured != label_set.uncoloured:
        raise InputError(
            f"{folder} has other classes than {job.data}; give --validation-data with the same ones"
        )
    return frames


def _theatre_clips(job: TrainingJob, first_seed: int, count: int, progress: Progress) -> NamedClips:
    bar = progress.add_task("drawing clips", total=count)
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    width, height = _CLIP_SIZE
    clips = clip_pool(
        folder=cache / "scopeline" / "theatre",
        seeds=range(first_seed, first_seed + count),
        frame_count=THEATRE_CLIP_FRAMES,
        width=width,
        height=height,
        scenery=job.scenery,
        on_progress=lambda done, total: progress.update(bar, completed=done, total=total),
    )
    scenes = [f"scene {first_seed + number}" for number in range(len(clips))]
    return NamedClips(clips=clips, videos=scenes, names=scenes)


def step_reporter(job: TrainingJob, progress: Progress) -> Callable[[int, dict[str, float]], None]:
    """Return what shows each step of a training in its progress bar, and notes the time."""
    bar = progress.add_task("training", total=job.plan.steps)
    clock = TrainingClock(run_folder(job))
    said_s = monotonic()

    def report(step: int, losses: dict[str, float]) -> None:
        nonlocal said_s
        clock.note()
        done, loss = step + 1, sum(losses.values())
        progress.update(bar, completed=done, description=f"training, loss {loss:.3f}")
        is_due = done % _SAID_EVERY_STEPS == 0 or monotonic() - said_s >= SAID_EVERY_S
        if progress.disable and (is_due or done == job.plan.steps):
            said_s = monotonic()
            screen.print(f"step {done} of {job.plan.steps}, loss {loss:.3f}")

    return report


def look_reporter(progress: Progress) -> Callable[[int, int], None]:
    """Return what shows the frames that details are pooled from, once there are any."""
    bar = progress.add_task("looking at frames", total=None, visible=False)

    def report(done: int, total: int) -> None:
        progress.update(bar, completed=done, total=total, visible=True)

    return report
