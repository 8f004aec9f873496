"""Models by name or path: the ones that ship, the official ones, and the user's own."""

import re
from pathlib import Path

import torch

from flows.settings import AnnotateSettings, PrecisionName, Runtime
from overseer.mask_rcnn import MaskRCNNOverseer, load_overseer, load_published
from overseer.model_folders import find_overseer, published_checkpoint
from overseer.networks import backbone_of
from pipeline.errors import UsageError
from pipeline.networks.backbones import prepare_for_inference
from pipeline.networks.compiled_networks import use_compiled
from pipeline.networks.devices import Precision
from pipeline.networks.openvino_networks import use_openvino
from tracking.adapted_weights import load_first_mask_network, load_tracker
from tracking.mask_choice import MaskChoice
from tracking.openvino_encoder import encode_with_openvino
from tracking.tracker import Sam2Tracker


def choose_device(name: str) -> torch.device:
    """Return the device of a name: auto, cpu, cuda or cuda:N.

    Raises:
        UsageError: the name is unknown, or the machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu(:0)?|cuda(:[0-9]+)?", name):
        raise UsageError(f"unknown device {name}; choose auto, cpu, cuda or cuda:1")
    if name.startswith("cpu"):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UsageError("this machine has no CUDA device; choose --device cpu")
    count, number = torch.cuda.device_count(), int(name.partition(":")[2] or 0)
    if number >= count:
        raise UsageError(
            f"this machine has no device {name}; choose one of cuda:0 to cuda:{count - 1}"
        )
    return torch.device(name)


def choose_precision(name: PrecisionName, device: torch.device) -> Precision:
    """Return the precision of a name on a device.

    On processors masks would be others (see docs/results.md, Speed), for a sixth of the time.
    """
    if name == "auto":
        in_hardware = device.type == "cuda" and torch.cuda.is_bf16_supported(False)
        return "bfloat16" if in_hardware else "float32"
    return name


def numbers_of(settings: AnnotateSettings) -> tuple[torch.device, Precision]:
    """Return where networks compute as settings say, and in which precision.

    Raises:
        UsageError: the device is not there.
    """
    device = choose_device(settings.device)
    return device, choose_precision(settings.precision, device)


def open_overseer(
    name: str,
    device: torch.device,
    weights: Path | None = None,
    runtime: Runtime = "torch",
    precision: Precision = "float32",
) -> MaskRCNNOverseer:
    """Load an overseer by name (`scopeline`), from a model folder, or a published one.

    Args:
        name: of the overseer, or its folder.
        device: where it runs.
        weights: checkpoint of a published overseer.
        runtime: what computes its backbone.
        precision: of its convolutions and products.

    Raises:
        ModelError: it is unknown or does not load.
        UsageError: a published overseer has no weights, or another one has; or the runtime is not
            there.
    """
    checkpoint = published_checkpoint(name, weights)
    if checkpoint is None:
        overseer = load_overseer(find_overseer(name), device, precision)
    else:
        overseer = load_published(name, checkpoint, device, precision)
    if runtime == "openvino":
        use_openvino(backbone_of(overseer.network))
        return overseer
    prepare_for_inference(overseer.network)
    if runtime == "compiled":
        use_compiled(backbone_of(overseer.network))
    return overseer


def open_tracker(
    name: str,
    device: torch.device,
    runtime: Runtime = "torch",
    precision: Precision = "float32",
    mask_choice: MaskChoice | None = None,
) -> Sam2Tracker:
    """Load a tracker by name, from a model folder or from an official checkpoint.

    Args:
        name: of the tracker, its folder or its checkpoint.
        device: where it runs.
        runtime: what computes its image encoder.
        precision: of its convolutions and products.
        mask_choice: as of a `Sam2Tracker`.

    Raises:
        ModelError: it is unknown or does not load.
        UsageError: the runtime is not there.
    """
    first_mask_network = load_first_mask_network(name)
    if first_mask_network is not None:
        prepare_for_inference(first_mask_network.to(device))
    tracker = Sam2Tracker(
        load_tracker(name),
        device,
        precision=precision,
        first_mask_network=first_mask_network,
        mask_choice=mask_choice,
    )
    if runtime == "openvino":
        encode_with_openvino(tracker.network)
        return tracker
    prepare_for_inference(tracker.network)
    if runtime == "compiled":
        use_compiled(tracker.network.image_encoder)
    return tracker
