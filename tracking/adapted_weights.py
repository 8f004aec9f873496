"""Fine-tuned trackers as small files beside the weights that they were made from."""

import json
import os
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from pathlib import Path

from sam2.modeling.sam2_base import SAM2Base

from pipeline.checkpoints import WEIGHTS, read_checkpoint, write_model
from pipeline.errors import ModelError
from tracking.adapters import Adaptation, adapted_weights, merge_low_rank, prepare_to_adapt
from tracking.weights import CHECKPOINTS, load_network, pulled_path, sha256_of

SHIPPED = "scopeline"
# How what answers boxes and points for a tracker is trained, and its folder in the tracker's.
FIRST_MASK = "first-mask"
_KIND = "adapted tracker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What a tracker was fine-tuned from.

    Attributes:
        name: `scopeline`, an official checkpoint's name, or an absolute path.
        sha256: of its weights file, hexadecimal.
    """

    name: str
    sha256: str


def find_tracker(name: str) -> Path:
    """Return where a tracker lies: the folder of a model, or the file of a checkpoint.

    Args:
        name: `scopeline`, an official checkpoint's name, or a path.

    Raises:
        ModelError: there is none.
    """
    if name == SHIPPED:
        return Path(str(files("tracking"))) / "models" / SHIPPED
    if name in CHECKPOINTS:
        return pulled_path(name)
    path = Path(name)
    if not path.exists():
        raise ModelError(
            f"unknown tracker {name}: it is neither a path nor one of "
            f"{', '.join([SHIPPED, *CHECKPOINTS])}"
        )
    return path


def describe_base(name: str) -> Base:
    """Return what is noted of a tracker that another is made from.

    Raises:
        ModelError: there is none.
    """
    path = find_tracker(name)
    weights = path / WEIGHTS if path.is_dir() else path
    if not weights.is_file():
        raise ModelError(f"{path} is not a tracker; give a folder that has {WEIGHTS}")
    return Base(name=name if _is_known(name) else str(path.resolve()), sha256=sha256_of(weights))


def _is_known(name: str) -> bool:
    return name == SHIPPED or name in CHECKPOINTS


def load_tracker(name: str) -> SAM2Base:
    """Load a tracker's network; a fine-tuned one together with what it was made from.

    Args:
        name: `scopeline`, an official checkpoint's name, a model folder or a checkpoint.

    Raises:
        ModelError: it is unknown or does not load, or what it was made from has changed.
    """
    path = find_tracker(name)
    described = _read_description(path)
    if described is None:
        return load_network(name if name in CHECKPOINTS else path)
    base, adaptation = described
    if adaptation.method == FIRST_MASK:
        return _load_base(path, base)
    return _load_adapted(path, base, adaptation)


def find_first_mask(name: str) -> Path | None:
    """Return the folder of what answers boxes and points for a tracker, where there is one.

    To find an object by a box and to follow it by memory are two tasks: a small network that was
    fine-tuned to do the first alone is better at it, and no longer does the second. It is the
    tracker itself where `train tracker --adapt first-mask` made it, which follows as its base does,
    or it lies in the folder `first-mask` of the tracker's. One that was fine-tuned otherwise knows
    pictures that its base's does not, and answers for itself.

    Args:
        name: of a tracker, as for `load_tracker`.

    Returns:
        Its folder; None where the tracker's own network answers.

    Raises:
        ModelError: the tracker is unknown, or its folder `first-mask` holds something else.
    """
    found = _described_first_mask(name)
    return None if found is None else found[0]


def load_first_mask_network(name: str) -> SAM2Base | None:
    """Load the network in the folder that `find_first_mask` finds, if there is one.

    Raises:
        ModelError: the tracker is unknown, or the network does not fit it.
    """
    found = _described_first_mask(name)
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


def _described_first_mask(name: str) -> tuple[Path, Base, Adaptation] | None:
    """Return the folder of a tracker's first-mask network, and how it was fine-tuned from what."""
    tracker = find_tracker(name)
    for path in (tracker, tracker / FIRST_MASK):
        described = _read_description(path)
        if described is not None and described[1].method == FIRST_MASK:
            base, adaptation = described
            # What lies in a tracker's folder was made from it, wherever that has been moved to.
            return path, base if path == tracker else replace(base, name=name), adaptation
    if (tracker / FIRST_MASK).exists():
        raise ModelError(
            f"{tracker / FIRST_MASK} does not say what it was made from in a model.json; copy the "
            "folder again, or remove it, and the tracker answers boxes and points by itself"
        )
    return None


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
    description = {"kind": _KIND, "base": asdict(named), "adaptation": asdict(adaptation)}
    write_model(folder, adapted_weights(network), description, card)


def _name_from(folder: Path, name: str) -> str:
    """Return a base's name as the folder of an adaptation notes it: as a path from there, if near.

    Args:
        folder: of the adaptation, absolute.
        name: of the base; a path is absolute.
    """
    if _is_known(name) or not Path(name).is_relative_to(folder.parent):
        return name
    return os.path.relpath(name, folder)


def _read_description(path: Path) -> tuple[Base, Adaptation] | None:
    """Return how a model folder was fine-tuned, or None for any other tracker."""
    try:
        description = json.loads((path / "model.json").read_text())
        if description["kind"] != _KIND:
            return None
        base, adaptation = Base(**description["base"]), Adaptation(**description["adaptation"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not _is_known(base.name):
        base = replace(base, name=str((path / base.name).resolve()))
    return base, adaptation


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
