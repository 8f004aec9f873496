"""Models by name or path: the ones that ship, the official ones, and the user's own."""

from importlib.resources import files
from pathlib import Path

import torch

from flows.settings import PrecisionName, Runtime
from overseer.mask_rcnn import MaskRCNNOverseer, load_overseer, read_label_set
from overseer.networks import backbone_of
from overseer.published import PUBLISHED, load_published
from pipeline.backbones import prepare_for_inference
from pipeline.checkpoints import WEIGHTS
from pipeline.compiled_networks import use_compiled
from pipeline.devices import Precision
from pipeline.errors import ModelError, UsageError
from pipeline.labels import LabelSet
from pipeline.openvino_networks import use_openvino
from tracking.adapted_weights import (
    SHIPPED,
    describe_base,
    find_first_mask,
    load_first_mask_network,
    load_tracker,
)
from tracking.mask_choice import MaskChoice
from tracking.openvino_encoder import encode_with_openvino
from tracking.tracker import Sam2Tracker
from tracking.weights import sha256_of


def choose_device(name: str) -> torch.device:
    """Return the device of a name: auto, cpu, cuda or cuda:N.

    Raises:
        UsageError: the name is unknown, or the machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdigit()):
        raise UsageError(f"unknown device {name}; choose auto, cpu or cuda")
    if kind == "cuda" and not torch.cuda.is_available():
        raise UsageError("this machine has no CUDA device; choose --device cpu")
    return torch.device(name)


def choose_precision(name: PrecisionName, device: torch.device) -> Precision:
    """Return the precision of a name on a device.

    On the processors that it was measured on, bfloat16 gains too little to be the default.
    """
    if name == "auto":
        in_hardware = device.type == "cuda" and torch.cuda.is_bf16_supported(False)
        return "bfloat16" if in_hardware else "float32"
    return name


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
    if name in PUBLISHED:
        overseer = load_published(name, _weights_of(name, weights), device, precision)
    else:
        _refuse_weights(name, weights)
        overseer = load_overseer(overseer_folder(name), device, precision)
    if runtime == "openvino":
        use_openvino(backbone_of(overseer.network))
        return overseer
    prepare_for_inference(overseer.network)
    if runtime == "compiled":
        use_compiled(backbone_of(overseer.network))
    return overseer


def overseer_labels(name: str) -> LabelSet:
    """Return the classes of an overseer by name or model folder; its weights are not loaded.

    Raises:
        ModelError: it is unknown.
    """
    if name in PUBLISHED:
        return PUBLISHED[name].label_set
    return read_label_set(overseer_folder(name))


def _weights_of(name: str, weights: Path | None) -> Path:
    if weights is None:
        raise UsageError(
            f"{name} is not shipped; download its checkpoint and give it with --weights FILE"
        )
    return weights


def _refuse_weights(name: str, weights: Path | None) -> None:
    if weights is not None:
        raise UsageError(
            f"--weights does not go with the overseer {name}, which has its own; it goes with "
            f"{', '.join(PUBLISHED)}"
        )


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


def describe_overseer(name: str, weights: Path | None = None) -> dict[str, str]:
    """Return an overseer's name and the hash of its weights, for the manifest.

    Args:
        name: of the overseer, or its folder.
        weights: checkpoint of a published overseer.

    Raises:
        ModelError: it is unknown, or has no weights.
        UsageError: a published overseer has no weights, or another one has.
    """
    if name in PUBLISHED:
        path = _weights_of(name, weights)
    else:
        _refuse_weights(name, weights)
        folder = overseer_folder(name)
        path = folder / WEIGHTS if folder.is_dir() else folder
    if not path.is_file():
        raise ModelError(f"{path} does not exist; check the model's name or path")
    return {"name": name, "sha256": sha256_of(path)}


def describe_tracker(name: str) -> dict[str, str]:
    """Return a tracker's name and the hashes of its weights, for the manifest.

    Raises:
        ModelError: it is unknown, or has no weights.
    """
    described = {"name": name, "sha256": describe_base(name).sha256}
    first_mask = find_first_mask(name)
    if first_mask is not None:
        described["first_mask_sha256"] = describe_base(str(first_mask)).sha256
    return described


def overseer_folder(name: str) -> Path:
    """Return the folder of an overseer, or the file of a checkpoint, by name or path.

    Raises:
        ModelError: there is none.
    """
    if name == SHIPPED:
        return Path(str(files("overseer"))) / "models" / SHIPPED
    path = Path(name)
    if not path.exists():
        raise ModelError(
            f"unknown overseer {name}: it is neither a path nor one of "
            f"{', '.join([SHIPPED, *PUBLISHED])}"
        )
    return path
