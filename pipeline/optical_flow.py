"""Dense optical flow between neighbouring frames, and values moved along it."""

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

_SHORTEST_SIDE_PX = 16

Flow = NDArray[np.float32]
Effort = Literal["medium", "fast"]
_PRESETS: dict[Effort, int] = {
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
}


def shrunk_size(size: tuple[int, int], longer_side: int) -> tuple[int, int]:
    """Return height and width of a picture whose longer side has at most so many pixels."""
    scale = min(1.0, longer_side / max(size))
    height, width = (max(round(length * scale), _SHORTEST_SIDE_PX) for length in size)
    return height, width


def small_grey(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a frame uint8[H, W, 3], RGB, as flow is estimated on it: grey, uint8[h, w].

    Args:
        image: the frame.
        size: h and w, as `shrunk_size` gives them.
    """
    height, width = size
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


class FlowEstimator:
    """Estimates dense flow by DIS (Kroeger et al., ECCV 2016).

    Args:
        effort: `fast` takes a third of the time of `medium`, and is coarser.
    """

    def __init__(self, effort: Effort = "medium") -> None:
        self._estimator = cv2.DISOpticalFlow.create(_PRESETS[effort])

    def between(self, frame: NDArray[np.uint8], other: NDArray[np.uint8]) -> Flow:
        """Return the way (x, y) from each pixel of a frame to where it is in another.

        Args:
            frame: uint8[H, W], grey.
            other: uint8[H, W], grey; an earlier or a later frame.

        Returns:
            float32[H, W, 2], in pixels.
        """
        start = np.zeros((*frame.shape, 2), np.float32)
        pair = np.ascontiguousarray(frame), np.ascontiguousarray(other)
        return np.asarray(self._estimator.calc(*pair, start), np.float32)


def scale_flow(flow: Flow, size: tuple[int, int]) -> Flow:
    """Enlarge a flow field to another size (H, W), its vectors with it.

    Args:
        flow: float32[h, w, 2], x and y in pixels of its own size.
        size: (H, W) of the result.

    Returns:
        float32[H, W, 2], in pixels of the new size.
    """
    height, width = flow.shape[:2]
    enlarged = cv2.resize(flow, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(enlarged * (size[1] / width, size[0] / height), np.float32)


class Fetcher:
    """Fetches for each pixel of a frame the value where it is in another.

    Args:
        way: float32[H, W, 2], from `FlowEstimator.between(frame, other)`.
    """

    def __init__(self, way: Flow) -> None:
        rows, columns = np.indices(way.shape[:2], np.float32)
        self._x, self._y = columns + way[..., 0], rows + way[..., 1]

    def fetch(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return values float32[H, W] of the other frame; beyond its border lies its border's."""
        moved = cv2.remap(
            values, self._x, self._y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(moved, np.float32)


def warp(mask: NDArray[np.bool_], way: Flow) -> NDArray[np.bool_]:
    """Return a mask bool[H, W] of another frame as it lies in this one; see `Fetcher`."""
    return Fetcher(way).fetch(mask.astype(np.float32)) >= 0.5
