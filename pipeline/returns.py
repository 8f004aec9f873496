"""Tracks that have left and may come back: which of them a new object is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from pipeline.constellation_settings import ConstellationSettings

# How much of a track's appearance is of the last look at it.
_NEWEST_SHARE = 0.3
# The mean features under a mask, at unit length; of a tracker that has none, nothing.
Appearance = tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """What an object is known by when it comes back.

    Attributes:
        place: centre of its mask, x and y as shares of the picture's diagonal.
        appearance: how it looks.
    """

    place: tuple[float, float] = (0.5, 0.5)
    appearance: Appearance = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftTrack:
    """A track that left the picture.

    Attributes:
        track_id: its id.
        class_id: its class.
        frame_index: when it was last seen.
        traces: where it was then, and how it had looked.
    """

    track_id: int
    class_id: int
    frame_index: int
    traces: Traces


_LEFT = TypeAdapter(list[LeftTrack])


class LeftTracks:
    """Remembers the tracks that left, so that they come back under their old ids.

    Args:
        settings: how long they may stay away, and how near and how much alike they come back.
    """

    def __init__(self, settings: ConstellationSettings) -> None:
        self._settings = settings
        self._left: dict[int, LeftTrack] = {}

    def leave(self, track: LeftTrack) -> None:
        """Remember a track that left."""
        self._left[track.track_id] = track

    def forget(self, track_id: int) -> None:
        """Forget that a track left, since it is there again."""
        self._left.pop(track_id, None)

    def state(self) -> list[dict[str, Any]]:
        """Return what JSON can hold of them."""
        values: list[dict[str, Any]] = _LEFT.dump_python(list(self._left.values()), mode="json")
        return values

    def restore(self, values: Sequence[dict[str, Any]]) -> None:
        """Go on from a state."""
        self._left = {track.track_id: track for track in _LEFT.validate_python(values)}

    def appearances(self) -> list[Appearance]:
        """Return how the tracks that left have looked."""
        return [track.traces.appearance for track in self._left.values()]

    def claim(self, class_id: int, back: Traces, frame_index: int) -> LeftTrack | None:
        """Return the track that a new object most likely is, and forget that it left.

        Args:
            class_id: class of the new object.
            back: where it shows, and how it looks.
            frame_index: when it shows.

        Returns:
            Of the tracks of its class that left not too long ago nor too far away, and do not look
            like something else, the one that is nearest in place and appearance.
        """
        self._left = {
            track_id: track
            for track_id, track in self._left.items()
            if frame_index - track.frame_index <= self._settings.return_frames
        }
        likely = [
            (distance - likeness, track.track_id)
            for track in self._left.values()
            if track.class_id == class_id
            and (distance := _distance(back, track.traces)) <= self._settings.return_distance
            and (likeness := likeness_of(back.appearance, track.traces.appearance))
            >= self._settings.return_likeness
        ]
        return self._left.pop(min(likely)[1]) if likely else None


def likeness_of(first: Appearance, second: Appearance) -> float:
    """Return the cosine between two appearances; 1 where one of them is not known."""
    if not first or not second:
        return 1.0
    return float(np.dot(first, second))


def blended(before: Appearance, now: Appearance) -> Appearance:
    """Return how a track has looked, at unit length, from before and the look at it now."""
    if not before or not now:
        return now or before
    mean = (1 - _NEWEST_SHARE) * np.array(before) + _NEWEST_SHARE * np.array(now)
    length = float(np.linalg.norm(mean))
    return tuple((mean / length).tolist()) if length else now


def _distance(first: Traces, second: Traces) -> float:
    return float(np.hypot(*np.subtract(first.place, second.place)))


def place_of(mask: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the centre of a mask that is not empty, x and y as shares of the diagonal."""
    in_columns = np.count_nonzero(mask, axis=0)
    in_rows = np.count_nonzero(mask, axis=1)
    area, diagonal = float(in_rows.sum()), float(np.hypot(*mask.shape))
    x = float(in_columns @ np.arange(mask.shape[1])) / area
    y = float(in_rows @ np.arange(mask.shape[0])) / area
    return x / diagonal, y / diagonal
