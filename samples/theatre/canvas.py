"""A frame while it is drawn, sheet over sheet."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from samples.theatre.organs import TissueLayer


@dataclass(slots=True)
class Canvas:
    """A frame while it is drawn: what is in front hides what is behind.

    Attributes:
        image: float32[H, W, 3], RGB 0..1.
        track_map: uint8[H, W], the track seen at each pixel.
        wetness: float32[H, W], strength of highlights 0..1.
        inside: bool[H, W], where the picture is and not the black surround.
        areas: int64[256], pixels of each track, also where it is hidden.
    """

    image: NDArray[np.float32]
    track_map: NDArray[np.uint8]
    wetness: NDArray[np.float32]
    inside: NDArray[np.bool_]
    areas: NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))

    def cover(self, tracks: NDArray[np.uint8], mask: NDArray[np.bool_]) -> None:
        """Put tracks uint8[H, W] in front where mask bool[H, W] is, and count their pixels."""
        self.track_map[mask] = tracks[mask]
        self.areas += np.bincount(tracks[mask & self.inside], minlength=256)

    def visible_shares(self, tracks: Iterable[int]) -> dict[int, float]:
        """Return of each track in the picture the share of its pixels that nothing hides."""
        visible = np.bincount(self.track_map.ravel(), minlength=256)
        return {
            track_id: float(min(visible[track_id] / self.areas[track_id], 1.0))
            for track_id in sorted(tracks)
            if self.areas[track_id]
        }

    def lay(
        self, layer: TissueLayer, maps: tuple[NDArray[np.float32], NDArray[np.float32]]
    ) -> None:
        """Lay a sheet of tissue over what is there.

        Args:
            layer: the sheet.
            maps: float32[H, W] each, where on the sheet each pixel looks: x and y.
        """
        map_x, map_y = maps

        def warp(sheet: NDArray[np.uint8], interpolation: int, border: int) -> NDArray[np.uint8]:
            warped = cv2.remap(sheet, map_x, map_y, interpolation, borderMode=border)
            return np.asarray(warped, np.uint8)

        color = warp(layer.color, cv2.INTER_LINEAR, cv2.BORDER_REFLECT_101)
        wet = warp(layer.wetness, cv2.INTER_LINEAR, cv2.BORDER_REFLECT_101)
        classes = warp(layer.class_map, cv2.INTER_NEAREST, cv2.BORDER_REFLECT_101)
        if layer.alpha.min() == 255:
            np.multiply(color, np.float32(1 / 255), out=self.image)
            np.multiply(wet, np.float32(1 / 255), out=self.wetness)
            self.cover(classes, np.ones(classes.shape, np.bool_))
            return
        alpha = warp(layer.alpha, cv2.INTER_LINEAR, cv2.BORDER_CONSTANT)
        shadow = cv2.GaussianBlur(alpha, (0, 0), 0.015 * alpha.shape[0])
        blend = alpha.astype(np.float32)[..., None] / 255
        self.image *= 1 - (0.4 / 255) * shadow.astype(np.float32)[..., None] * (1 - blend)
        self.image += blend * (color.astype(np.float32) / 255 - self.image)
        self.wetness += blend[..., 0] * (wet.astype(np.float32) / 255 - self.wetness)
        self.cover(classes, alpha > 127)
