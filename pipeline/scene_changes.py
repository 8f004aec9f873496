"""Signs in the picture itself: cuts, and frames without light or sharpness."""

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
_SMALL_WIDTH = 240
# A frame with so little of the fine detail that frames before it had shows nothing that could be
# outlined: smeared over 5 % of its height it has at most 0.1, out of focus by 0.8 % of its width
# 0.04. Frames of the theatre with all its effects keep 0.24, those of a real laparoscopy 0.16.
_BLURRED_DETAIL = 0.12
_KNOWN_DETAIL_FRAMES = 10
_RECENT_DETAIL_FRAMES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSigns:
    """What a frame's picture says without any model.

    Attributes:
        cut: another picture begins.
        black: there is no light.
        blurred: it is smeared or out of focus, beside the frames before it.
    """

    cut: bool = False
    black: bool = False
    blurred: bool = False

    @property
    def unusable(self) -> bool:
        """Whether nothing can be outlined in the frame."""
        return self.black or self.blurred


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
        self._details: deque[float] = deque(maxlen=_RECENT_DETAIL_FRAMES)

    def look(self, image: NDArray[np.uint8]) -> FrameSigns:
        """Return the signs of the next frame uint8[H, W, 3], RGB."""
        reduced = _reduced(image)
        small = cv2.resize(reduced, _THUMBNAIL, interpolation=cv2.INTER_AREA) / np.float32(255)
        brightness = float(small.mean())
        black = brightness < _BLACK_BRIGHTNESS
        even = np.asarray(small / max(brightness, _BLACK_BRIGHTNESS), np.float32)
        cut = self._is_cut(even, black)
        self._last, self._was_black = even, black
        if cut:
            self._details.clear()
        blurred = not black and self._is_blurred(reduced)
        return FrameSigns(cut=cut, black=black, blurred=blurred)

    def state(self) -> dict[str, Any]:
        """Return what JSON can hold of it."""
        return {
            "last": None if self._last is None else self._last.tolist(),
            "was_black": self._was_black,
            "changes": list(self._changes),
            "details": list(self._details),
        }

    def restore(self, values: dict[str, Any]) -> None:
        """Go on from a state."""
        last = values["last"]
        self._last = None if last is None else np.array(last, np.float32)
        self._was_black = values["was_black"]
        self._changes = deque(values["changes"], maxlen=_RECENT_CHANGES)
        self._details = deque(values["details"], maxlen=_RECENT_DETAIL_FRAMES)

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

    def _is_blurred(self, image: NDArray[np.uint8]) -> bool:
        detail = _fine_detail(image)
        usual = float(np.median(self._details)) if self._details else detail
        known = len(self._details) >= _KNOWN_DETAIL_FRAMES
        # Blurred frames count as well: what stays smooth for long is a smooth scene.
        self._details.append(detail)
        return known and detail < _BLURRED_DETAIL * usual


def _reduced(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a frame uint8[H, W, 3] no wider than detail is judged at."""
    height, width = image.shape[:2]
    if width <= _SMALL_WIDTH:
        return image
    size = _SMALL_WIDTH, max(round(height * _SMALL_WIDTH / width), 1)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _fine_detail(image: NDArray[np.uint8]) -> float:
    """Return how much of a frame's contrast is in its finest detail, across or along.

    The less of both counts: what is smeared in one direction is sharp in the other. A frame of less
    than three rows or columns has none.
    """
    if min(image.shape[:2]) < 3:
        return 0.0
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    bends = (float(np.square(np.diff(grey, 2, axis=axis)).mean()) for axis in (0, 1))
    return min(bends) / max(float(grey.var()), 1.0)


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
