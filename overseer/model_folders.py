"""Overseers by name or path: their folders, and what was noted there; no weights are loaded."""

import json
from importlib.resources import files
from pathlib import Path

from overseer.config import OverseerConfig
from overseer.published import PUBLISHED
from pipeline.errors import InputError, ModelError, UsageError
from pipeline.labels import LabelSet
from pipeline.networks.model_folder import DESCRIPTION

SHIPPED = "scopeline"


def find_overseer(name: str) -> Path:
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


def published_checkpoint(name: str, weights: Path | None) -> Path | None:
    """Return the checkpoint that a published overseer is loaded from; None for any other.

    Args:
        name: of the overseer, or its folder.
        weights: the checkpoint that was given for it, if one was.

    Raises:
        UsageError: a published overseer has no weights, or another one has.
    """
    if name in PUBLISHED and weights is None:
        raise UsageError(
            f"{name} is not shipped; download its checkpoint and give it with --weights FILE"
        )
    if name not in PUBLISHED and weights is not None:
        raise UsageError(
            f"--weights does not go with the overseer {name}, which has its own; it goes with "
            f"{', '.join(PUBLISHED)}"
        )
    return weights


def overseer_labels(name: str) -> LabelSet:
    """Return the classes of an overseer by name or model folder.

    Raises:
        ModelError: it is unknown.
    """
    if name in PUBLISHED:
        return PUBLISHED[name].label_set
    return read_description(find_overseer(name))[1]


def read_description(folder: Path) -> tuple[OverseerConfig, LabelSet]:
    """Return what an overseer in a folder is built from, and its classes.

    Raises:
        ModelError: the folder holds no overseer.
    """
    path = folder / DESCRIPTION
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError):
        raise ModelError(
            f"{folder} is not an overseer: it has no readable model.json; give a folder that "
            "`scopeline train overseer` wrote"
        ) from None
    if not isinstance(document, dict) or document.get("kind") != "overseer":
        raise ModelError(
            f"{path} does not describe an overseer; give a folder that "
            "`scopeline train overseer` wrote"
        )
    try:
        config = OverseerConfig(**document["network"])
        return config, LabelSet.from_json(document["labels"], str(path))
    except (KeyError, TypeError, ValueError, InputError) as error:
        raise ModelError(
            f"{path} does not describe an overseer ({error}); "
            "train one with `scopeline train overseer`"
        ) from error
