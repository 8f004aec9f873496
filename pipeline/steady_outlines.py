"""Outlines that hold still where the picture does: masks averaged with their neighbours in time.

A network decides about each frame anew, so that outlines tremble even where nothing moves. Here
the signed distance to a track's outline is averaged with those of the frames before and after,
each moved along the optical flow: a two-sided exponential filter, whose memory fades by the same
share with each frame. Where a neighbour says something else entirely, the object or the camera was
faster than the flow could follow, and the frame itself is believed, as redescending M-estimators do
(Huber and Ronchetti, Robust Statistics).
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

Distances = Mapping[int, NDArray[np.float32]]


def moved_along(distances: Distances, way: Flow, seen: Distances) -> dict[int, NDArray[np.float32]]:
    """Move a neighbouring frame's distances into a frame, of tracks that are in both.

    Args:
        distances: of the neighbour, float32[h, w] by track id.
        way: float32[h, w, 2], from each pixel of the frame to where it is in the neighbour.
        seen: of the frame itself.

    Returns:
        float32[h, w] by track id; without tracks that the flow has not kept on their object.
    """
    moved = {}
    fetcher = Fetcher(way)
    for track_id in distances.keys() & seen.keys():
        candidate = fetcher.fetch(distances[track_id])
        if iou_matrix(candidate[None] > 0, seen[track_id][None] > 0)[0, 0] >= _LEAST_IOU:
            moved[track_id] = candidate
    return moved


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
