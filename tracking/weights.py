"""Tracker weights, from a model folder or an official checkpoint, into the network they fit."""

import json
from pathlib import Path

from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor

from pipeline.errors import ModelError
from pipeline.networks.checkpoints import misfits, read_checkpoint, write_model
from pipeline.networks.model_folder import DESCRIPTION, WEIGHTS
from tracking.official_checkpoints import CHECKPOINTS, pulled_path
from tracking.sam2_model import OFFICIAL_CONFIGS, build_network, config_names


def load_network(source: str | Path) -> SAM2Base:
    """Load a SAM-2 network from a model folder, an official name or an official checkpoint.

    Args:
        source: a folder that `save_network` wrote, a name in `CHECKPOINTS` (pulled before),
            or a checkpoint of the official architecture, such as fine-tuned ones (SurgSAM-2,
            MedSAM2); which configuration the file belongs to is found from its weights.

    Raises:
        ModelError: it is unknown, unreadable, or fits no known configuration.
    """
    if str(source) in CHECKPOINTS:
        path = pulled_path(str(source))
        return _load_state(path, read_checkpoint(path), [str(source)])
    path = Path(source)
    if path.is_dir():
        return _load_folder(path)
    if path.is_file():
        return _load_state(path, read_checkpoint(path), list(OFFICIAL_CONFIGS))
    raise ModelError(
        f"{source} is neither a model's name nor a file or folder; known names are "
        f"{', '.join(['scopeline', *CHECKPOINTS])}"
    )


def save_network(network: SAM2Base, config_name: str, folder: Path, card: str) -> None:
    """Write a network into a folder: weights in half precision, configuration and card."""
    description = {"kind": "tracker", "config": config_name}
    write_model(folder, network.state_dict(), description, card)


def _load_folder(folder: Path) -> SAM2Base:
    path = folder / WEIGHTS
    try:
        description = json.loads((folder / DESCRIPTION).read_text())
        config_name = description["config"] if description["kind"] == "tracker" else None
    except (OSError, ValueError, KeyError, TypeError):
        config_name = None
    if config_name not in config_names():
        raise ModelError(
            f"{folder} is not a tracker; give a folder that `scopeline train tracker` wrote"
        )
    return _load_state(path, read_checkpoint(path), [config_name])


def _load_state(path: Path, state: dict[str, Tensor], candidates: list[str]) -> SAM2Base:
    """Load weights into the configuration that they fit, or name what differs from the nearest."""
    fewest: list[str] = []
    for name in candidates:
        network = build_network(name)
        differences = misfits(state, network)
        if not differences:
            network.load_state_dict(state)
            return network
        if not fewest or len(differences) < len(fewest):
            fewest, nearest = differences, name
    raise ModelError(
        f"{path} fits none of {', '.join(candidates)}; compared with {nearest}, {fewest[0]} "
        f"({len(fewest)} such differences); give a checkpoint of one of these"
    )
