"""Parts of networks that OpenVINO computes, whose convolutions on a CPU are faster than torch's."""

import sys
import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.errors import UsageError
from pipeline.networks.backbones import EfficientNetLite0

FeatureMaps = dict[str, Tensor | list[Tensor]]


def use_openvino(module: nn.Module) -> None:
    """Let OpenVINO compute a module on the CPU from now on, in float32.

    Args:
        module: makes feature maps of pictures float32[N, 3, H, W]: one map or a list of maps for
            each name, and always the same names.

    Raises:
        UsageError: the package `openvino` is not installed, or the module is not on a CPU.
    """
    if any(not weight.is_cpu for weight in module.parameters()):
        raise UsageError("--runtime openvino computes on a CPU; add --device cpu")
    runtime = _import_openvino()
    for part in module.modules():
        if isinstance(part, EfficientNetLite0):
            part.forget_faster_copy()
    module.requires_grad_(requires_grad=False)
    module.forward = _OpenVinoForward(runtime, module)


class _OpenVinoForward:
    """A module's forward pass, compiled once for each size of the pictures."""

    def __init__(self, runtime: Any, module: nn.Module) -> None:
        self._runtime = runtime
        self._flat = _FlatModule(module)
        self._requests: dict[tuple[int, ...], Any] = {}

    def __call__(self, images: Tensor) -> FeatureMaps:
        size = tuple(images.shape[1:])
        if size not in self._requests:
            self._requests[size] = self._compile(images)
        found = self._requests[size].infer([images.contiguous().numpy()], share_inputs=True)
        return self._flat.named([_channels_last(array) for array in found.to_tuple()])

    def _compile(self, images: Tensor) -> Any:
        runtime = self._runtime
        with torch.inference_mode(), warnings.catch_warnings():
            # OpenVINO traces by what torch calls deprecated, and the tracer warns of sizes.
            warnings.simplefilter("ignore")
            model = runtime.convert_model(self._flat, example_input=images)
        # The number of pictures is left open, their size is not: padding depends on it.
        model.reshape([-1, *images.shape[1:]])
        compiled = runtime.Core().compile_model(
            model,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": "f32",
                "INFERENCE_NUM_THREADS": torch.get_num_threads(),
                "NUM_STREAMS": 1,
            },
        )
        return compiled.create_infer_request()


def _channels_last(maps: NDArray[np.float32]) -> Tensor:
    """Return maps [N, C, H, W] with the channels of a place beside each other, as torch has them.

    What reads them place by place, as attention does, would otherwise gather them for each track.
    """
    return torch.from_numpy(maps).contiguous(memory_format=torch.channels_last)


class _FlatModule(nn.Module):
    """A module whose feature maps come one after the other, as OpenVINO gives them back."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self._forward = module.forward
        self._counts: dict[str, int | None] = {}

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        named: FeatureMaps = self._forward(images)
        self._counts = {
            name: len(maps) if isinstance(maps, list) else None for name, maps in named.items()
        }
        flat: list[Tensor] = []
        for maps in named.values():
            flat.extend(maps if isinstance(maps, list) else [maps])
        return tuple(flat)

    def named(self, flat: list[Tensor]) -> FeatureMaps:
        """Give feature maps that came one after the other their names again."""
        rest = iter(flat)
        return {
            name: next(rest) if count is None else [next(rest) for _ in range(count)]
            for name, count in self._counts.items()
        }


def _import_openvino() -> Any:
    # It would report to its makers that it was imported, without asking; where the package that
    # does so cannot be imported, it does not.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ModuleNotFoundError as error:
        raise UsageError(
            "--runtime openvino needs the package openvino; install it with "
            "pip install 'scopeline[openvino]'"
        ) from error
    return openvino
