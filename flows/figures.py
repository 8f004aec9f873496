"""Measure the models that ship: `make figures` writes what the README and the cards say.

Plain scenes (seeds 9001 to 9005) by several policies, held-out scenes (seeds 9101 to 9120) for
each model alone and for both together, and real clips where a folder of them is given.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from flows.given_prompts import PromptKind, given_policy
from flows.models import choose_device, open_overseer
from flows.settings import AnnotateSettings, PolicyName
from flows.video_job import VideoJob, annotate_job
from overseer.validation import mask_precision
from pipeline.annotate import PromptedTracking, run
from pipeline.annotation_set import AnnotationSet
from pipeline.class_regions import merge_by_class
from pipeline.frames import open_video
from pipeline.labelled_clip import LabelledClip
from pipeline.labels import CHOLECSEG8K, INSTRUMENTS, LabelSet
from pipeline.mask_folder import MaskFolder, class_regions, read_mask_values
from pipeline.masks import decode_mask
from pipeline.metrics import evaluate
from pipeline.picture_files import list_images, read_image
from pipeline.records import FrameAnnotation
from pipeline.single_frames import numbered_frames
from samples.theatre.looks import Scenery
from samples.theatre.render import render
from tracking.baselines import FlowMasks, HeldMasks

PLAIN_SEEDS, PLAIN_FRAMES = range(9001, 9006), 100
HELDOUT_SEEDS, HELDOUT_FRAMES = range(9101, 9121), 96
SIZE = (480, 270)
_POLICIES: tuple[PolicyName, ...] = ("constellation", "sasvi", "framewise", "first-frame")
_HELDOUT_POLICIES: tuple[PolicyName, ...] = ("constellation", "framewise")
_KINDS: tuple[PromptKind, ...] = ("mask", "box", "points")
_BASELINES = {"optical flow": FlowMasks, "held still": HeldMasks}
_SCORES = ("j", "f", "j_and_f", "miou", "dice", "presence", "found_again")
_AP_EVERY_FRAMES = 8
_DAVIS_FRAMES = 40
_ROBOTIC_PROMPT_EVERY = 30

Figures = dict[str, dict[str, float | None]]


def plain_clip(seed: int, out: Path) -> Figures:
    """Annotate one plain scene by each policy."""
    folder = rendered(out / f"plain-{seed}", seed, PLAIN_FRAMES, Scenery())
    truth = AnnotationSet(folder / "truth.annset")
    figures: Figures = {}
    for policy in _POLICIES:
        settings = AnnotateSettings(policy=policy)
        figures[f"plain, {policy}"] = _annotated(folder, policy, settings, truth)
    return figures


def heldout_clip(seed: int, out: Path) -> Figures:
    """Measure tracker, baselines, overseer and both together on one held-out scene."""
    scenery = Scenery(families=("heldout",))
    folder = rendered(out / f"heldout-{seed}", seed, HELDOUT_FRAMES, scenery)
    truth = AnnotationSet(folder / "truth.annset")
    figures: Figures = {}
    for kind in _KINDS:
        settings = AnnotateSettings(
            policy="given", prompts=truth.path, prompt_frames="first", prompt_kind=kind
        )
        figures[f"heldout, tracker from {kind}"] = _annotated(folder, kind, settings, truth)
    for name, baseline in _BASELINES.items():
        frames = _baseline(baseline(), folder / "video.mp4", truth, "first", None)
        figures[f"heldout, {name}"] = _scores(frames, truth.frames(), truth.label_set)
    for policy in _HELDOUT_POLICIES:
        settings = AnnotateSettings(policy=policy)
        figures[f"heldout, {policy}"] = _annotated(folder, policy, settings, truth)
    return figures


def overseer_precision(out: Path) -> Figures:
    """Compute the overseer's average precision on frames of all held-out scenes."""
    clips = [_sampled_clip(out / f"heldout-{seed}") for seed in HELDOUT_SEEDS]
    overseer = open_overseer("scopeline", choose_device("cpu"))
    frames = len(clips[0])
    return {"heldout, overseer": dict(mask_precision(overseer, clips, frames))}


def davis_clip(name: str, data: Path, out: Path) -> Figures:
    """Track one DAVIS clip from its first mask."""
    images, masks = data / "davis/JPEGImages" / name, data / "davis/Annotations" / name
    settings = AnnotateSettings(policy="given", prompts=masks, max_frames=_DAVIS_FRAMES)
    return _real_clip(name, images, MaskFolder(masks), settings, out)


def robotic_clip(data: Path, out: Path) -> Figures:
    """Track the robotic instruments, with the true mask each 30th frame."""
    images, masks = data / "gae_robotic/images", data / "gae_robotic/masks"
    count = len(list_images(masks))
    labels = out / "instruments.json"
    labels.write_text(json.dumps(INSTRUMENTS.to_json()))
    settings = AnnotateSettings(
        policy="given",
        prompts=masks,
        prompt_frames=tuple(range(0, count, _ROBOTIC_PROMPT_EVERY)),
        labels=labels,
    )
    return _real_clip("gae_robotic", images, MaskFolder(masks, INSTRUMENTS), settings, out)


def cholecseg8k_frames(data: Path) -> Figures:
    """Compute the overseer's IoU on real frames, over the classes that they hold."""
    overseer = open_overseer("scopeline", choose_device("cpu"))
    common: dict[int, int] = {}
    either: dict[int, int] = {}
    held: set[int] = set()
    folder = data / "cholecseg8k_sample/video_pixel"
    for picture in sorted(folder.glob("*_endo.png")):
        (detections,) = overseer.detect(read_image(picture)[None])
        mask = picture.with_name(picture.name.replace("_endo.png", "_endo_watershed_mask.png"))
        regions = class_regions(read_mask_values(mask), CHOLECSEG8K, mask)
        true = {label.id: region for label, region in regions}
        held |= true.keys()
        for label in CHOLECSEG8K.foreground:
            found = detections.masks[detections.class_ids == label.id].any(0)
            right = true.get(label.id, np.zeros_like(found))
            common[label.id] = common.get(label.id, 0) + int((found & right).sum())
            either[label.id] = either.get(label.id, 0) + int((found | right).sum())
    ious = [common[class_id] / max(either[class_id], 1) for class_id in sorted(held)]
    return {"cholecseg8k_sample, overseer": {"miou": float(np.mean(ious))}}


def _real_clip(
    name: str, images: Path, truth: MaskFolder, settings: AnnotateSettings, out: Path
) -> Figures:
    frames = settings.prompt_frames
    true = [frame for frame in truth.frames() if frame.index not in frames]
    annotated = annotate_job(
        VideoJob(video=images, out=out / "real" / name, settings=settings, resume=False)
    )
    found = merge_by_class(annotated.frames())
    figures = {f"{name}, tracker": _scores(found, true, truth.label_set)}
    for baseline_name, baseline in _BASELINES.items():
        found = merge_by_class(_baseline(baseline(), images, truth, frames, settings.max_frames))
        figures[f"{name}, {baseline_name}"] = _scores(found, true, truth.label_set)
    return figures


def rendered(folder: Path, seed: int, frame_count: int, scenery: Scenery) -> Path:
    """Draw a scene into a folder, unless it is there; returns the folder."""
    if not (folder / "truth.annset").exists():
        width, height = SIZE
        (folder / "video.mp4").unlink(missing_ok=True)
        render(
            seed=seed,
            frame_count=frame_count,
            width=width,
            height=height,
            folder=folder,
            scenery=scenery,
        )
    return folder


def _annotated(
    folder: Path, name: str, settings: AnnotateSettings, truth: AnnotationSet
) -> dict[str, float | None]:
    job = VideoJob(video=folder / "video.mp4", out=folder / name, settings=settings, resume=False)
    return _scores(annotate_job(job).frames(), truth.frames(), truth.label_set)


def _baseline(
    tracker: HeldMasks,
    video: Path,
    truth: AnnotationSet | MaskFolder,
    frames: Any,
    max_frames: int | None,
) -> Iterator[FrameAnnotation]:
    source = open_video(video)
    given = given_policy(truth, source.info, truth.label_set, frames=frames, kind="mask")
    batches = source.batches(8, max_frames)
    return run(PromptedTracking(overseer=None, tracker=tracker, policy=given), batches)


def _scores(
    found: Iterator[FrameAnnotation], true: Iterable[FrameAnnotation], label_set: LabelSet
) -> dict[str, float | None]:
    document = evaluate(found, true, label_set).to_json()
    return {name: document[name] for name in _SCORES}


def _sampled_clip(folder: Path) -> LabelledClip:
    truth = AnnotationSet(folder / "truth.annset")
    images = [
        image
        for index, image in numbered_frames(open_video(folder / "video.mp4"))
        if index % _AP_EVERY_FRAMES == 0
    ]
    maps = np.zeros((len(images), *images[0].shape[:2]), np.uint8)
    class_of_track: dict[int, int] = {}
    for frame in truth.frames():
        for track in frame.tracks if frame.index % _AP_EVERY_FRAMES == 0 else ():
            maps[frame.index // _AP_EVERY_FRAMES][decode_mask(track.rle)] = track.track_id
            class_of_track[track.track_id] = track.class_id
    return LabelledClip(images=np.stack(images), track_maps=maps, class_of_track=class_of_track)


def start_worker() -> None:
    """Let a process that works beside others keep to one thread."""
    torch.set_num_threads(1)


def measure(data: Path | None, out: Path, workers: int) -> Figures:
    """Measure everything, clips side by side; returns the mean of each figure over its clips.

    Args:
        data: folder of real clips, or None.
        out: receives scenes and sets.
        workers: processes.
    """
    jobs: list[Callable[[], Figures]] = [partial(plain_clip, seed, out) for seed in PLAIN_SEEDS]
    jobs += [partial(heldout_clip, seed, out) for seed in HELDOUT_SEEDS]
    if data is not None:
        jobs += [partial(davis_clip, name, data, out) for name in ("blackswan", "dog")]
        jobs += [partial(robotic_clip, data, out), partial(cholecseg8k_frames, data)]
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=start_worker
    ) as executor:
        results = [future.result() for future in [executor.submit(job) for job in jobs]]
    return means([*results, overseer_precision(out)])


def means(results: Sequence[Figures]) -> Figures:
    """Return the mean of each figure over the results that have it."""
    collected: dict[str, dict[str, list[float]]] = {}
    for result in results:
        for name, scores in result.items():
            for key, value in scores.items():
                of_name = collected.setdefault(name, {})
                of_name.setdefault(key, [])
                if value is not None:
                    of_name[key].append(value)
    return {
        name: {key: float(np.mean(values)) if values else None for key, values in scores.items()}
        for name, scores in collected.items()
    }


def main(
    out: Annotated[Path, typer.Option(help="Receives scenes, sets and figures.json.")],
    data: Annotated[Path | None, typer.Option(help="Folder of real clips.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
) -> None:
    """Measure the models that ship."""
    out.mkdir(parents=True, exist_ok=True)
    figures = measure(data, out, workers)
    (out / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
    for name, scores in figures.items():
        shown = (f"{key} {value:.3f}" for key, value in scores.items() if value is not None)
        typer.echo(f"{name:36} {'  '.join(shown)}")


if __name__ == "__main__":
    typer.run(main)
