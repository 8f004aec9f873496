"""Where an annotation stands between two batches: all that the next one depends on."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from pipeline.content_hash import hash_files
from pipeline.errors import InputError

_VALUES, _ARRAYS = ".json", ".safetensors"
# Under which a tracker's arrays name the frames whose pictures it keeps.
KEPT_FRAMES = "frames"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopState:
    """Where an annotation stands between two batches.

    Attributes:
        next_frame: index of the first frame that has not been taken; a batch begins there.
        values: what JSON can hold, by name.
        arrays: what the tracker remembers, by name.
    """

    next_frame: int
    values: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)


def first_needed(state: LoopState, past_frames: int) -> int:
    """Return the first frame that a loop must see again to go on from a state.

    A tracker keeps no undecodable frames, so those that it keeps may lie far back.

    Args:
        state: where the annotation stands.
        past_frames: how many frames before it the loop must see again.
    """
    kept = state.arrays.get(KEPT_FRAMES, np.zeros(0, np.int64))
    return max(min([state.next_frame - past_frames, *map(int, kept)]), 0)


def save_state(state: LoopState, folder: Path, part_count: int) -> None:
    """Write a state that belongs to so many committed parts; the arrays first.

    Args:
        state: where the annotation stands.
        folder: `resume/` of the set.
        part_count: parts that are committed together with it.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(exist_ok=True)
    path = folder / f"state-{part_count:06d}"
    _write(path.with_suffix(_ARRAYS), lambda draft: _save_arrays(state.arrays, draft))
    contents = {
        "next_frame": state.next_frame,
        "values": state.values,
        "arrays_sha256": hash_files([path.with_suffix(_ARRAYS)]),
    }
    _write(path.with_suffix(_VALUES), lambda draft: draft.write_text(json.dumps(contents)))


def _save_arrays(arrays: dict[str, NDArray[Any]], path: Path) -> None:
    try:
        save_file(arrays, path)
    except SafetensorError as error:
        # It says so of a full disk as well.
        raise OSError(str(error)) from error


def _write(path: Path, write: Callable[[Path], object]) -> None:
    draft = path.with_name(f".{path.name}.tmp")
    write(draft)
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.replace(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedState:
    """A state on disk.

    Attributes:
        part_count: the parts that it goes on from.
        state: where the annotation stood.
    """

    part_count: int
    state: LoopState


def latest_state(folder: Path, part_count: int) -> SavedState | None:
    """Return the latest readable state of at most so many parts, None if there is none."""
    for path in sorted(folder.glob(f"state-*{_VALUES}"), reverse=True):
        number = path.stem.removeprefix("state-")
        if number.isdecimal() and int(number) <= part_count:
            saved = _load(path, int(number))
            if saved is not None:
                return saved
    return None


def is_saved(folder: Path, part_count: int) -> bool:
    """Return whether the state that goes on from so many parts is there, damaged or not."""
    return (folder / f"state-{part_count:06d}{_VALUES}").is_file()


def _load(path: Path, part_count: int) -> SavedState | None:
    try:
        contents = json.loads(path.read_text())
        if contents["arrays_sha256"] != hash_files([path.with_suffix(_ARRAYS)]):
            return None
        state = LoopState(
            next_frame=contents["next_frame"],
            values=contents["values"],
            arrays=load_file(path.with_suffix(_ARRAYS)),
        )
        return SavedState(part_count=part_count, state=state)
    except (InputError, OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError):
        # Damaged: an earlier state, or the beginning, serves as well and only costs time.
        return None


def remove_states(folder: Path, *, but: int | None = None) -> None:
    """Remove the states of a folder, all but that of so many parts."""
    if not folder.exists():
        return
    kept = None if but is None else f"state-{but:06d}"
    for path in folder.iterdir():
        if path.stem != kept:
            path.unlink(missing_ok=True)
    if kept is None:
        folder.rmdir()
