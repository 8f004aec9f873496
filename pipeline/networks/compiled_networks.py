"""Parts of networks that torch compiles for the device that they are on."""

import torch
from torch import nn

from pipeline.errors import UsageError


def use_compiled(module: nn.Module) -> None:
    """Let torch compile a module when it is first called, which takes a minute or two.

    A second number of pictures is compiled for once more, then for any number.

    Args:
        module: is on its device.

    Raises:
        UsageError: nothing can be compiled for that device.
    """
    device = next(module.parameters()).device
    try:
        torch.compile(_plus_one)(torch.zeros(1, device=device))
    except RuntimeError as error:
        raise UsageError(
            f"--runtime compiled: torch cannot compile for {device} ({_first_line(error)}); it "
            "needs a C++ compiler, on a GPU triton; install it or choose --runtime torch"
        ) from error
    module.compile()


def _plus_one(values: torch.Tensor) -> torch.Tensor:
    return values + 1


def _first_line(error: RuntimeError) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
