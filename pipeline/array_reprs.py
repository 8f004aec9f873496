"""How records of arrays describe themselves: by shapes, as nobody reads a million numbers."""

from collections.abc import Sized
from dataclasses import fields
from typing import Any

import numpy as np

_LONGEST_SHOWN = 8


def describe_record(record: Any) -> str:
    """Return a dataclass' `repr`, with dtype and shape in the place of each array.

    Of arrays of up to 8 numbers the numbers are shown; of longer tuples and lists their length.
    """
    parts = (f"{field.name}={_described(getattr(record, field.name))}" for field in fields(record))
    return f"{type(record).__name__}({', '.join(parts)})"


def _described(value: object) -> str:
    if isinstance(value, np.ndarray):
        if value.ndim == 1 and value.size <= _LONGEST_SHOWN:
            return repr(value.tolist())
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, tuple | list | dict) and len(value) > _LONGEST_SHOWN:
        return f"<{_kind(value)} of {len(value)}>"
    return repr(value)


def _kind(value: Sized) -> str:
    return type(value).__name__
