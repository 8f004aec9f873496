"""Tracks that have left and may come back: which of them a new object is."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftTrack:
    """A track that left the picture.

    Attributes:
        track_id: its id.
        class_id: its class.
        frame_index: when it was last seen.
        place: centre of its last mask, x and y as shares of the picture's diagonal.
    """

    track_id: int
    class_id: int
    frame_index: int
    place: tuple[float, float]


class LeftTracks:
    """Remembers the tracks that left, so that they come back under their old ids.

    Args:
        frames: a track may come back this many frames after it left.
        distance: and this far from where it left, as a share of the picture's diagonal.
    """

    def __init__(self, frames: int, distance: float) -> None:
        self._frames = frames
        self._distance = distance
        self._left: dict[int, LeftTrack] = {}

    def leave(self, track: LeftTrack) -> None:
        """Remember a track that left."""
        self._left[track.track_id] = track

    def state(self) -> list[dict[str, Any]]:
        """Return what JSON can hold of them."""
        return [asdict(track) for track in self._left.values()]

    def restore(self, values: Sequence[dict[str, Any]]) -> None:
        """Go on from a state."""
        tracks = [LeftTrack(**{**track, "place": tuple(track["place"])}) for track in values]
        self._left = {track.track_id: track for track in tracks}

    def claim(self, class_id: int, mask: NDArray[np.bool_], frame_index: int) -> LeftTrack | None:
        """Return the track that a new object most likely is, and forget that it left.

        Args:
            class_id: class of the new object.
            mask: bool[H, W].
            frame_index: where it shows.

        Returns:
            Of the tracks of its class that left not too long ago nor too far away the nearest.
        """
        self._left = {
            track_id: track
            for track_id, track in self._left.items()
            if frame_index - track.frame_index <= self._frames
        }
        place = place_of(mask)
        near = [
            (distance, track.track_id)
            for track in self._left.values()
            if track.class_id == class_id
            and (distance := float(np.hypot(*np.subtract(place, track.place)))) <= self._distance
        ]
        return self._left.pop(min(near)[1]) if near else None


def place_of(mask: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the centre of a mask that is not empty, x and y as shares of the diagonal."""
    in_columns = np.count_nonzero(mask, axis=0)
    in_rows = np.count_nonzero(mask, axis=1)
    area, diagonal = float(in_rows.sum()), float(np.hypot(*mask.shape))
    x = float(in_columns @ np.arange(mask.shape[1])) / area
    y = float(in_rows @ np.arange(mask.shape[0])) / area
    return x / diagonal, y / diagonal
