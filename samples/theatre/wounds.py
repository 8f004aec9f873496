"""What surgery does to tissue: it is cut open, and bleeds."""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from samples.theatre.organs import TissueLayer
from samples.theatre.textures import TissueLook, smooth_noise, tissue_texture

_BLOOD_LOOK = TissueLook(color=(0.42, 0.03, 0.04), color_spread=0.03, grain=0.10, wetness=1.0)


class Incision:
    """A cut that opens in a sheet of tissue along a winding line.

    Args:
        random: source of randomness.
        canvas_size: (width, height) in pixels.
        duration_s: length of the scene in seconds.
    """

    def __init__(
        self, random: np.random.Generator, canvas_size: tuple[int, int], duration_s: float
    ) -> None:
        width, height = canvas_size
        heading = random.uniform(0, 2 * np.pi)
        turns = heading + np.cumsum(random.normal(0, 0.12, 16))
        steps = np.stack([np.cos(turns), np.sin(turns)], 1) * random.uniform(0.012, 0.03) * height
        start = random.uniform((0.35 * width, 0.35 * height), (0.65 * width, 0.65 * height))
        self._path = np.round((start + np.cumsum(steps, 0)) * 16).astype(np.int32)
        self._start_s = float(random.uniform(-0.3, 0.7)) * duration_s
        self._opening_s = float(random.uniform(2, 6))
        self._width_px = float(random.uniform(0.010, 0.028)) * height
        self._depth_color = (np.array([0.30, 0.05, 0.05]) * random.uniform(0.7, 1.6)).tolist()

    def open(self, color: NDArray[np.uint8], time_s: float) -> NDArray[np.uint8]:
        """Return the sheet's colour uint8[H, W, 3] with the cut as it is at a time."""
        progress = float(np.clip((time_s - self._start_s) / self._opening_s, 0, 1))
        points = self._path[: int(np.ceil(progress * len(self._path)))].reshape(-1, 1, 2)
        if len(points) < 2:
            return color
        gape = max(round(self._width_px * (0.3 + 0.7 * progress)), 1)
        cut = color.copy()
        rim = [min(int(255 * value * 2.6 + 60), 255) for value in self._depth_color]
        depth = [int(255 * value) for value in self._depth_color]
        cv2.polylines(cut, [points], False, rim, gape + max(gape // 2, 2), cv2.LINE_AA, 4)
        cv2.polylines(cut, [points], False, depth, gape, cv2.LINE_AA, 4)
        return cut


class Bleeding:
    """A pool of blood that spreads over the tissue from one place.

    Args:
        random: source of randomness.
        canvas_size: (width, height) in pixels.
        duration_s: length of the scene in seconds.
        share: of the canvas that is covered in the end, 0..1.
        track_id: of the blood in the truth; 0 where it is not annotated.
    """

    def __init__(
        self,
        random: np.random.Generator,
        canvas_size: tuple[int, int],
        duration_s: float,
        share: float,
        track_id: int,
    ) -> None:
        width, height = canvas_size
        source = random.uniform((0.3 * width, 0.3 * height), (0.7 * width, 0.7 * height))
        columns, rows = np.meshgrid(np.arange(width), np.arange(height))
        distance = np.hypot(columns - source[0], rows - source[1]) / height
        edge = 0.35 * smooth_noise(random, height, width, 0.15 * height)
        self._field = np.asarray(distance * np.exp(edge), np.float32)
        self._last_level = float(np.quantile(self._field, share))
        self._start_s = float(random.uniform(-0.2, 0.5)) * duration_s
        self._spreading_s = float(random.uniform(3, 12))
        texture = tissue_texture(random, height, width, _BLOOD_LOOK)
        self._layer = TissueLayer(
            color=(255 * texture).astype(np.uint8),
            alpha=np.zeros((height, width), np.uint8),
            class_map=np.full((height, width), track_id, np.uint8),
            wetness=np.full((height, width), 255, np.uint8),
            sway=0.012,
        )

    def layer(self, time_s: float) -> TissueLayer | None:
        """Return the pool as it is at a time; None before it bleeds."""
        progress = float(np.clip((time_s - self._start_s) / self._spreading_s, 0, 1))
        if progress == 0:
            return None
        level = self._last_level * np.sqrt(progress)
        alpha = np.clip((level - self._field) / (0.04 * self._last_level) + 0.5, 0, 1)
        return replace(self._layer, alpha=(230 * alpha).astype(np.uint8))
