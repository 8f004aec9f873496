"""Outlines that hold still where the picture does: masks averaged with their neighbours in time.

A network decides about each frame anew, so that outlines tremble even where nothing moves. Here
the signed distance to a track's outline is averaged with those of the frames before and after,
each moved along the optical flow: a two-sided exponential filter, whose memory fades by the same
share with each frame. Where a neighbour says something else entirely, the object or the camera was
faster than the flow could follow, and the frame itself is believed, as redescending M-estimators do
(Huber and Ronchetti, Robust Statistics).

But where both neighbours say the same of an object, and the frame itself something else, it is the
frame that errs: the median of the three is what the neighbours say.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.masks import iou_matrix
from pipeline.optical_flow import Fetcher, Flow

# Far from an outline, how far does not matter; a jump of an outline then counts for less.
FARTHEST_PX = 12
# A neighbour that says so much else counts in full; one that says twice as much, not at all.
_BELIEVED_PX = 5
# Where a moved mask agrees less with the frame's own, the flow or the tracker has lost the object.
_LEAST_IOU = 0.5
# Both neighbours of a frame have to agree with each other by this much more than with the frame.
_FLASH_IOU = 0.15

Distances = Mapping[int, NDArray[np.float32]]


def moved_along(distances: Distances, way: Flow, seen: Distances) -> dict[int, NDArray[np.float32]]:
    """Move a neighbouring frame's distances into a frame, of tracks that are in both.

    Args:
        distances: of the neighbour, float32[h, w] by track id.
        way: float32[h, w, 2], from each pixel of the frame to where it is in the neighbour.
        seen: of the frame itself.

    Returns:
        float32[h, w] by track id.
    """
    fetcher = Fetcher(way)
    return {
        track_id: fetcher.fetch(distances[track_id]) for track_id in distances.keys() & seen.keys()
    }


def without_flashes(seen: Distances, earlier: Distances, later: Distances) -> Distances:
    """Return a frame's distances, and in place of a flash what both neighbours say.

    A flash is a mask that is elsewhere for a single frame, as where the overseer erred and the
    tracker did not follow it.

    Args:
        seen: of the frame itself, float32[h, w] by track id.
        earlier: of the frame before, moved into this one; it may lack tracks.
        later: likewise of the frame after it.
    """
    result = dict(seen)
    for track_id in earlier.keys() & later.keys():
        before, own, after = earlier[track_id], seen[track_id], later[track_id]
        with_neighbours = max(_overlap(own, before), _overlap(own, after))
        if with_neighbours < 1 - _FLASH_IOU:
            between = _overlap(before, after)
            if between >= max(_LEAST_IOU, with_neighbours + _FLASH_IOU):
                result[track_id] = (before + after) * np.float32(0.5)
    return result


def on_their_objects(moved: Distances, seen: Distances) -> Distances:
    """Return what was moved of the tracks that the flow has kept on their object.

    Args:
        moved: of a neighbour, moved into a frame, float32[h, w] by track id.
        seen: of the frame itself.
    """
    return {
        track_id: distance
        for track_id, distance in moved.items()
        if _overlap(distance, seen[track_id]) >= _LEAST_IOU
    }


def _overlap(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    return float(iou_matrix(first[None] > 0, second[None] > 0)[0, 0])


def mixed(
    seen: Distances, neighbours: Sequence[Distances], weight: float
) -> dict[int, NDArray[np.float32]]:
    """Average a frame's distances with what its neighbours say of them.

    Args:
        seen: of the frame itself, float32[h, w] by track id.
        neighbours: moved into the frame; each may lack tracks.
        weight: share of each neighbour, 0 .. 1; one that lacks a track leaves its share to the
            frame itself, as do the places where it says something else entirely.

    Returns:
        float32[h, w] by track id, the average times a constant that is the same for all tracks.
    """
    result = {}
    for track_id, own in seen.items():
        others = [moved[track_id] for moved in neighbours if track_id in moved]
        total = 1 - weight + weight * len(neighbours)
        result[track_id] = total * own + weight * sum(_believed(other - own) for other in others)
    return result


def _believed(difference: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how much of what a neighbour says else is believed, in pixels."""
    trust = np.abs(difference)
    # In place, which is three times as fast.
    trust *= -1 / _BELIEVED_PX
    trust += 2
    np.clip(trust, 0, 1, out=trust)
    trust *= difference
    return trust
