"""Cloths that pass in front of everything and hide it for a while; they have no class."""

import cv2
import numpy as np
from numpy.typing import NDArray

from samples.theatre.textures import smooth_noise


class Swab:
    """A white or stained cloth that is drawn across the picture once or more.

    Args:
        random: source of randomness.
        size: (width, height) of the frame in pixels.
        duration_s: length of the scene in seconds.
    """

    def __init__(
        self, random: np.random.Generator, size: tuple[int, int], duration_s: float
    ) -> None:
        width, height = size
        angle = random.uniform(0, 2 * np.pi)
        self._way = np.array([np.cos(angle), np.sin(angle)])
        self._half_size = random.uniform(0.12, 0.32, 2) * height
        self._turn = float(random.uniform(0, np.pi))
        self._middle = np.array([width, height]) * random.uniform(0.3, 0.7, 2)
        passes = max(int(duration_s / 8), 1)
        self._middles_s = random.uniform(0, duration_s, passes)
        self._passing_s = float(random.uniform(0.8, 2.5))
        self._travel_px = 0.5 * np.hypot(width, height) + float(self._half_size.max())
        weave = smooth_noise(random, height, width, 0.02 * height, octaves=2)
        color = np.array([0.86, 0.84, 0.80]) * (1 - 0.4 * random.random() * np.array([0.1, 1, 1]))
        texture = color.astype(np.float32) * (1 + 0.08 * weave[..., None])
        self._texture = np.asarray(np.clip(texture, 0, 1), np.float32)

    def cover(
        self, image: NDArray[np.float32], track_map: NDArray[np.uint8], time_s: float
    ) -> None:
        """Draw the cloth over image float32[H, W, 3] and truth uint8[H, W], in place."""
        for middle_s in self._middles_s:
            progress = 2 * (time_s - middle_s) / self._passing_s
            if abs(progress) < 1:
                # Slow in the middle: there it hides things for longest.
                self._draw(image, track_map, progress**3)

    def _draw(self, image: NDArray[np.float32], track_map: NDArray[np.uint8], place: float) -> None:
        center = self._middle + self._way * place * self._travel_px
        cosine, sine = np.cos(self._turn + 0.3 * place), np.sin(self._turn + 0.3 * place)
        corners = np.array([[-1, -1], [1, -1], [1.1, 0.9], [-0.9, 1]]) * self._half_size
        outline = center + corners @ np.array([[cosine, sine], [-sine, cosine]])
        mask = np.zeros(track_map.shape, np.float32)
        cv2.fillConvexPoly(mask, np.round(outline * 16).astype(np.int32), 1.0, cv2.LINE_AA, 4)
        image += mask[..., None] * (self._texture - image)
        track_map[mask > 0.5] = 0
