"""Fine-tune a SAM-2 network on labelled clips: a few of its weights, or small parts beside them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from sam2.modeling.sam2_base import SAM2Base

from pipeline.labelled_clip import LabelledClip
from pipeline.training.loop import TrainingPlan
from tracking.adapters import prepare_to_adapt
from tracking.model_folders import Adaptation, Method
from tracking.train import ClipTrainer, train_through_clips
from tracking.training.batches import Stage
from tracking.training.trunk_features import FeatureCache, TrunkFeatures, VariedFeatures
from tracking.training.validation import first_mask_similarity, region_similarity

# The network tracks already; long clips at once, and single frames so that it keeps prompts.
STAGES = (
    Stage(until=0.2, frames=1, clips=6, tracks=2),
    Stage(until=0.6, frames=4, clips=2, tracks=2),
    Stage(until=1.0, frames=8, clips=1, tracks=2),
)
# Single frames, nearly all from near: six of the eight views in which the tracker looks at a box or
# points are so.
FIRST_MASK_STAGES = (Stage(until=1.0, frames=1, clips=8, tracks=2, near_share=0.9),)
_CPU = torch.device("cpu")
CLIP_FRAMES = max(stage.frames for stage in STAGES)


def adapt_tracker(
    *,
    network: SAM2Base,
    adaptation: Adaptation,
    clips: Sequence[LabelledClip],
    validation_clips: Sequence[LabelledClip],
    plan: TrainingPlan,
    folder: Path,
    device: torch.device = _CPU,
    on_step: Callable[[int, dict[str, float]], None],
) -> None:
    """Fine-tune a network in place; an unfinished run in the folder goes on.

    Args:
        network: what is fine-tuned.
        adaptation: which weights are trained, and what is added.
        clips: labelled clips of `CLIP_FRAMES` frames.
        validation_clips: others, to measure on now and then, if there are any.
        plan: how long and how fast.
        folder: receives the checkpoint, the losses, the scores and features that stay as they are.
        device: where the network learns.
        on_step: is called after each step with its number and the losses.
    """
    torch.manual_seed(plan.seed)
    prepare_to_adapt(network, adaptation)
    network.to(device)
    is_first_mask = adaptation.method == "first-mask"
    stages = FIRST_MASK_STAGES if is_first_mask else STAGES
    features = _features(adaptation.method, network, clips, folder)
    train_through_clips(
        network=network,
        trainer=ClipTrainer(network, clips, features, stages, plan),
        validation_clips=validation_clips,
        plan=plan,
        folder=folder,
        on_step=on_step,
        similarity=first_mask_similarity if is_first_mask else region_similarity,
    )


def _features(
    method: Method, network: SAM2Base, clips: Sequence[LabelledClip], folder: Path
) -> TrunkFeatures:
    if method == "decoder":
        return FeatureCache(network, clips, folder / "features")
    return VariedFeatures(network, clips)
