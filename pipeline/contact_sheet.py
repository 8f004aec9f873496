"""One picture of many labelled frames, to see at a glance whether labels fit."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.labelled_clip import LabelledClip
from pipeline.labels import LabelSet
from pipeline.overlay import OverlayPainter

_TILE_WIDTH = 320
_LONGEST_NAME = 40
_COLUMNS = 4
_ROWS = 6


def contact_sheet(
    clips: Sequence[LabelledClip], names: Sequence[str], label_set: LabelSet
) -> NDArray[np.uint8]:
    """Paint the first frames of evenly chosen clips side by side.

    Args:
        clips: labelled frames.
        names: what is written on each.
        label_set: what the class ids mean.

    Returns:
        uint8[H, W, 3], RGB.
    """
    count = min(len(clips), _COLUMNS * _ROWS)
    chosen = np.linspace(0, len(clips) - 1, count).astype(int).tolist()
    size = _tile_size([clips[number] for number in chosen])
    tiles = [_tile(clips[number], names[number], label_set, size) for number in chosen]
    blank = np.zeros_like(tiles[0])
    tiles += [blank] * (-len(tiles) % min(_COLUMNS, count))
    columns = min(_COLUMNS, count)
    rows = [np.hstack(tiles[start : start + columns]) for start in range(0, len(tiles), columns)]
    return np.asarray(np.vstack(rows), np.uint8)


def _tile_size(clips: Sequence[LabelledClip]) -> tuple[int, int]:
    """Return width and height of tiles that frames of usual proportions fill."""
    proportion = float(np.median([clip.images.shape[1] / clip.images.shape[2] for clip in clips]))
    return _TILE_WIDTH, max(round(_TILE_WIDTH * min(proportion, 1.0)), 1)


def _tile(
    clip: LabelledClip, name: str, label_set: LabelSet, tile_size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Paint a clip's first frame into a tile, its sides in proportion."""
    image = clip.images[0]
    scale = min(tile_size[0] / image.shape[1], tile_size[1] / image.shape[0])
    size = (max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    track_map = cv2.resize(clip.track_maps[0], size, interpolation=cv2.INTER_NEAREST)
    shrunk = LabelledClip(
        images=small[None],
        track_maps=np.asarray(track_map, np.uint8)[None],
        class_of_track=clip.class_of_track,
    )
    # The end of a name tells frames apart.
    painter = OverlayPainter(label_set, size[1], stamp=lambda _: name[-_LONGEST_NAME:])
    painted = painter.paint(small, shrunk.annotation(0))
    tile = np.zeros((*tile_size[::-1], 3), np.uint8)
    tile[: size[1], : size[0]] = painted
    return tile
