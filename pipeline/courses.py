"""How one true object and the track that is matched with it go through a video."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

_ENTERED_WITHIN_FRAMES = 2
# How long an object must have been hidden, and how soon its track must have it again.
_HIDDEN_FRAMES = (10, 30)
_FOUND_WITHIN_FRAMES, _FOUND_IOU = 5, 0.5


@dataclass(slots=True)
class Overlaps:
    """How well a track covers an object, in the frames where they touch.

    Attributes:
        places: the frames, by their place in order.
        iou: of the masks in each.
        boundary: DAVIS' F in each.
    """

    places: "array[int]" = field(default_factory=lambda: array("q"))
    iou: "array[float]" = field(default_factory=lambda: array("d"))
    boundary: "array[float]" = field(default_factory=lambda: array("d"))

    def add(self, place: int, iou: float, boundary: float) -> None:
        """Take a frame."""
        self.places.append(place)
        self.iou.append(iou)
        self.boundary.append(boundary)


@dataclass(frozen=True, slots=True)
class Course:
    """How one object goes through a video, frame by frame.

    Attributes:
        shows: bool[T], whether the object shows.
        shows_clearly: bool[T], whether it covers at least 0.1 % of the picture.
        followed: bool[T], whether its matched track shows.
        iou: float64[T], of the two where both show, else 0.
        boundary: float64[T], DAVIS' F where both show, else 0.
    """

    shows: NDArray[np.bool_]
    shows_clearly: NDArray[np.bool_]
    followed: NDArray[np.bool_]
    iou: NDArray[np.float64]
    boundary: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        length: int,
        shows: Sequence[int],
        clearly: Sequence[int],
        followed: Sequence[int],
        overlaps: Overlaps,
    ) -> "Course":
        """Lay out a course of so many frames.

        Args:
            length: number of frames, T.
            shows: places of the frames in which the object shows.
            clearly: of those in which it covers at least 0.1 % of the picture.
            followed: of those in which its track shows.
            overlaps: of both.
        """
        iou, boundary = np.zeros(length), np.zeros(length)
        iou[overlaps.places] = overlaps.iou
        boundary[overlaps.places] = overlaps.boundary
        return cls(
            shows=_at(shows, length),
            shows_clearly=_at(clearly, length),
            followed=_at(followed, length),
            iou=iou,
            boundary=boundary,
        )

    def over_its_frames(self, values: NDArray[np.float64]) -> float:
        """Return the mean of values float64[T] over the frames where either shows."""
        return float(values[self.shows | self.followed].mean())

    def frames_right(self) -> int:
        """Return in how many frames the track shows exactly if the object does."""
        return int(np.count_nonzero(self.shows == self.followed))

    def entered_on_time(self) -> list[float]:
        """Say for an object that comes in after the first frame whether its track did so too."""
        if self.shows[0] or not self.shows_clearly.any():
            return []
        if not self.followed.any():
            return [0.0]
        begins = int(self.followed.argmax())
        earliest = int(self.shows.argmax()) - _ENTERED_WITHIN_FRAMES
        latest = int(self.shows_clearly.argmax()) + _ENTERED_WITHIN_FRAMES
        return [float(earliest <= begins <= latest)]

    def found_again(self) -> list[float]:
        """Say for each return after 10 to 30 hidden frames whether the track had it again.

        An object that slides back into the picture is a speck at first, which no mask can match.
        """
        edges = np.flatnonzero(np.diff(self.shows, prepend=False, append=False))
        found = []
        for (_, gone), (back, _) in pairwise(zip(edges[::2], edges[1::2], strict=True)):
            clear = back + np.flatnonzero(self.shows_clearly[back:])
            if len(clear) and _HIDDEN_FRAMES[0] <= back - gone <= _HIDDEN_FRAMES[1]:
                best = self.iou[back : clear[0] + _FOUND_WITHIN_FRAMES].max()
                found.append(float(best > _FOUND_IOU))
        return found


def _at(places: Sequence[int], length: int) -> NDArray[np.bool_]:
    """Return bool[length], true at some places."""
    result = np.zeros(length, np.bool_)
    result[np.array(places, np.int64)] = True
    return result
