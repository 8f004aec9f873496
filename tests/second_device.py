"""A device beside the processor that is on every machine, for what is otherwise run on GPUs alone.

It calls itself `meta`, since torch knows that name everywhere. What is on it is computed by the
processor, so that results are the same to the last bit; but operands that are not on one device are
refused as a GPU refuses them, and what makes a processor wait for a GPU is noted.
"""

from collections import Counter
from contextlib import contextmanager, nullcontext
from unittest.mock import patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("meta")
# They give numbers, or as many rows as the numbers say.
_WAITING = {"item", "_local_scalar_dense", "is_nonzero", "equal", "nonzero", "masked_select"}
_INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_"}
_COPYING = {"_to_copy", "copy_"}


class OnSecondDevice(torch.Tensor):
    """A tensor that says that it is on the second device.

    Attributes:
        held: the processor's tensor that it stands for.
    """

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held):
        tensor = torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=DEVICE,
        )
        tensor.held = held
        return tensor

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        raise AssertionError(f"{operation} outside of the second device's context")


@contextmanager
def second_device():
    """Let there be a second device; gives it."""
    device = SecondDevice()
    swaps = torch.__future__.get_swap_module_params_on_conversion()
    with (
        # torch makes these two where no dispatch sees it.
        patch.object(torch, "tensor", _moved_after(torch.tensor)),
        patch.object(torch, "as_tensor", _moved_after(torch.as_tensor)),
        # There is no lower precision on it.
        patch.object(torch, "autocast", lambda *_, **__: nullcontext()),
        device,
    ):
        torch.__future__.set_swap_module_params_on_conversion(True)
        try:
            yield device
        finally:
            torch.__future__.set_swap_module_params_on_conversion(swaps)


class SecondDevice(TorchDispatchMode):
    """Computes what is on the second device, see `second_device`.

    Attributes:
        waits: what a GPU would have been waited for, and how often.
    """

    def __init__(self):
        super().__init__()
        self.waits = Counter()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        name = operation._schema.name.removeprefix("aten::")
        if name == "to":
            with self:
                return operation.decompose(*args, **kwargs)
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        there = [tensor for tensor in tensors if isinstance(tensor, OnSecondDevice)]
        here = [tensor for tensor in tensors if not isinstance(tensor, OnSecondDevice)]
        asked = kwargs.pop("device", None)
        goes_there = bool(there) if asked is None else torch.device(asked) == DEVICE
        if name not in _COPYING | _INDEXING:
            far = [tensor for tensor in here if tensor.dim()]
            assert not (there and far), f"{name} of tensors on two devices"
        if there and self._waits_for(name, args, goes_there=goes_there):
            self.waits[name] += 1
        if asked is not None:
            kwargs["device"] = "cpu"
        return self._computed(operation, args, kwargs, tensors, goes_there=goes_there)

    @staticmethod
    def _waits_for(name, args, *, goes_there):
        if name == "_to_copy":
            return not goes_there
        if name == "copy_":
            return not isinstance(args[0], OnSecondDevice)
        by_truth = name in _INDEXING and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        return by_truth or name in _WAITING

    @staticmethod
    def _computed(operation, args, kwargs, tensors, *, goes_there):
        # Nothing is an inference tensor, which torch lets no subclass be a view of.
        with torch.inference_mode(False), torch.no_grad():
            found = operation(*tree_map(_held, args), **tree_map(_held, kwargs))
            given = {id(_held(tensor)): tensor for tensor in tensors}

            def as_given(value):
                if not isinstance(value, torch.Tensor) or id(value) in given:
                    return given.get(id(value), value)
                return OnSecondDevice(value) if goes_there else value

            return tree_map(as_given, found)


def _held(value):
    return value.held if isinstance(value, OnSecondDevice) else value


def _moved_after(make):
    def made(values, *args, device=None, **kwargs):
        tensor = make(values, *args, **kwargs)
        return tensor if device is None else tensor.to(device)

    return made
