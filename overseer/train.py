"""Train a Mask R-CNN overseer on labelled frames."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.ops import masks_to_boxes

from overseer.augmentation import Augmentation, Variation, vary_frame
from overseer.class_balance import balanced_chances
from overseer.config import Learning, OverseerConfig
from overseer.detail_training import LOOKS, Batch, DetailTrainer
from overseer.mask_rcnn import MaskRCNNOverseer, copy_weights
from overseer.networks import Network, build_network, has_details, training_losses
from overseer.pseudo_labels import PseudoLabels
from overseer.validation import mask_precision
from pipeline.errors import InputError, ModelError
from pipeline.labelled_clip import IGNORED, LabelledClip, masks_of_map
from pipeline.labels import LabelSet
from pipeline.training.loop import TrainingPlan, freeze, keep_share, train

_MIN_AREA_SHARE = 0.0004
# Frames that are drawn for one place in a batch before that is given up.
_MOST_DRAWS = 100
VALIDATION_FRAMES = 3
_CPU = torch.device("cpu")


class FrameTrainer:
    """Computes Mask R-CNN's losses on batches of labelled frames.

    Args:
        network: what is trained.
        clips: where the frames come from; those with rare classes are drawn more often.
        label_set: gives the order of the classes.
        batch_size: frames in each step.
        seed: of the sampling and the augmentation.
        pseudo_labels: frames that nobody labelled, for every second place of a batch; drawn by
            their weights and made hard to read.
        augmentation: how labelled frames are varied.
    """

    def __init__(
        self,
        network: Network,
        clips: Sequence[LabelledClip],
        label_set: LabelSet,
        batch_size: int,
        seed: int,
        pseudo_labels: PseudoLabels | None = None,
        augmentation: Augmentation = "usual",
    ) -> None:
        self._network = network
        self._clips = clips
        self._chances = balanced_chances(clips)
        self._class_numbers = {
            label.id: number for number, label in enumerate(label_set.foreground, start=1)
        }
        self._batch_size = batch_size
        self._seed = seed
        self._pseudo_labels = pseudo_labels
        self._augmentation: Variation = augmentation

    def losses_of_step(self, step: int) -> dict[str, Tensor]:
        """Return Mask R-CNN's losses for a step's batch."""
        # Which proposals are sampled is the step's too, also after a resume.
        torch.manual_seed(int(np.random.default_rng([self._seed, step, 1]).integers(2**31)))
        return training_losses(self._network, *self.batch_of_step(step))

    def batch_of_step(self, step: int) -> Batch:
        """Draw the frames of a step, as `losses.mask_rcnn_losses` takes them.

        Raises:
            InputError: hardly any frame has an object that is large enough.
        """
        random = np.random.default_rng([self._seed, step])
        images: list[Tensor] = []
        targets: list[dict[str, Tensor]] = []
        draws = 0
        while len(images) < self._batch_size:
            draws += 1
            if draws > _MOST_DRAWS * self._batch_size:
                raise InputError(
                    f"of {draws} frames that were drawn to learn from, {len(images)} have an "
                    f"object of {_MIN_AREA_SHARE:.2%} of the picture or more; label larger objects"
                )
            image, track_map, class_of_track = self._drawn(random, len(images))
            example = self._example(image, track_map, class_of_track)
            if example is not None:
                images.append(example[0])
                targets.append(example[1])
        device = next(self._network.parameters()).device
        return (
            [image.to(device) for image in images],
            [{name: value.to(device) for name, value in each.items()} for each in targets],
        )

    def _drawn(
        self, random: np.random.Generator, place: int
    ) -> tuple[Tensor, NDArray[np.uint8], dict[int, int]]:
        """Draw a frame for a place in the batch, and vary it."""
        pseudo = self._pseudo_labels
        clips, chances, variation = self._clips, self._chances, self._augmentation
        if pseudo is not None and place % 2:
            clips, variation = pseudo.clips, "hard"
            chances = pseudo.weights / pseudo.weights.sum()
        clip = clips[int(random.choice(len(chances), p=chances))]
        frame, seed = int(random.integers(len(clip))), int(random.integers(2**31))
        image, track_map = vary_frame(variation, seed, clip.images[frame], clip.track_maps[frame])
        return image, track_map, clip.class_of_track

    def _example(
        self, image: Tensor, track_map: NDArray[np.uint8], class_of_track: dict[int, int]
    ) -> tuple[Tensor, dict[str, Tensor]] | None:
        min_area = int(_MIN_AREA_SHARE * track_map.size)
        labels: list[int] = []
        masks: list[NDArray[np.bool_]] = []
        ignored = track_map == IGNORED
        for track_id, mask in masks_of_map(track_map, class_of_track, 1):
            number = self._class_numbers.get(class_of_track[track_id])
            if number is not None and np.count_nonzero(mask) < min_area:
                # Too small to be learned, but no background either.
                ignored |= mask
            elif number is not None:
                labels.append(number)
                masks.append(mask)
        if not masks and (class_of_track or ignored.any()):
            # A frame of objects that are too small, or cut off, is none without objects.
            return None
        height, width = track_map.shape
        mask_tensor = torch.from_numpy(np.array(masks, np.bool_).reshape(-1, height, width))
        boxes = masks_to_boxes(mask_tensor)
        # The far edge of a pixel belongs to the object: xyxy is half-open.
        boxes[:, 2:] += 1
        target = {
            "boxes": boxes,
            "labels": torch.tensor(labels, dtype=torch.int64),
            "masks": mask_tensor.to(torch.uint8),
            "ignored": torch.from_numpy(ignored),
        }
        return image, target


def train_overseer(
    *,
    clips: Sequence[LabelledClip],
    validation_clips: Sequence[LabelledClip],
    label_set: LabelSet,
    config: OverseerConfig,
    plan: TrainingPlan,
    batch_size: int,
    folder: Path,
    start_from: Path | None = None,
    kept_share: float = 0.0,
    pseudo_labels: PseudoLabels | None = None,
    augmentation: Augmentation = "usual",
    learning: Learning = "everything",
    device: torch.device = _CPU,
    on_step: Callable[[int, dict[str, float]], None],
    on_look: Callable[[int, int], None] = lambda done, total: None,
) -> MaskRCNNOverseer:
    """Train an overseer; an unfinished run in the folder goes on.

    An EfficientNet-Lite0 backbone starts from ImageNet weights, its stem and first blocks
    stay as they are. The statistics of a backbone's batch norms never change where it has
    learned before, since a few frames a step are too few to measure them well.

    Args:
        clips: labelled frames.
        validation_clips: others, to measure on now and then, if there are any.
        label_set: what the class ids in the clips mean.
        config: the network to train; without details if no two things are there to tell apart.
        plan: how long and how fast.
        batch_size: frames in each step.
        folder: receives the checkpoint, the losses and the scores.
        start_from: model folder or checkpoint whose weights the training starts from.
        kept_share: share of the starting weights in the result, 0..1, see `keep_share`.
        pseudo_labels: frames that nobody labelled, to learn from besides.
        augmentation: how labelled frames are varied.
        learning: what of the network learns. With `details` what finds boxes and draws masks
            stays as it is, and a step costs a fraction.
        device: where the network learns.
        on_step: is called after each step with its number and the losses.
        on_look: is called with (frames looked at, all of them) before details learn.

    Raises:
        InputError: the clips hold no object of the label set's classes.
        ModelError: there is no overseer with this backbone to start from, or it has other classes
            and a share of its weights is to be kept; or there are no details to learn.
    """
    known = {label.id for label in label_set.foreground}
    if not any(known & set(clip.class_of_track.values()) for clip in clips):
        raise InputError(
            f"the training data holds no object of label set {label_set.name}; check --labels"
        )
    config = _without_needless_details(config, label_set, learning)
    torch.manual_seed(plan.seed)
    network = _starting_network(config, label_set, start_from, learning, kept_share).to(device)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    trainer = FrameTrainer(
        network, clips, label_set, batch_size, plan.seed, pseudo_labels, augmentation
    )
    losses_of_step = trainer.losses_of_step
    if learning == "details":
        looks = min(LOOKS, batch_size * plan.steps)
        details = DetailTrainer(network, trainer.batch_of_step, looks, plan.seed, on_look)
        losses_of_step = details.losses_of_step

    def validate() -> dict[str, float]:
        overseer = MaskRCNNOverseer(network, config, label_set, device)
        scores = mask_precision(overseer, validation_clips, VALIDATION_FRAMES)
        _prepare_to_train(network, config)
        return scores

    train(
        model=network,
        plan=plan,
        losses_of_step=losses_of_step,
        folder=folder,
        on_step=on_step,
        validate=validate if validation_clips else None,
    )
    if kept_share:
        keep_share(network, before, kept_share)
    return MaskRCNNOverseer(network, config, label_set, device)


def _starting_network(
    config: OverseerConfig,
    label_set: LabelSet,
    start_from: Path | None,
    learning: Learning,
    kept_share: float,
) -> Network:
    """Return the network that a training begins with; what is not to learn is frozen."""
    network = _untrained_network(config, len(label_set.foreground))
    if start_from is not None:
        changed = copy_weights(start_from, network, label_set)
        _check_start(start_from, changed, learning, kept_share)
    if has_details(network):
        network.roi_heads.details.tell_apart(_numbers_of_things(label_set))
    if learning == "details":
        _freeze_all_but_details(network)
    return network


def _check_start(
    start_from: Path, changed: Sequence[str], learning: Learning, kept_share: float
) -> None:
    """Refuse weights that lack what is to stay; `changed` names those that begin anew."""
    new = [name for name in changed if ".details." not in name]
    if learning == "details" and new:
        raise ModelError(
            f"details alone cannot be learned from {start_from}: it has no {new[0]} of these "
            "classes; learn everything first, without --learn"
        )
    if kept_share and changed:
        raise ModelError(
            f"no share of {start_from} can be kept: it has no {changed[0]} of this shape or of "
            "these classes; leave out --keep-start"
        )


def _untrained_network(config: OverseerConfig, class_count: int) -> Network:
    network = build_network(config, class_count)
    if config.backbone == "efficientnet_lite0":
        network.backbone.body.load_imagenet_weights()
        trunk = network.backbone.body.network
        freeze([trunk.conv_stem, trunk.bn1, trunk.blocks[0], trunk.blocks[1]])
    _prepare_to_train(network, config)
    return network


def _without_needless_details(
    config: OverseerConfig, label_set: LabelSet, learning: Learning
) -> OverseerConfig:
    if len(_numbers_of_things(label_set)) >= 2:
        return config
    if learning == "details":
        raise ModelError(
            f"label set {label_set.name} has no two things to tell apart by details; leave out "
            "--learn details"
        )
    return replace(config, detail_channels=None)


def _numbers_of_things(label_set: LabelSet) -> list[int]:
    numbered = enumerate(label_set.foreground, start=1)
    return [number for number, label in numbered if not label_set.is_stuff(label.id)]


def _freeze_all_but_details(network: Network) -> None:
    if not has_details(network):
        raise ModelError(
            "an overseer with this --backbone has no details to learn; leave out --learn details"
        )
    network.requires_grad_(False)
    network.roi_heads.details.requires_grad_(True)


def _prepare_to_train(network: Network, config: OverseerConfig) -> None:
    network.train()
    if config.norm == "batch":
        return
    for module in network.backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
