"""What lies between scene and picture: smoke, a wet or fogged lens, motion, compression."""

import cv2
import numpy as np
from numpy.typing import NDArray

from samples.theatre.effects import Effects
from samples.theatre.motion import SmoothCurve
from samples.theatre.textures import smooth_noise

FloatImage = NDArray[np.float32]


class Smoke:
    """Clouds of a coagulator that rise in bursts and drift through the picture.

    Args:
        random: source of randomness.
        size: (width, height) of the frame in pixels.
        opacity: of the densest smoke, 0..1.
    """

    def __init__(self, random: np.random.Generator, size: tuple[int, int], opacity: float) -> None:
        width, height = size
        # Twice as large as the frame, so that it can drift; smoke has no fine structure.
        noise = smooth_noise(random, height // 2, width // 2, 0.18 * height, octaves=4)
        self._clouds = np.asarray(np.clip(0.5 + 0.35 * noise, 0, 1), np.float32)
        self._bursts = SmoothCurve(random, 9, 2)
        self._drift = [SmoothCurve(random, 16, 5) for _ in "xy"]
        self._grey = float(random.uniform(0.55, 0.85))
        self._opacity = opacity
        self._size = size

    def cover(self, image: FloatImage, time_s: float) -> FloatImage:
        """Return the image float32[H, W, 3], 0..1, behind the smoke of a time."""
        strength = self._opacity * float(np.clip(0.35 + self._bursts(time_s), 0, 1))
        if strength <= 0.01:
            return image
        width, height = self._size
        rows, columns = self._clouds.shape
        top, left = (
            int((0.5 + 0.25 * np.clip(curve(time_s), -1, 1)) * room / 2)
            for curve, room in zip(self._drift, (rows, columns), strict=True)
        )
        part = self._clouds[top : top + rows // 2, left : left + columns // 2]
        opacity = strength * cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(image + opacity[..., None] * (self._grey - image), np.float32)


class WetLens:
    """Water drops that bend and blur what is behind them, and fog over the whole lens.

    Args:
        random: source of randomness.
        size: (width, height) of the frame in pixels.
        effects: say how many drops there are, and how dense the fog is.
    """

    def __init__(
        self, random: np.random.Generator, size: tuple[int, int], effects: Effects
    ) -> None:
        width, height = size
        self._fog = effects.fog
        self._clearing = SmoothCurve(random, 14, 4)
        columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height))
        self._map_x, self._map_y = columns.copy(), rows.astype(np.float32)
        self._wet = np.zeros((height, width), np.float32)
        for _ in range(effects.drops):
            center = random.uniform((0, 0), (width, height))
            radius = random.uniform(0.03, 0.11) * height
            distance = np.hypot(columns - center[0], rows - center[1]) / radius
            inside = np.clip(1.15 - distance, 0, 1).astype(np.float32)
            # A drop is a small lens: it shows its surroundings shrunk.
            self._map_x += inside * 0.7 * (columns - np.float32(center[0]))
            self._map_y += inside * 0.7 * (rows - np.float32(center[1]))
            self._wet = np.maximum(self._wet, np.clip(3 * inside, 0, 1))

    def look_through(self, image: FloatImage, time_s: float) -> FloatImage:
        """Return the image float32[H, W, 3], 0..1, as seen through the lens."""
        height = image.shape[0]
        if self._wet.any():
            bent = cv2.remap(
                image, self._map_x, self._map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
            )
            soft = cv2.GaussianBlur(bent, (0, 0), 0.008 * height + 0.3)
            image = np.asarray(image + self._wet[..., None] * (soft - image), np.float32)
        fog = self._fog * float(np.clip(0.6 + self._clearing(time_s), 0, 1))
        if fog > 0.01:
            soft = cv2.GaussianBlur(image, (0, 0), 0.012 * height * fog + 0.3)
            image = np.asarray((1 - 0.55 * fog) * soft + 0.55 * fog * 0.6, np.float32)
        return image


def smear(image: FloatImage, motion_px: NDArray[np.float64]) -> FloatImage:
    """Blur an image along the way that it moves while the shutter is open.

    Args:
        image: float32[H, W, 3].
        motion_px: float64[2], (x, y) in pixels.
    """
    length = float(np.hypot(*motion_px))
    if length < 1.0:
        return image
    reach = int(np.ceil(length / 2))
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    half = motion_px / 2
    start = np.round((reach - half) * 16).astype(int)
    end = np.round((reach + half) * 16).astype(int)
    cv2.line(kernel, start.tolist(), end.tolist(), 1.0, 1, cv2.LINE_AA, 4)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.float32)


def compress(picture: NDArray[np.uint8], jpeg_quality: int) -> NDArray[np.uint8]:
    """Return a picture uint8[H, W, 3], RGB, with the traces of a lossy compression."""
    bgr = np.ascontiguousarray(picture[..., ::-1])
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality])
    decoded = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(decoded[..., ::-1])
