"""Train the two models on the simulated theatre or on a data set."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import cache, partial
from pathlib import Path

import torch
from rich.progress import Progress
from sam2.modeling.sam2_base import SAM2Base

from flows.consoles import screen
from flows.frame_progress import counting_progress
from flows.job_identity import describe_overseer
from flows.models import choose_device, open_overseer
from flows.training.checks import (
    check_job,
    check_kept_share,
    check_overseer_job,
    refuse_to_replace,
)
from flows.training.job import (
    THEATRE,
    TrainingJob,
    claim_pseudo_labels,
    claim_run_folder,
    content_of_start,
    find_start,
    refuse_other_run,
    run_folder,
)
from flows.training.material import (
    Material,
    NamedClips,
    labelled_material,
    look_reporter,
    step_reporter,
    theatre_material,
)
from flows.training.model_card import model_card
from overseer.config import OverseerConfig
from overseer.mask_rcnn import MaskRCNNOverseer
from overseer.model_folders import find_overseer
from overseer.pseudo_labels import MadeBy, PseudoLabels, read_pseudo_labels
from overseer.train import VALIDATION_FRAMES, train_overseer
from overseer.training_report import write_training_report
from overseer.validation import mask_precision
from pipeline.errors import InputError, UsageError
from pipeline.networks.model_folder import CURVES, REPORT
from pipeline.training.curves import draw_training
from tracking.adapt import CLIP_FRAMES, adapt_tracker
from tracking.adapted_weights import load_to_adapt, save_adaptation
from tracking.adapters import adapted_weights
from tracking.baselines import FlowMasks, HeldMasks
from tracking.model_folders import FIRST_MASK, Adaptation, Base, describe_base, find_tracker
from tracking.sam2_model import SMALL_CONFIG
from tracking.tracker import Sam2Tracker
from tracking.train import Trunk, train_tracker
from tracking.training.picture_clips import PictureClips, runs_of_videos
from tracking.training.validation import region_similarity
from tracking.weights import save_network

# Pictures are kept this much larger than the network's input, for training to zoom into.
_SIDE_TO_VARY = 1.25
_BASELINES = {"mask held still": HeldMasks, "mask warped by optical flow": FlowMasks}


def train_overseer_job(job: TrainingJob, *, config: OverseerConfig, batch_size: int) -> Path:
    """Train an overseer and write its model folder; returns the folder.

    Raises:
        InputError: the data set holds nothing to learn from.
        UsageError: the folder holds another training, or training and validation share a video.
    """
    check_overseer_job(job, config, batch_size)
    options = {
        "network": asdict(config),
        "batch_size": batch_size,
        "learning": job.learning,
        **content_of_start(job, find_overseer),
    }
    refuse_other_run(job, "overseer", options)
    with counting_progress() as progress:
        material = _overseer_material(job, config, progress)
        claim_run_folder(job, "overseer", options)
        learn_overseer(job, material, config, batch_size, progress)
    return job.out


def learn_overseer(
    job: TrainingJob,
    material: Material,
    config: OverseerConfig,
    batch_size: int,
    progress: Progress,
) -> None:
    """Train an overseer on material that has been read, and write its model folder."""
    overseer = train_overseer(
        clips=material.training.clips,
        validation_clips=material.validation.clips,
        label_set=material.label_set,
        config=config,
        plan=job.plan,
        batch_size=batch_size,
        folder=run_folder(job),
        start_from=find_start(job, find_overseer),
        kept_share=job.kept_share,
        pseudo_labels=_pseudo_labels(job, material, config),
        augmentation=job.augmentation,
        learning=job.learning,
        device=choose_device(job.device),
        on_step=step_reporter(job, progress),
        on_look=look_reporter(progress),
    )
    overseer.save(job.out, _overseer_card(job, material, overseer, batch_size))
    draw_training(run_folder(job), job.out / CURVES, {})
    is_measured = bool(material.validation.clips)
    shown = material.validation if is_measured else material.training
    write_training_report(
        overseer,
        shown.clips,
        shown.names,
        job.out / REPORT,
        title=job.out.name,
        learned_from=not is_measured,
    )


def _overseer_card(
    job: TrainingJob, material: Material, overseer: MaskRCNNOverseer, batch_size: int
) -> str:
    details = f"- network: Mask R-CNN, {overseer.config}\n- frames in each step: {batch_size}\n"
    if job.kept_share:
        scores: dict[str, float] = {}
        if material.validation.clips:
            scores = mask_precision(overseer, material.validation.clips, VALIDATION_FRAMES)
        details += _kept_share(job, scores)
    details += f"- labels: {overseer.label_set.name}'s classes\n"
    if job.data != THEATRE:
        details += f"- learned from {len(material.training.clips)} frames of the data\n"
    backbone = overseer.config.backbone
    options = f"--backbone {backbone} --image-size {overseer.config.image_size} "
    options += f"--batch-size {batch_size} "
    options += f"--augmentation {job.augmentation} "
    options += "" if job.learning == "everything" else f"--learn {job.learning} "
    options += "".join(f"--pseudo-labels {shlex.quote(str(path))} " for path in job.pseudo_labels)
    return model_card(
        "overseer", job, details, options, backbone, measured_videos=material.validation.videos
    )


def _pseudo_labels(
    job: TrainingJob, material: Material, config: OverseerConfig
) -> PseudoLabels | None:
    if not job.pseudo_labels:
        return None
    device = choose_device(job.device)
    labels = read_pseudo_labels(
        job.pseudo_labels,
        material.label_set,
        partial(_open_same_overseer, cache(open_overseer), device),
        side_to_vary(config),
        material.withheld_videos,
    )
    claim_pseudo_labels(job, labels.clips)
    for path in labels.left_out:
        screen.print(f"left out: {path}, whose video is not to be learned from", soft_wrap=True)
    screen.print(
        f"{len(labels.clips)} frames with pseudo-labels, trusted by {labels.weights.mean():.2f} "
        "in the mean",
    )
    return labels


def _open_same_overseer(
    open_once: Callable[..., MaskRCNNOverseer], device: torch.device, made_by: MadeBy
) -> MaskRCNNOverseer:
    """Open the overseer that a set was made with.

    Raises:
        InputError: there is another one in its place.
    """
    if describe_overseer(made_by.name, made_by.weights)["sha256"] != made_by.sha256:
        raise InputError(
            f"{made_by.path} was made by an overseer {made_by.name} of other weights than are "
            "there now; annotate the video again"
        )
    return open_once(made_by.name, device, made_by.weights)


def side_to_vary(config: OverseerConfig) -> int:
    """Return to how many pixels pictures are shrunk before an overseer learns from them."""
    return round(_SIDE_TO_VARY * config.image_size)


def _overseer_material(job: TrainingJob, config: OverseerConfig, progress: Progress) -> Material:
    if job.data == THEATRE:
        return theatre_material(job, progress)
    return labelled_material(job, side_to_vary(config))


def train_tracker_job(job: TrainingJob, *, trunk: Trunk = "frozen") -> Path:
    """Train the small tracker and write its model folder; returns the folder.

    Args:
        job: what to train on.
        trunk: `frozen`, `varied` or `learning`, see `tracking.train.train_tracker`.

    Raises:
        UsageError: the data is not the theatre, or there is nothing to keep a share of.
    """
    check_job(job)
    check_kept_share(job, find_tracker)
    if job.data != THEATRE:
        raise UsageError(
            f"--data {job.data}: a tracker is trained from the beginning on the theatre alone; to "
            "fine-tune one on labelled frames, say how with --adapt lora"
        )
    if trunk == "varied" and job.start_from is None:
        raise UsageError("--trunk varied is for weights that track already; give --start-from")
    claim_run_folder(job, "tracker", {"trunk": trunk, **content_of_start(job, find_tracker)})
    with counting_progress() as progress:
        material = theatre_material(job, progress)
        baselines = {
            name: region_similarity(baseline(), material.validation.clips)
            for name, baseline in _BASELINES.items()
        }
        network = train_tracker(
            clips=material.training.clips,
            validation_clips=material.validation.clips,
            plan=job.plan,
            folder=run_folder(job),
            start_from=find_start(job, find_tracker),
            trunk=trunk,
            kept_share=job.kept_share,
            device=choose_device(job.device),
            on_step=step_reporter(job, progress),
        )
    card = _tracker_card(job, material, network, trunk, baselines)
    save_network(network, SMALL_CONFIG, job.out, card)
    draw_training(run_folder(job), job.out / CURVES, baselines)
    return job.out


def _tracker_card(
    job: TrainingJob,
    material: Material,
    network: SAM2Base,
    trunk: Trunk,
    baselines: Mapping[str, float],
) -> str:
    details = f"- network: SAM-2, `tracking/configs/{SMALL_CONFIG}.yaml`, trunk {trunk}\n"
    details += "".join(
        f"- {name}, same clips: J {score:.3f}\n" for name, score in baselines.items()
    )
    if job.kept_share:
        tracker = Sam2Tracker(network, network.device)
        score = region_similarity(tracker, material.validation.clips)
        details += _kept_share(job, {"j": score})
    return model_card("tracker", job, details, f"--trunk {trunk} ")


def _kept_share(job: TrainingJob, scores: Mapping[str, float]) -> str:
    measured = ", ".join(f"{name.upper()} {score:.3f}" for name, score in scores.items())
    return (
        f"- {job.kept_share:.0%} of the weights that it started from kept in the mean (WiSE-FT, "
        f"arXiv 2109.01903); with it, same clips: {measured or 'not measured'}\n"
    )


def adapt_tracker_job(job: TrainingJob, *, adaptation: Adaptation, base: str) -> Path:
    """Fine-tune a tracker and write what was trained into a model folder; returns the folder.

    Args:
        job: what to train on.
        adaptation: which weights are trained, and what is added.
        base: the tracker that is fine-tuned: a name, a model folder or a checkpoint.

    Raises:
        InputError: the data set holds nothing to learn from.
        ModelError: the base is unknown or does not load.
        UsageError: the folder holds the base or another training, or training and validation
            share a video.
    """
    check_job(job)
    refuse_to_replace(find_tracker(base), job)
    origin = describe_base(base)
    network = load_to_adapt(base, adaptation)
    options = {"adaptation": asdict(adaptation), "base": asdict(origin)}
    refuse_other_run(job, "tracker", options)
    with counting_progress() as progress:
        material = _adaptation_material(job, adaptation, network.image_size, progress)
        claim_run_folder(job, "tracker", options)
        learn_tracker(job, material, network, adaptation, origin, progress)
    return job.out


def learn_tracker(
    job: TrainingJob,
    material: Material,
    network: SAM2Base,
    adaptation: Adaptation,
    origin: Base,
    progress: Progress,
) -> None:
    """Fine-tune a tracker on clips that have been read, and write its model folder."""
    adapt_tracker(
        network=network,
        adaptation=adaptation,
        clips=material.training.clips,
        validation_clips=material.validation.clips,
        plan=job.plan,
        folder=run_folder(job),
        device=choose_device(job.device),
        on_step=step_reporter(job, progress),
    )
    trained = sum(value.numel() for value in adapted_weights(network).values())
    share = trained / sum(parameter.numel() for parameter in network.parameters())
    details = f"- fine-tuned from {origin.name} (SHA-256 {origin.sha256})\n"
    details += f"- adaptation: {adaptation.method}, {trained:,} parameters trained, {share:.1%}\n"
    options = f"--adapt {adaptation.method} "
    options += f"--rank {adaptation.rank} " if adaptation.rank else ""
    options += "" if job.data == THEATRE else f"--clips {job.clips} "
    screen.print(f"{trained:,} parameters trained, {share:.1%}")
    card = model_card("tracker", job, details, options, measured_videos=material.validation.videos)
    save_adaptation(network, origin, adaptation, job.out, card)
    draw_training(run_folder(job), job.out / CURVES, {})


def _adaptation_material(
    job: TrainingJob, adaptation: Adaptation, side: int, progress: Progress
) -> Material:
    """Return clips to track through; single labelled frames become clips."""
    if job.data == THEATRE:
        return theatre_material(job, progress)
    return moving_material(job, labelled_material(job, side), adaptation)


def moving_material(job: TrainingJob, material: Material, adaptation: Adaptation) -> Material:
    """Return clips to track through, made of single labelled frames."""
    # What answers boxes is measured on the first frame of each, the others on those after it.
    shortest = 1 if adaptation.method == FIRST_MASK else 2
    clips = PictureClips(
        material.training.clips,
        material.training.videos,
        length=CLIP_FRAMES,
        count=job.clips,
        seed=job.plan.seed,
    )
    runs = runs_of_videos(material.validation.clips, material.validation.videos)
    return replace(
        material,
        training=NamedClips(clips=clips),
        validation=NamedClips(clips=[run for run in runs if len(run) >= shortest]),
    )
