"""Train a small SAM-2 on labelled clips: prompt on the first frame, track through the rest.

The trunk learns from single frames alone, in a training of its own (`PICTURES`); the longer
curriculum (`CLIPS`) keeps it still, since its features can then be computed once. What follows well
already learns to follow through other light and faster motion (`FOLLOWING`).
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor

from pipeline.errors import ModelError
from pipeline.labelled_clip import LabelledClip
from pipeline.networks.checkpoints import misfits
from pipeline.training.loop import TrainingPlan, freeze, keep_share, train
from tracking.sam2_internals import ImageLevels, image_levels, learn_to_follow
from tracking.sam2_model import SMALL_CONFIG, build_network
from tracking.tracker import Sam2Tracker
from tracking.training.batches import MASKS_ALONE, Stage, TrackBatch, sample_batch
from tracking.training.losses import mask_losses
from tracking.training.prompts import make_prompts
from tracking.training.trunk_features import FeatureCache, TrunkFeatures, VariedFeatures
from tracking.training.validation import region_similarity
from tracking.weights import load_network

# Prompts first, then short motion, then long memory: training on long clips from the
# start spends most of its time on frames that an untrained network has lost. A step of single
# frames costs an eighth of one of 8 frames, and boxes and points are learned in those alone.
CLIPS = (
    Stage(until=0.45, frames=1, clips=8, tracks=2),
    Stage(until=0.6, frames=2, clips=5, tracks=2),
    Stage(until=0.8, frames=4, clips=3, tracks=2),
    Stage(until=1.0, frames=8, clips=2, tracks=2),
)
# Weights that know boxes and points already need few single frames more, half of them from near,
# where the tracker looks besides when it is given a box or points.
FURTHER_CLIPS = (
    Stage(until=0.3, frames=1, clips=8, tracks=2, near_share=0.5),
    Stage(until=0.5, frames=2, clips=5, tracks=2),
    Stage(until=0.7, frames=4, clips=3, tracks=2),
    Stage(until=1.0, frames=8, clips=2, tracks=2),
)
# Boxes and points on single frames, where a step with gradients through the trunk is cheap.
PICTURES = (Stage(until=1.0, frames=1, clips=8, tracks=2, near_share=0.5),)

# For weights whose boxes and points a network of their own answers: masks alone, a third of the
# clips from near, where motion is larger, a third with a leap, over which only looks tell who is
# who.
FOLLOWING = (
    Stage(until=0.1, frames=1, clips=8, tracks=2, near_share=0.5),
    Stage(until=0.2, frames=2, clips=5, tracks=2, near_share=0.3, prompts=MASKS_ALONE),
    Stage(until=0.4, frames=4, clips=3, tracks=2, near_share=0.3, prompts=MASKS_ALONE),
    Stage(
        until=1.0, frames=8, clips=2, tracks=2, near_share=0.3, prompts=MASKS_ALONE, leap_share=0.3
    ),
)

Trunk = Literal["frozen", "varied", "learning"]
Similarity = Callable[[Sam2Tracker, Sequence[LabelledClip]], float]
"""From a tracker and labelled clips to how alike its masks and the true ones are, 0..1."""

# On a single frame a mask has nothing to teach. A box says less of an object than points on it do,
# and takes longer to learn.
_SINGLE_FRAME_PROMPTS = ("box", "box", "points")
# A mask may hold more than one thing, such as two instruments that touch: what to follow is what
# the mask says, not what looks like one object. A box or points cannot say that.
_GROUP_SHARES = {"mask": 0.4, "rough-mask": 0.2, "box": 0.0, "points": 0.0}
_CPU = torch.device("cpu")


class ClipTrainer:
    """Computes the losses of tracking through clips.

    Args:
        network: what is trained.
        clips: labelled clips of equal length.
        trunk: gives the trunk's features of these clips.
        curriculum: the stages, in order.
        plan: gives the number of steps, by which the curriculum is divided, and the seed.
    """

    def __init__(
        self,
        network: SAM2Base,
        clips: Sequence[LabelledClip],
        trunk: TrunkFeatures,
        curriculum: Sequence[Stage],
        plan: TrainingPlan,
    ) -> None:
        self._network = network
        self._clips = clips
        self._trunk = trunk
        self._curriculum = curriculum
        self._plan = plan

    def losses_of_step(self, step: int) -> dict[str, Tensor]:
        """Return the losses of a step's batch, averaged over its frames."""
        random = np.random.default_rng([self._plan.seed, step])
        # Dropout and the varied colours too are those of the step, also after a resume.
        torch.manual_seed(int(random.integers(2**31)))
        progress = step / self._plan.steps
        stage = next(stage for stage in self._curriculum if progress < stage.until)
        if stage.frames == 1:
            kind = str(random.choice(_SINGLE_FRAME_PROMPTS))
        else:
            kind = str(random.choice(list(stage.prompts), p=list(stage.prompts.values())))
        batch = sample_batch(
            random,
            self._clips,
            self._trunk,
            stage,
            self._network.image_size,
            _GROUP_SHARES[kind],
        )
        per_frame = self._track(random, batch, kind)
        return {
            name: torch.stack([losses[name] for losses in per_frame]).mean()
            for name in per_frame[0]
        }

    def _track(
        self, random: np.random.Generator, batch: TrackBatch, kind: str
    ) -> list[dict[str, Tensor]]:
        """Follow a batch's tracks and return the losses of each frame that is not given a mask."""
        frames, device = batch.targets.shape[1], self._network.device
        encoded, memory = self._encode(batch), _empty_memory()
        goals, counted = _goals_of(batch, device)
        # A later re-prompt of some clips, as the policies give them.
        reprompt = int(random.integers(2, frames)) if frames > 2 and random.random() < 0.4 else -1
        losses = []
        for frame in range(frames):
            # Every track shows on the first frame, and is prompted there.
            asked = {0: kind, reprompt: "rough-mask"}.get(frame)
            prompted = asked is not None and _all_show(batch.targets[:, frame])
            inputs = make_prompts(random, batch.targets[:, frame], asked if prompted else None)
            inputs = {name: _moved(value, device) for name, value in inputs.items()}
            rows = (batch.clip_of_row * frames + frame).to(device)
            decoded = learn_to_follow(
                self._network,
                encoded.of(rows),
                inputs,
                memory,
                frame,
                frames,
                is_prompted=prompted,
            )
            if inputs["mask_inputs"] is None:
                of_frame = None if counted is None else counted[:, frame]
                losses.append(
                    mask_losses(
                        decoded.offered, decoded.ious, decoded.presence, goals[:, frame], of_frame
                    )
                )
        return losses

    def _encode(self, batch: TrackBatch) -> ImageLevels:
        network = self._network
        features, positions = network.image_encoder.neck(batch.features)
        scalp = network.image_encoder.scalp
        features, positions = features[:-scalp], positions[:-scalp]
        decoder = network.sam_mask_decoder
        features[0] = decoder.conv_s0(features[0])
        features[1] = decoder.conv_s1(features[1])
        backbone = {"backbone_fpn": features, "vision_pos_enc": positions}
        return image_levels(network, backbone)


def train_tracker(
    *,
    clips: Sequence[LabelledClip],
    validation_clips: Sequence[LabelledClip],
    plan: TrainingPlan,
    folder: Path,
    start_from: Path | None = None,
    trunk: Trunk = "frozen",
    kept_share: float = 0.0,
    device: torch.device = _CPU,
    on_step: Callable[[int, dict[str, float]], None],
) -> SAM2Base:
    """Train Scopeline's small SAM-2, whose trunk begins with ImageNet's weights.

    Args:
        clips: labelled clips of equal length, at least as long as the curriculum's longest.
        validation_clips: others, to measure on now and then.
        plan: how long and how fast.
        folder: receives the checkpoint, the losses, the scores and the cached features; an
            unfinished run in it goes on.
        start_from: model folder whose weights the training starts from.
        trunk: `frozen`, tracking through clips on a trunk that stays as it is; `varied`, the same
            from masks alone, the pictures in other light each time, so that its features cannot be
            kept; or `learning`, single frames with boxes and points, the trunk in other light each
            time.
        kept_share: share of the starting weights in the result, 0..1, see `keep_share`.
        device: where the network learns.
        on_step: is called after each step with its number and the losses.

    Returns:
        The trained network, in evaluation mode.

    Raises:
        ValueError: there are no clips, or they are too short.
        ModelError: there is no tracker of this shape to start from.
    """
    curriculum = _curriculum(trunk, start_from)
    longest = max(stage.frames for stage in curriculum)
    if not clips or min(len(clip) for clip in clips) < longest:
        raise ValueError(f"training the tracker needs clips of at least {longest} frames")
    torch.manual_seed(plan.seed)
    network = build_network(SMALL_CONFIG)
    if start_from is None:
        network.image_encoder.trunk.backbone.load_imagenet_weights()
    else:
        start = load_network(start_from).state_dict()
        differences = misfits(start, network)
        if differences:
            raise ModelError(
                f"{start_from} is not of the shape of Scopeline's small tracker "
                f"({differences[0]}); fine-tune it as it is, with --adapt lora"
            )
        network.load_state_dict(start)
    network.to(device)
    features: TrunkFeatures
    if trunk != "learning":
        freeze([network.image_encoder.trunk])
    if trunk == "frozen":
        features = FeatureCache(network, clips, folder / "features")
    else:
        features = VariedFeatures(network, clips)
    trainer = ClipTrainer(network, clips, features, curriculum, plan)

    train_through_clips(
        network=network,
        trainer=trainer,
        validation_clips=validation_clips,
        plan=plan,
        folder=folder,
        on_step=on_step,
    )
    if start_from is not None and kept_share:
        keep_share(network, load_network(start_from).state_dict(), kept_share)
    return network


def _curriculum(trunk: Trunk, start_from: Path | None) -> Sequence[Stage]:
    if trunk == "learning":
        return PICTURES
    if trunk == "varied":
        return FOLLOWING
    return CLIPS if start_from is None else FURTHER_CLIPS


def train_through_clips(
    *,
    network: SAM2Base,
    trainer: ClipTrainer,
    validation_clips: Sequence[LabelledClip],
    plan: TrainingPlan,
    folder: Path,
    on_step: Callable[[int, dict[str, float]], None],
    similarity: Similarity = region_similarity,
) -> None:
    """Train what of a network requires gradients; an unfinished run in the folder goes on.

    Args:
        network: what is trained; is in evaluation mode afterwards.
        trainer: computes its losses.
        validation_clips: clips to measure on now and then, if there are any.
        plan: how long and how fast.
        folder: receives the checkpoint, the losses and the scores.
        on_step: is called after each step with its number and the losses.
        similarity: what is measured on the validation clips.
    """

    def validate() -> dict[str, float]:
        scores = {"j": similarity(Sam2Tracker(network, network.device), validation_clips)}
        _prepare_to_train(network)
        return scores

    _prepare_to_train(network)
    train(
        model=network,
        plan=plan,
        losses_of_step=trainer.losses_of_step,
        folder=folder,
        on_step=on_step,
        validate=validate if validation_clips else None,
    )
    network.eval()


def _empty_memory() -> dict[str, dict[int, Any]]:
    """Return room for what SAM-2 remembers of frames with prompts, and of others."""
    return {"cond_frame_outputs": {}, "non_cond_frame_outputs": {}}


def _goals_of(batch: TrackBatch, device: torch.device) -> tuple[Tensor, Tensor | None]:
    """Return true masks at the size of the decoder's, and where they count.

    Returns:
        float32[B, T, h, w], the covered share of each pixel; and float32[B, T, h, w], 1 where the
        labels say something, or None if they do so everywhere.
    """
    goals = F.interpolate(batch.targets.to(device), scale_factor=0.25, mode="area")
    if batch.ignored is None:
        return goals, None
    open_share = F.interpolate(batch.ignored.to(device), scale_factor=0.25, mode="area")
    return goals, (open_share == 0).float()


def _moved(value: Any, device: torch.device) -> Any:
    """Return tensors, alone or by name, on a device; None stays None."""
    if isinstance(value, dict):
        return {name: _moved(each, device) for name, each in value.items()}
    return None if value is None else value.to(device)


def _all_show(targets: Tensor) -> bool:
    """Return whether each of the masks float32[B, S, S] has an inside."""
    return bool(targets.flatten(1).any(1).all())


def _prepare_to_train(network: SAM2Base) -> None:
    network.train()
    # Its batch norm keeps ImageNet's statistics: those of a few frames are too rough.
    network.image_encoder.trunk.eval()
