"""Parts of pictures that are looked at from near."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A part of a picture, in pixels; `right` and `bottom` are the first beyond it."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def rows_and_columns(self) -> tuple[slice, slice]:
        """Where the region is in an array [H, W]."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def cut_from(self, pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the region of pictures or maps uint8[T, H, W, ...]."""
        return pictures[:, *self.rows_and_columns]


def whole_picture(size: tuple[int, ...]) -> Region:
    """Return the region that is all of a picture of a height and width."""
    return Region(left=0, top=0, right=size[1], bottom=size[0])


def region_around(center: NDArray[Any], sides: NDArray[Any], size: tuple[int, ...]) -> Region:
    """Return the region around a place, as far as it is within the picture.

    Args:
        center: x and y in pixels.
        sides: width and height in pixels.
        size: height and width of the picture; all of it is the region if none of that is within.
    """
    left, top = np.maximum(center - sides / 2, 0).astype(int).tolist()
    right, bottom = np.minimum(center + sides / 2, size[::-1]).astype(int).tolist()
    if right <= left or bottom <= top:
        return whole_picture(size)
    return Region(left=left, top=top, right=right, bottom=bottom)
