"""Tracks that have left and may come back: which of them a new object is."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from pipeline.pairs import cheapest_pairs
from pipeline.policies.constellation.settings import ConstellationSettings

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
        votes: sums of the scores of its detections, by class.
    """

    track_id: int
    class_id: int
    frame_index: int
    traces: Traces
    votes: Mapping[int, float] = field(default_factory=dict)


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

    def take_back(self, track_id: int) -> LeftTrack | None:
        """Forget that a track left, since it is there again; returns it, if it had left."""
        return self._left.pop(track_id, None)

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

    def likeliest(
        self, new: Sequence[tuple[int, Traces]], frame_index: int, unseen: Sequence[LeftTrack] = ()
    ) -> dict[int, int]:
        """Return which tracks new objects most likely are.

        Args:
            new: the class of each new object, and where it shows and how it looks.
            frame_index: when they show.
            unseen: tracks that are still followed, but that nobody sees.

        Returns:
            By the number of the object the track that it was: one of its class that left not too
            long ago nor too far away, and does not look like something else. As many objects as
            can be are tracks that were, each another one, the nearest in place and appearance.
        """
        self._left = {
            track_id: track
            for track_id, track in self._left.items()
            if frame_index - track.frame_index <= self._settings.return_frames
        }
        tracks = [*self._left.values(), *unseen]
        costs = [[self._cost(*back, track) for track in tracks] for back in new]
        return {number: tracks[row].track_id for number, row in cheapest_pairs(costs).items()}

    def _cost(self, class_id: int, back: Traces, track: LeftTrack) -> float:
        """Return how little a new object is like a track that left; infinite if it is not that."""
        distance = _distance(back, track.traces)
        likeness = likeness_of(back.appearance, track.traces.appearance)
        may_be = (
            track.class_id == class_id
            and distance <= self._settings.return_distance
            and likeness >= self._settings.return_likeness
        )
        return distance - likeness if may_be else math.inf


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
