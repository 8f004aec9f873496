"""Fine-tuned trackers as small files beside the weights that they were made from."""

import os
from dataclasses import asdict, replace
from pathlib import Path

from sam2.modeling.sam2_base import SAM2Base

from pipeline.errors import ModelError
from pipeline.networks.checkpoints import read_checkpoint, write_model
from pipeline.networks.model_folder import WEIGHTS
from tracking.adapters import adapted_weights, merge_low_rank, prepare_to_adapt
from tracking.model_folders import (
    ADAPTED_KIND,
    FIRST_MASK,
    Adaptation,
    Base,
    describe_base,
    described_first_mask,
    find_tracker,
    read_adapted,
)
from tracking.official_checkpoints import CHECKPOINTS
from tracking.weights import load_network


def load_tracker(name: str) -> SAM2Base:
    """Load a tracker's network; a fine-tuned one together with what it was made from.

    Args:
        name: `scopeline`, an official checkpoint's name, a model folder or a checkpoint.

    Raises:
        ModelError: it is unknown or does not load, or what it was made from has changed.
    """
    path = find_tracker(name)
    described = read_adapted(path)
    if described is None:
        return load_network(name if name in CHECKPOINTS else path)
    base, adaptation = described
    if adaptation.method == FIRST_MASK:
        return _load_base(path, base)
    return _load_adapted(path, base, adaptation)


def load_first_mask_network(name: str) -> SAM2Base | None:
    """Load the network in the folder that `find_first_mask` finds, if there is one.

    Raises:
        ModelError: the tracker is unknown, or the network does not fit it.
    """
    found = described_first_mask(name)
    return None if found is None else _load_adapted(*found)


def load_to_adapt(name: str, adaptation: Adaptation) -> SAM2Base:
    """Load the network that a fine-tuning begins with; first masks go on from those there are.

    Args:
        name: of a tracker, as for `load_tracker`.
        adaptation: how it is going to be fine-tuned.

    Raises:
        ModelError: the tracker is unknown or does not load.
    """
    first_mask = load_first_mask_network(name) if adaptation.method == FIRST_MASK else None
    return load_tracker(name) if first_mask is None else first_mask


def _load_base(path: Path, base: Base) -> SAM2Base:
    """Load what the tracker in a folder was made from.

    Raises:
        ModelError: it is another by now.
    """
    if describe_base(base.name).sha256 != base.sha256:
        raise ModelError(
            f"{path} was made from another {base.name} than the one on this machine; make it "
            "again with `scopeline train tracker --adapt`"
        )
    return load_tracker(base.name)


def _load_adapted(path: Path, base: Base, adaptation: Adaptation) -> SAM2Base:
    network = _load_base(path, base)
    _apply(path / WEIGHTS, network, adaptation)
    described = read_adapted(path)
    if described is None or (described[0].sha256, described[1]) != (base.sha256, adaptation):
        raise ModelError(f"{path} was replaced while it was read; run the command again")
    return network.eval()


def save_adaptation(
    network: SAM2Base, base: Base, adaptation: Adaptation, folder: Path, card: str
) -> None:
    """Write what an adaptation has trained into a folder, in half precision, with its card.

    What it was made from is found again where both are moved together, in one folder.

    Args:
        network: the adapted network, its low-rank changes not merged.
        base: what it was made from.
        adaptation: how.
        folder: is made.
        card: Markdown.
    """
    named = replace(base, name=_name_from(folder.resolve(), base.name))
    description = {"kind": ADAPTED_KIND, "base": asdict(named), "adaptation": asdict(adaptation)}
    write_model(folder, adapted_weights(network), description, card)


def _name_from(folder: Path, name: str) -> str:
    """Return a base's name as the folder of an adaptation notes it: as a path from there, if near.

    Args:
        folder: of the adaptation, absolute.
        name: of the base; a path is absolute.
    """
    if not Path(name).is_relative_to(folder.parent):
        return name
    return os.path.relpath(name, folder)


def _apply(path: Path, network: SAM2Base, adaptation: Adaptation) -> None:
    weights = read_checkpoint(path)
    prepare_to_adapt(network, adaptation)
    expected = adapted_weights(network)
    wrong = sorted(expected.keys() ^ weights.keys()) + [
        name
        for name in sorted(expected.keys() & weights.keys())
        if expected[name].shape != weights[name].shape
    ]
    if wrong:
        raise ModelError(
            f"{path} does not fit what it was made from: {wrong[0]} ({len(wrong)} such "
            "differences); make it again with `scopeline train tracker --adapt`"
        )
    network.load_state_dict(weights, strict=False)
    merge_low_rank(network)
