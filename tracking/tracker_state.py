"""What a tracker remembers, as arrays by name, and back.

The features of past frames are not among them: they are computed again from the frames, so that
a state stays small whatever the network.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.loop_state import KEPT_FRAMES
from tracking.frame_features import TrackOutput
from tracking.memory import FrameMemory, MemoryBank

Arrays = dict[str, NDArray[Any]]


def bank_arrays(bank: MemoryBank) -> Arrays:
    """Return the memories of all tracks, `track-ID-PART` each."""
    arrays: Arrays = {}
    for track_id in bank.track_ids:
        memory = bank[track_id]
        arrays |= _memories(f"track-{track_id}-prompted", memory.prompted)
        arrays |= _memories(f"track-{track_id}-recent", list(memory.recent))
        frames = [frame for frame, _ in memory.pointers]
        arrays[f"track-{track_id}-pointer-frames"] = np.array(frames, np.int64)
        arrays[f"track-{track_id}-pointers"] = _stack([pointer for _, pointer in memory.pointers])
    return arrays


def restored_bank(arrays: Mapping[str, NDArray[Any]], device: torch.device) -> MemoryBank:
    """Return the memories that `bank_arrays` gave the arrays of."""
    bank = MemoryBank()
    names = [
        name for name in arrays if name.startswith("track-") and name.endswith("-pointer-frames")
    ]
    for track_id in sorted(int(name.split("-")[1]) for name in names):
        memory = bank[track_id]
        memory.prompted.extend(_restored(arrays, f"track-{track_id}-prompted", device))
        memory.recent.extend(_restored(arrays, f"track-{track_id}-recent", device))
        frames = arrays[f"track-{track_id}-pointer-frames"].tolist()
        pointers = _tensor(arrays[f"track-{track_id}-pointers"], device)
        memory.pointers.extend(zip(frames, pointers, strict=True))
    return bank


def output_arrays(frames: Sequence[tuple[int, Mapping[int, TrackOutput]]]) -> Arrays:
    """Return what the network said of each track in some frames, oldest first."""
    rows = [
        (frame, track_id, output)
        for frame, outputs in frames
        for track_id, output in outputs.items()
    ]
    return {
        KEPT_FRAMES: np.array([frame for frame, _ in frames], np.int64),
        "output-frames": np.array([frame for frame, _, _ in rows], np.int64),
        "output-tracks": np.array([track_id for _, track_id, _ in rows], np.int64),
        "output-logits": (
            np.stack([output.logits for _, _, output in rows]) if rows else np.zeros(0, np.float32)
        ),
        "output-quality": np.array([output.quality for _, _, output in rows], np.float64),
        "output-presence": np.array([output.presence for _, _, output in rows], np.float64),
    }


def restored_outputs(arrays: Mapping[str, NDArray[Any]]) -> dict[int, dict[int, TrackOutput]]:
    """Return, by frame, the outputs that `output_arrays` gave the arrays of."""
    outputs: dict[int, dict[int, TrackOutput]] = {
        frame: {} for frame in arrays[KEPT_FRAMES].tolist()
    }
    rows = zip(
        arrays["output-frames"].tolist(),
        arrays["output-tracks"].tolist(),
        np.array(arrays["output-logits"]),
        arrays["output-quality"].tolist(),
        arrays["output-presence"].tolist(),
        strict=True,
    )
    for frame, track_id, logits, quality, presence in rows:
        outputs[frame][track_id] = TrackOutput(logits=logits, quality=quality, presence=presence)
    return outputs


def _memories(name: str, memories: Sequence[FrameMemory]) -> Arrays:
    # NumPy has no bfloat16: its bits go as integers.
    features = [memory.features.view(torch.int16) for memory in memories]
    return {
        f"{name}-frames": np.array([memory.frame_index for memory in memories], np.int64),
        f"{name}-features": _stack(features),
        f"{name}-pointers": _stack([memory.pointer for memory in memories]),
    }


def _restored(
    arrays: Mapping[str, NDArray[Any]], name: str, device: torch.device
) -> Iterator[FrameMemory]:
    features = _tensor(arrays[f"{name}-features"], device)
    pointers = _tensor(arrays[f"{name}-pointers"], device)
    for row, frame in enumerate(arrays[f"{name}-frames"].tolist()):
        yield FrameMemory(
            frame_index=frame,
            features=features[row].view(torch.bfloat16),
            pointer=pointers[row],
        )


def _stack(tensors: Sequence[Tensor]) -> NDArray[Any]:
    if not tensors:
        return np.zeros(0, np.float32)
    return np.asarray(torch.stack(list(tensors)).cpu().numpy())


def _tensor(values: NDArray[Any], device: torch.device) -> Tensor:
    return torch.from_numpy(np.array(values)).to(device)
