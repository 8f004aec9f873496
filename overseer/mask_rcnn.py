"""The overseer over a Mask R-CNN: save, load, detect in batches."""

import math
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from overseer.config import OverseerConfig
from overseer.mirrored_views import MirroredViews
from overseer.model_folders import read_description
from overseer.networks import (
    Network,
    backend_of,
    build_network,
    is_counter,
    own_names,
)
from overseer.published import PUBLISHED
from pipeline.errors import ModelError
from pipeline.labels import LabelSet
from pipeline.networks.checkpoints import check_fits, read_checkpoint, write_model
from pipeline.networks.devices import Precision, computing, moved
from pipeline.networks.model_folder import WEIGHTS
from pipeline.records import Detections, require_pictures


class MaskRCNNOverseer:
    """Looks at frames with a Mask R-CNN and says what it sees.

    Args:
        network: from `build_network`; put into evaluation mode.
        config: what it was built from.
        label_set: its foreground classes are the network's classes 1, 2, ... in order.
        device: where it runs.
        precision: of its convolutions and products.
    """

    def __init__(
        self,
        network: Network,
        config: OverseerConfig,
        label_set: LabelSet,
        device: torch.device,
        precision: Precision = "float32",
    ) -> None:
        self.network = network.eval().to(device)
        self.config = config
        self.label_set = label_set
        self._device = device
        self._precision: Precision = precision
        self._computing = partial(computing, device, precision)
        self._class_ids = np.array([0, *(label.id for label in label_set.foreground)])

    @cached_property
    def mirrored(self) -> "MaskRCNNOverseer":
        """The same overseer, looking at each frame and at its mirror image."""
        views = MirroredViews(self.network, self.config.score_threshold)
        return MaskRCNNOverseer(views, self.config, self.label_set, self._device, self._precision)

    @torch.inference_mode()
    def detect(self, images: NDArray[np.uint8]) -> list[Detections]:
        """Find objects in a batch of frames.

        For a stuff class all detections of a frame are joined into one.

        Args:
            images: uint8[N, H, W, 3], RGB.

        Returns:
            One `Detections` for each frame, best score first; none for an empty batch.

        Raises:
            ValueError: the images are of another shape or dtype.
        """
        require_pictures(images)
        if not len(images):
            return []
        height, width = images.shape[1:3]
        size = self.input_size(height, width)
        # Channels that were put into the order RGB by a step of -1 are a view that torch refuses.
        planes = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
        if size != (height, width):
            # As bytes, which on a CPU is forty times as fast as with floats, and before it goes
            # to the device.
            planes = nn.functional.interpolate(
                planes, size, mode="bilinear", align_corners=False, antialias=True
            )
        with self._computing():
            outputs = self.network(list(moved(planes, self._device).float() / 255))
        return [self._to_detections(output, height, width) for output in outputs]

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the size that a frame is brought to: a larger one only costs time later."""
        side = self.config.image_size
        if self.config.aspect == "square":
            return side, side
        scale = min(1.0, side / max(height, width))
        return max(math.floor(height * scale), 1), max(math.floor(width * scale), 1)

    def _to_detections(self, output: dict[str, Tensor], height: int, width: int) -> Detections:
        shares = output["masks"][:, 0].float().cpu().numpy()
        masks = np.zeros((len(shares), height, width), np.bool_)
        for share, mask in zip(shares, masks, strict=True):
            enlarged = cv2.resize(share, (width, height), interpolation=cv2.INTER_LINEAR)
            np.greater(enlarged, 0.5, out=mask)
        class_ids = self._class_ids[output["labels"].cpu().numpy()].astype(np.int64)
        scores = output["scores"].float().cpu().numpy().astype(np.float32)
        return _join_stuff(class_ids, scores, masks, self.label_set)

    def save(self, folder: Path, card: str) -> None:
        """Write the model into a folder: weights in half precision, configuration and card.

        Args:
            folder: is made if need be; files in it are replaced.
            card: the model card, Markdown.
        """
        description = {
            "kind": "overseer",
            "backend": backend_of(self.config),
            "network": asdict(self.config),
            "labels": self.label_set.to_json(),
        }
        write_model(folder, self.network.state_dict(), description, card)


def load_overseer(
    folder: Path, device: torch.device, precision: Precision = "float32"
) -> MaskRCNNOverseer:
    """Load an overseer that `save` wrote.

    Args:
        folder: where it is.
        device: where it runs.
        precision: of its convolutions and products.

    Raises:
        ModelError: the folder holds no overseer, or its weights have other shapes.
    """
    config, label_set, state = _read_folder(folder)
    network = build_network(config, len(label_set.foreground))
    check_fits(folder / WEIGHTS, state, network, "what model.json describes")
    network.load_state_dict(state)
    return MaskRCNNOverseer(network, config, label_set, device, precision)


def _read_folder(folder: Path) -> tuple[OverseerConfig, LabelSet, dict[str, Tensor]]:
    """Return what a folder's overseer is built from, its classes, and the weights of just these.

    Raises:
        ModelError: the folder holds no overseer, or another one by the time it has been read.
    """
    described = read_description(folder)
    weights = read_checkpoint(folder / WEIGHTS)
    if read_description(folder) != described:
        raise ModelError(f"{folder} was replaced while it was read; run the command again")
    return *described, weights


def load_published(
    name: str, weights: Path, device: torch.device, precision: Precision = "float32"
) -> MaskRCNNOverseer:
    """Load a published overseer from its checkpoint.

    Args:
        name: one of `PUBLISHED`.
        weights: the checkpoint.
        device: where it runs.
        precision: of its convolutions and products.

    Raises:
        ModelError: the file is missing, unreadable, or a tensor of it does not fit.
    """
    published = PUBLISHED[name]
    if not weights.is_file():
        raise ModelError(f"{weights} does not exist; download the checkpoint of {name} first")
    network = build_network(published.config, len(published.label_set.foreground))
    state = read_checkpoint(weights)
    check_fits(weights, state, network, name)
    network.load_state_dict(state)
    return MaskRCNNOverseer(network, published.config, published.label_set, device, precision)


def copy_weights(source: Path, network: Network, label_set: LabelSet | None = None) -> list[str]:
    """Copy the weights of a trained network into another one, to train it further.

    Weights of another shape stay what they are: those of the heads, where the classes are
    others. So do those of the heads of a folder's overseer whose classes have other names or
    another order, though they may be as many.

    Args:
        source: a folder that `save` wrote; or a checkpoint of torchvision's or detectron2's: of a
            Mask R-CNN, such as those trained on COCO, or of a classifier of torchvision's, which
            gives its backbone alone.
        network: receives them.
        label_set: what the network's classes mean; None if those of a folder are the same.

    Returns:
        The names of the network's weights that stayed what they were.

    Raises:
        ModelError: the source holds no overseer, or one with another backbone.
    """
    if source.is_dir():
        config, known, weights = _read_folder(source)
        if label_set is not None and _class_names(known) != _class_names(label_set):
            weights = _without_classes(weights, config, len(known.foreground))
    else:
        weights = own_names(read_checkpoint(source))
    own = network.state_dict()
    fitting = {
        name: value
        for name, value in weights.items()
        if name in own and value.shape == own[name].shape
    }
    body = [name for name in own if ".body." in name or ".bottom_up." in name]
    missing = [name for name in body if name not in fitting and not is_counter(name)]
    if missing:
        raise ModelError(
            f"{source} has another backbone: {missing[0]} of shape {tuple(own[missing[0]].shape)} "
            "is not in it; give the same --backbone, or start from another model"
        )
    network.load_state_dict(fitting, strict=False)
    return [name for name in own if name not in fitting and not is_counter(name)]


def _class_names(label_set: LabelSet) -> list[str]:
    return [label.name for label in label_set.foreground]


def _without_classes(
    weights: dict[str, Tensor], config: OverseerConfig, class_count: int
) -> dict[str, Tensor]:
    """Leave out the weights that would have another shape with one class more."""
    more = build_network(config, class_count + 1).state_dict()
    return {
        name: value
        for name, value in weights.items()
        if name not in more or value.shape == more[name].shape
    }


def _join_stuff(
    class_ids: NDArray[np.int64],
    scores: NDArray[np.float32],
    masks: NDArray[np.bool_],
    label_set: LabelSet,
) -> Detections:
    """Join the detections of a stuff class into its first one; `masks` are changed.

    Also what by itself would be too unsure: beside a sure part it is mostly another part. On six
    scenes that no figure is reported on, to leave out parts below 0.5 costs 0.008 of IoU.
    """
    kept: list[int] = []
    for row, (class_id, mask) in enumerate(zip(class_ids, masks, strict=True)):
        if not mask.any():
            continue
        first = next((other for other in kept if class_ids[other] == class_id), None)
        if label_set.is_stuff(int(class_id)) and first is not None:
            masks[first] |= mask
        else:
            kept.append(row)
    return Detections.from_masks(class_ids=class_ids[kept], scores=scores[kept], masks=masks[kept])
