"""Signs in the picture itself that the scene has changed: cuts, and frames without light."""

from collections import deque
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_THUMBNAIL = (48, 27)
# Mean change of a thumbnail's pixels as shares of its mean brightness, after the camera's swing
# is taken out. On the theatre with all its effects cuts have 0.21 to 0.74; on real laparoscopic
# video, without cuts, the fastest swing has 0.20.
_CUT_CHANGE = 0.17
# And so many times what the frames before had: cuts have 7 and more, swings build up (under 5).
_CUT_RATIO = 5.0
_LARGEST_SWING = (12, 7)
_RECENT_CHANGES = 10
_LEAST_CHANGE = 0.02
_BLACK_BRIGHTNESS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSigns:
    """What a frame's picture says without any model.

    Attributes:
        cut: another picture begins.
        black: there is no light.
    """

    cut: bool = False
    black: bool = False


NO_SIGNS = FrameSigns()


class SceneWatch:
    """Looks at each frame of a video in order and tells where the scene changes.

    A thumbnail is compared with that of the frame before, both divided by their brightness,
    so that the automatic exposure does not look like a cut, and shifted, so that a camera that
    swings does not.
    """

    def __init__(self) -> None:
        self._last: NDArray[np.float32] | None = None
        self._was_black = False
        self._changes: deque[float] = deque(maxlen=_RECENT_CHANGES)

    def look(self, image: NDArray[np.uint8]) -> FrameSigns:
        """Return the signs of the next frame uint8[H, W, 3], RGB."""
        small = cv2.resize(image, _THUMBNAIL, interpolation=cv2.INTER_AREA) / np.float32(255)
        brightness = float(small.mean())
        black = brightness < _BLACK_BRIGHTNESS
        even = np.asarray(small / max(brightness, _BLACK_BRIGHTNESS), np.float32)
        cut = self._is_cut(even, black)
        self._last, self._was_black = even, black
        return FrameSigns(cut=cut, black=black)

    def state(self) -> dict[str, Any]:
        """Return what JSON can hold of it."""
        return {
            "last": None if self._last is None else self._last.tolist(),
            "was_black": self._was_black,
            "changes": list(self._changes),
        }

    def restore(self, values: dict[str, Any]) -> None:
        """Go on from a state."""
        last = values["last"]
        self._last = None if last is None else np.array(last, np.float32)
        self._was_black = values["was_black"]
        self._changes = deque(values["changes"], maxlen=_RECENT_CHANGES)

    def _is_cut(self, even: NDArray[np.float32], black: bool) -> bool:
        if self._last is None:
            return False
        if black or self._was_black:
            return black != self._was_black
        change = float(np.abs(even - self._last).mean())
        usual = float(np.median(self._changes)) if self._changes else _LEAST_CHANGE
        self._changes.append(change)
        if change < _CUT_CHANGE or change < _CUT_RATIO * max(usual, _LEAST_CHANGE):
            return False
        return _change_without_swing(self._last, even) > _CUT_CHANGE


def _change_without_swing(before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
    """Return the least change of two thumbnails over all shifts of one against the other."""
    reach_x, reach_y = _LARGEST_SWING
    height, width = after.shape[:2]
    changes = []
    for y in range(-reach_y, reach_y + 1):
        for x in range(-reach_x, reach_x + 1):
            here = after[max(y, 0) : height + min(y, 0), max(x, 0) : width + min(x, 0)]
            there = before[max(-y, 0) : height + min(-y, 0), max(-x, 0) : width + min(-x, 0)]
            changes.append(float(np.abs(here - there).mean()))
    return min(changes)
