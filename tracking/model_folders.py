"""Trackers by name or path: their folders, and what was noted there; no weights are loaded."""

import json
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pipeline.errors import ModelError
from pipeline.networks.model_folder import DESCRIPTION, TRAINING, WEIGHTS, sha256_of
from tracking.official_checkpoints import CHECKPOINTS, pulled_path

SHIPPED = "scopeline"
Method = Literal["decoder", "lora", "adapter", "full", "first-mask"]
# How what answers boxes and points for a tracker is trained, and its folder in the tracker's.
FIRST_MASK: Method = "first-mask"
# Of a folder that holds what a fine-tuning has changed.
ADAPTED_KIND = "adapted tracker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptation:
    """How a network is fine-tuned.

    Attributes:
        method: `decoder` trains the mask decoder and the memory parts; `lora` low-rank changes of
            the layers of image encoder, memory attention and decoder (Hu et al., arXiv
            2106.09685); `adapter` bottlenecks after their blocks (Houlsby et al., arXiv
            1902.00751); `full` every weight; `first-mask` what answers a box or points, to do
            that alone, see `find_first_mask`.
        rank: rank of a low-rank change, or channels of a bottleneck; 0 where nothing is added.
    """

    method: Method
    rank: int


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
    return Base(name=name if is_known(name) else str(path.resolve()), sha256=sha256_of(weights))


def is_known(name: str) -> bool:
    """Return whether a tracker's name is one, and no path."""
    return name == SHIPPED or name in CHECKPOINTS


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
    found = described_first_mask(name)
    return None if found is None else found[0]


def described_first_mask(name: str) -> tuple[Path, Base, Adaptation] | None:
    """Return the folder of a tracker's first-mask network, and how it was fine-tuned from what.

    Raises:
        ModelError: as of `find_first_mask`.
    """
    tracker = find_tracker(name)
    is_unfinished = _is_unfinished(tracker / FIRST_MASK)
    for path in (tracker,) if is_unfinished else (tracker, tracker / FIRST_MASK):
        described = read_adapted(path)
        if described is not None and described[1].method == FIRST_MASK:
            base, adaptation = described
            # What lies in a tracker's folder was made from it, wherever that has been moved to.
            return path, base if path == tracker else replace(base, name=name), adaptation
    if (tracker / FIRST_MASK).exists() and not is_unfinished:
        raise ModelError(
            f"{tracker / FIRST_MASK} does not say what it was made from in a model.json; copy the "
            "folder again, or remove it, and the tracker answers boxes and points by itself"
        )
    return None


def _is_unfinished(folder: Path) -> bool:
    """Return whether a model's folder holds but a training that has not come to its end."""
    return (folder / TRAINING).exists() and not (folder / WEIGHTS).exists()


def read_adapted(path: Path) -> tuple[Base, Adaptation] | None:
    """Return how a model folder was fine-tuned, or None for any other tracker.

    Raises:
        ModelError: it says that it was made from itself.
    """
    try:
        description = json.loads((path / DESCRIPTION).read_text())
        if description["kind"] != ADAPTED_KIND:
            return None
        base, adaptation = Base(**description["base"]), Adaptation(**description["adaptation"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not is_known(base.name):
        base = replace(base, name=str((path / base.name).resolve()))
    if base.name == str(path.resolve()):
        raise ModelError(f"{path} says that it was made from itself; copy the folder again")
    return base, adaptation
