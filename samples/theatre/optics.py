"""Light, lens and sensor of an endoscope."""

import cv2
import numpy as np
from numpy.typing import NDArray

from samples.theatre.textures import smooth_noise


class Optics:
    """Light, lens and sensor: highlights, shadows, fall-off, surround, blur, colour and noise.

    Args:
        random: source of randomness.
        size: (width, height) of the frame in pixels.
        canvas: (width, height) of the canvas in pixels.
    """

    def __init__(
        self, random: np.random.Generator, size: tuple[int, int], canvas: tuple[int, int]
    ) -> None:
        width, height = size
        self._size = size
        ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
        center = np.array([width, height]) * (0.5 + random.uniform(-0.12, 0.12, 2))
        radius = np.hypot(xs - center[0], ys - center[1]) / height
        strength = random.uniform(0.5, 1.6)
        self._falloff = np.asarray(1 / (1 + strength * radius**2), np.float32)
        self._surround = self._draw_surround(random, xs, ys)
        gain = random.uniform(0.95, 1.35) * (1 + random.normal(0, 0.05, 3))
        self._gain = gain.astype(np.float32)
        self._gamma = float(random.uniform(0.8, 1.15))
        self._blur_px = float(random.uniform(0, 0.0028) * height)
        self._noise_level = float(random.uniform(1.0, 5.0))
        self._gloss_noise = self._draw_gloss_noise(random, canvas)
        self._highlight = float(random.uniform(0.3, 1.0))
        self._sparkle_speed = random.uniform(-12, 12, 2)
        self._shadow_shift = random.uniform(-0.06, 0.06, 2) * height

    @property
    def inside(self) -> NDArray[np.bool_]:
        """Where the picture is, and not the black surround: bool[H, W]."""
        return self._surround >= 0.5

    @staticmethod
    def _draw_gloss_noise(
        random: np.random.Generator, canvas: tuple[int, int]
    ) -> NDArray[np.float32]:
        width, height = canvas
        fine = smooth_noise(random, height, width, 0.035 * height, octaves=3)
        threshold = random.uniform(1.5, 2.1)
        return np.asarray(np.clip((fine - threshold) * 1.8, 0, 1), np.float32)

    @staticmethod
    def _draw_surround(
        random: np.random.Generator, xs: NDArray[np.float32], ys: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        height, width = xs.shape
        if random.random() < 0.45:
            return np.ones((height, width), np.float32)
        center = np.array([width, height]) * (0.5 + random.uniform(-0.03, 0.03, 2))
        radius = random.uniform(0.55, 0.80) * height
        distance = np.hypot(xs - center[0], ys - center[1])
        sharp = np.clip((radius - distance) / (0.006 * height) + 0.5, 0, 1)
        return np.asarray(sharp, np.float32)

    def add_highlights(
        self, image: NDArray[np.float32], wetness: NDArray[np.float32], time_s: float
    ) -> NDArray[np.float32]:
        """Add specular highlights, which slide over the tissue as the scene moves."""
        height, width = wetness.shape
        room = (self._gloss_noise.shape[0] - height, self._gloss_noise.shape[1] - width)
        shift = self._sparkle_speed * np.sin(0.7 * time_s) * height / 270
        top = int(np.clip(room[0] / 2 + shift[1], 0, room[0]))
        left = int(np.clip(room[1] / 2 + shift[0], 0, room[1]))
        gloss = self._gloss_noise[top : top + height, left : left + width]
        light = self._highlight * gloss * wetness * np.clip(1.6 * self._falloff - 0.2, 0, 1)
        return np.asarray(image + (1 - image) * light[..., None], np.float32)

    def cast_shadow(self, image: NDArray[np.float32], coverage: NDArray[np.float32]) -> None:
        """Darken the tissue beside an instrument, in place."""
        height, width = coverage.shape
        small = cv2.resize(coverage, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
        shift = np.array([[1, 0, self._shadow_shift[0] / 4], [0, 1, self._shadow_shift[1] / 4]])
        small = cv2.warpAffine(small, shift, (width // 4, height // 4))
        soft = cv2.GaussianBlur(small, (0, 0), 0.012 * height + 0.3)
        image *= (1 - 0.45 * cv2.resize(soft, (width, height)))[..., None]

    def expose(
        self,
        image: NDArray[np.float32],
        track_map: NDArray[np.uint8],
        exposure: float,
        noise_source: np.random.Generator,
    ) -> NDArray[np.uint8]:
        """Turn the lit scene into a sensor picture; clears the truth under the surround.

        Args:
            image: float32[H, W, 3], RGB 0..1.
            track_map: uint8[H, W], is changed.
            exposure: factor of the automatic exposure.
            noise_source: of the sensor's noise.
        """
        light = (self._falloff * self._surround)[..., None] * (self._gain * np.float32(exposure))
        lit = np.clip(image * light, 0, 1)
        if self._blur_px > 0.3:
            lit = np.asarray(cv2.GaussianBlur(lit, (0, 0), self._blur_px), np.float32)
        track_map[~self.inside] = 0
        levels: NDArray[np.float32] = 255 * np.asarray(cv2.pow(lit, self._gamma), np.float32)
        noise = np.empty((*track_map.shape, 3), np.float32)
        noise_source.standard_normal(out=noise, dtype=np.float32)
        return np.clip(levels + self._noise_level * noise, 0, 255).astype(np.uint8)
