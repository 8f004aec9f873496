"""Checkpoint files of other makers, tensors and nothing else, checked one by one; model folders.

They live on the ground floor because the overseer and the tracker, which do not know each other,
are both loaded from such files and written into such folders.
"""

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from pipeline.errors import ModelError, OutputError
from pipeline.networks.model_folder import CURVES, DESCRIPTION, REPORT, WEIGHTS
from pipeline.output import remove_left_drafts, replaced_file

# Where training scripts put the state within the file, and what wrappers put before its names.
_PLACES = ("model", "state_dict", "model_state_dict", "model_state", "net", "weights", "ema")
_WRAPPERS = ("module.", "_orig_mod.", "model.", "net.", "network.", "sam2_model.", "sam2.", "sam.")


def write_model(
    folder: Path, weights: Mapping[str, Tensor], description: Mapping[str, Any], card: str
) -> None:
    """Write a model into a folder: weights in half precision, description and card.

    The weights of another model that was there go first, with what was drawn and measured of it,
    and those of the new one come last: who reads meanwhile, or after a stop in between, finds no
    weights rather than parts of two models.

    Args:
        folder: is made if need be; files in it are replaced.
        weights: tensors by name.
        description: the content of `model.json`.
        card: the model card, Markdown.

    Raises:
        OutputError: the folder cannot be written; a model that was in it is left as it was.
    """
    halved = {
        name: value.half().contiguous() if value.is_floating_point() else value
        for name, value in weights.items()
    }
    # The first is renamed last.
    contents = {
        WEIGHTS: save(halved),
        "README.md": card.encode(),
        DESCRIPTION: (json.dumps(description, indent=2) + "\n").encode(),
    }
    is_there = all(_holds(folder / name, contents[name]) for name in (DESCRIPTION, WEIGHTS))
    for name in (*contents, CURVES, REPORT):
        remove_left_drafts(folder / name)
    # What was there stays until all of the new is on the disk.
    with ExitStack() as drafts:
        for name, content in contents.items():
            drafts.enter_context(replaced_file(folder / name)).write_bytes(content)
        for name in () if is_there else (WEIGHTS, CURVES, REPORT):
            (folder / name).unlink(missing_ok=True)


def _holds(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def save_tensors(state: object, path: Path) -> None:
    """Write what `torch.save` takes, in place of what is there.

    Raises:
        OutputError: the file cannot be written.
    """
    try:
        with replaced_file(path) as draft, draft.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
    except RuntimeError as error:
        # torch says so of a full disk.
        reason = str(error).splitlines()[0]
        raise OutputError(f"{path} cannot be written ({reason}); free space") from error


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read the weights in a checkpoint; nothing in it is ever unpickled but tensors.

    The state may be the file's content itself or lie under a usual key (`model`, `state_dict` ...),
    and its names may have the prefix of a wrapper (`module.` ...) in common, which is removed.

    Args:
        path: a file of `torch.save`, or with the suffix `.safetensors`.

    Returns:
        Tensors by name, floating-point ones as float32.

    Raises:
        ModelError: it cannot be read, or holds no weights.
    """
    try:
        content: Any = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} cannot be read ({error}); fetch it again") from error
    # torch raises whatever its unpickler meets: a damaged zip, a foreign class, a wrong type.
    except Exception as error:
        raise ModelError(
            f"{path} is not a checkpoint that can be read safely; give a file that holds a "
            "state_dict and nothing but tensors"
        ) from error
    state = _find_state(content)
    if state is None:
        raise ModelError(
            f"{path} holds no weights; give a state_dict, by itself or under "
            f"{', '.join(_PLACES[:-1])} or {_PLACES[-1]}"
        )
    return {
        name: value.float() if value.is_floating_point() else value
        for name, value in _without_wrappers(state).items()
    }


def check_fits(
    path: Path, state: Mapping[str, Tensor], network: torch.nn.Module, title: str
) -> None:
    """Compare a checkpoint with a network, tensor by tensor.

    Args:
        path: where it came from, for messages.
        state: from `read_checkpoint`.
        network: what it is meant for.
        title: what the network is, for messages.

    Raises:
        ModelError: a tensor is missing, too many or of another shape; the first is named.
    """
    found = misfits(state, network)
    if found:
        more = f"; {len(found) - 1} more do not fit" if len(found) > 1 else ""
        raise ModelError(f"{path} is not {title}: {found[0]}{more}")


def misfits(state: Mapping[str, Tensor], network: torch.nn.Module) -> list[str]:
    """Return a phrase for each tensor in which a checkpoint and a network differ."""
    own = network.state_dict()
    phrases = [
        f"tensor {name} has shape {tuple(state[name].shape)}, the network needs "
        f"{tuple(value.shape)}"
        for name, value in own.items()
        if name in state and state[name].shape != value.shape
    ]
    phrases += [
        f"tensor {name}, shape {tuple(value.shape)}, is missing"
        for name, value in own.items()
        if name not in state
    ]
    phrases += [
        f"tensor {name}, shape {tuple(value.shape)}, is not in the network"
        for name, value in state.items()
        if name not in own
    ]
    return phrases


def _find_state(content: Any) -> dict[str, Tensor] | None:
    if not isinstance(content, Mapping):
        return None
    if content and all(isinstance(value, Tensor) for value in content.values()):
        return {str(name): value for name, value in content.items()}
    for place in _PLACES:
        state = _find_state(content.get(place))
        if state is not None:
            return state
    return None


def _without_wrappers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    for wrapper in _WRAPPERS:
        if all(name.startswith(wrapper) for name in state):
            return _without_wrappers(
                {name.removeprefix(wrapper): value for name, value in state.items()}
            )
    return state
