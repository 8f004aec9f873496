"""Where networks compute, and how exactly."""

from contextlib import AbstractContextManager
from typing import Literal

import torch
from torch import Tensor

Precision = Literal["float32", "bfloat16"]


def computing(device: torch.device, precision: Precision) -> AbstractContextManager[None]:
    """Let convolutions and products within compute in a precision; weights stay as they are.

    What comes out may be of that precision too.

    Args:
        device: where the network is.
        precision: bfloat16 is faster on GPUs, and on processors that have it in hardware (AMX,
            AVX512-BF16).
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """Move a tensor to a device: to a GPU from pinned memory, while the processor goes on."""
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
