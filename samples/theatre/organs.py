"""The tissue of the scene: a base canvas with organs on it, and organs that move by themselves."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from samples.theatre.textures import Noise, TissueLook, smooth_noise, tissue_texture

ABDOMINAL_WALL, LIVER, GASTROINTESTINAL_TRACT, FAT = 1, 2, 3, 4
CONNECTIVE_TISSUE, BLOOD, CYSTIC_DUCT = 6, 7, 8
GALLBLADDER, HEPATIC_VEIN, LIVER_LIGAMENT = 10, 11, 12

LOOKS: dict[int, TissueLook] = {
    ABDOMINAL_WALL: TissueLook(
        color=(0.66, 0.36, 0.32), grain=0.08, streaks=0.08, vessels=6, wetness=0.3
    ),
    LIVER: TissueLook(
        color=(0.45, 0.17, 0.13), grain=0.10, grain_scale=0.008, color_spread=0.05, wetness=0.8
    ),
    GASTROINTESTINAL_TRACT: TissueLook(
        color=(0.80, 0.48, 0.45), grain=0.08, streaks=0.12, vessels=5, wetness=0.6
    ),
    FAT: TissueLook(
        color=(0.82, 0.66, 0.30), grain=0.10, grain_scale=0.03, lobules=0.35, wetness=0.5
    ),
    CONNECTIVE_TISSUE: TissueLook(
        color=(0.72, 0.55, 0.48), grain=0.12, streaks=0.20, vessels=2, wetness=0.5
    ),
    BLOOD: TissueLook(color=(0.42, 0.03, 0.04), color_spread=0.03, grain=0.10, wetness=1.0),
    CYSTIC_DUCT: TissueLook(color=(0.74, 0.68, 0.46), grain=0.08, wetness=0.5),
    GALLBLADDER: TissueLook(
        color=(0.62, 0.62, 0.42), color_spread=0.07, grain=0.06, vessels=8, wetness=0.9
    ),
    HEPATIC_VEIN: TissueLook(color=(0.30, 0.22, 0.38), grain=0.06, wetness=0.7),
    LIVER_LIGAMENT: TissueLook(
        color=(0.80, 0.68, 0.60), grain=0.08, streaks=0.15, vessels=3, wetness=0.4
    ),
}

# Chance that a class is drawn, in drawing order (back to front).
_ON_BASE = (
    (FAT, 0.85),
    (GASTROINTESTINAL_TRACT, 0.55),
    (CONNECTIVE_TISSUE, 0.55),
    (LIVER_LIGAMENT, 0.45),
    (HEPATIC_VEIN, 0.35),
)
_FLOATING = ((LIVER, 0.9), (GALLBLADDER, 0.85), (CYSTIC_DUCT, 0.45), (BLOOD, 0.4))


@dataclass(frozen=True, slots=True, kw_only=True)
class TissueLayer:
    """One sheet of tissue that moves as a whole.

    Attributes:
        color: uint8[H, W, 3], RGB canvas.
        alpha: uint8[H, W], 255 where the layer is opaque.
        class_map: uint8[H, W], whose each pixel is: a class, or a track where it has its own.
        wetness: uint8[H, W], strength of specular highlights.
        sway: strength of its own motion as a fraction of the canvas height.
        travel: how far it moves about as a whole, as a fraction of the canvas height.
    """

    color: NDArray[np.uint8]
    alpha: NDArray[np.uint8]
    class_map: NDArray[np.uint8]
    wetness: NDArray[np.uint8]
    sway: float
    travel: float = 0.0


def blob(
    random: np.random.Generator, size: tuple[int, int], center: NDArray[np.float64], radius: float
) -> NDArray[np.float32]:
    """Draw a rounded irregular shape; float32[H, W] coverage 0..1."""
    angles = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    outline = np.ones_like(angles)
    for order in range(1, 6):
        phase = random.uniform(0, 2 * np.pi)
        outline += random.normal(0, 0.22 / order) * np.cos(order * angles + phase)
    stretch, turn = random.uniform(0.55, 1.0), random.uniform(0, np.pi)
    x, y = np.cos(angles) * outline, np.sin(angles) * outline * stretch
    points = np.stack([x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)], 1)
    return _fill(size, center + radius * points)


def _fill(size: tuple[int, int], points: NDArray[np.float64]) -> NDArray[np.float32]:
    width, height = size
    mask = np.zeros((height, width), np.float32)
    cv2.fillPoly(mask, [np.round(points * 16).astype(np.int32)], 1.0, cv2.LINE_AA, 4)
    return mask


def _tube(
    random: np.random.Generator, size: tuple[int, int], center: NDArray[np.float64], width_px: float
) -> NDArray[np.float32]:
    """Draw a winding tube through a point; float32[H, W] coverage 0..1."""
    width, height = size
    heading = random.uniform(0, 2 * np.pi)
    mask = np.zeros((height, width), np.float32)
    length = random.uniform(0.3, 0.7) * height
    halves = []
    for direction in (heading, heading + np.pi):
        turns = direction + np.cumsum(random.normal(0, 0.16, 14))
        steps = np.stack([np.cos(turns), np.sin(turns)], 1) * length / 14
        halves.append(center + np.cumsum(steps, 0))
    path = np.concatenate([halves[0][::-1], center[None], halves[1]])
    points = np.round(path * 16).astype(np.int32).reshape(-1, 1, 2)
    cv2.polylines(mask, [points], False, 1.0, max(int(width_px), 2), cv2.LINE_AA, 4)
    return mask


def _shape(
    random: np.random.Generator, class_id: int, size: tuple[int, int]
) -> NDArray[np.float32]:
    width, height = size
    center = random.uniform((0.22 * width, 0.22 * height), (0.78 * width, 0.78 * height))
    if class_id == GASTROINTESTINAL_TRACT:
        return _tube(random, size, center, random.uniform(0.12, 0.25) * height)
    if class_id in (HEPATIC_VEIN, CYSTIC_DUCT):
        return _tube(random, size, center, random.uniform(0.03, 0.06) * height)
    if class_id == LIVER_LIGAMENT:
        return _tube(random, size, center, random.uniform(0.06, 0.12) * height)
    if class_id == BLOOD:
        return blob(random, size, center, random.uniform(0.06, 0.14) * height)
    if class_id == LIVER:
        # A lobe reaches in from one side and fills a good part of the view.
        edge = random.uniform(0, 2 * np.pi)
        middle = np.array([width, height]) * (0.5 + 0.3 * np.array([np.cos(edge), np.sin(edge)]))
        return blob(random, size, middle, random.uniform(0.28, 0.48) * height)
    return blob(random, size, center, random.uniform(0.14, 0.28) * height)


def _roundness(
    mask: NDArray[np.float32], light: NDArray[np.float64], depth: float
) -> NDArray[np.float32]:
    """Shade a flat shape as if it bulged towards the camera; float32[H, W] about 1."""
    blur = cv2.GaussianBlur(mask, (0, 0), depth)
    slope_x = cv2.Sobel(blur, cv2.CV_32F, 1, 0) * depth
    slope_y = cv2.Sobel(blur, cv2.CV_32F, 0, 1) * depth
    shade = 1 - 0.35 * (light[0] * slope_x + light[1] * slope_y) - 0.35 * (1 - blur)
    return np.asarray(np.clip(shade, 0.35, 1.4), np.float32)


def _paint(
    random: np.random.Generator,
    class_id: int,
    mask: NDArray[np.float32],
    light: NDArray[np.float64],
    noise: Noise,
) -> NDArray[np.float32]:
    height, width = mask.shape
    texture = tissue_texture(random, height, width, LOOKS[class_id], noise)
    return texture * _roundness(mask, light, random.uniform(0.02, 0.05) * height)[..., None]


def base_layer(
    random: np.random.Generator, size: tuple[int, int], light: NDArray[np.float64], noise: Noise
) -> TissueLayer:
    """Draw the sheet behind everything: abdominal wall with fat, bowel and more on it.

    Args:
        random: source of randomness.
        size: (width, height) of the canvas in pixels.
        light: direction of the light in the image plane, unit vector (x, y).
        noise: draws the fine structure of the textures.
    """
    width, height = size
    class_map = np.full((height, width), ABDOMINAL_WALL, np.uint8)
    color = tissue_texture(random, height, width, LOOKS[ABDOMINAL_WALL], noise)
    for class_id, chance in _ON_BASE:
        if random.random() > chance:
            continue
        mask = _shape(random, class_id, size)
        if class_id == FAT:
            mask = np.maximum(mask, _shape(random, class_id, size))
        shadow = cv2.GaussianBlur(mask, (0, 0), 0.012 * height)
        color *= (1 - 0.35 * shadow)[..., None]
        painted = _paint(random, class_id, mask, light, noise)
        color += mask[..., None] * (painted - color)
        class_map[mask > 0.5] = class_id
    return _layer(random, color, np.ones_like(color[..., 0]), class_map, 0.012)


def floating_layers(
    random: np.random.Generator, size: tuple[int, int], light: NDArray[np.float64], noise: Noise
) -> list[TissueLayer]:
    """Draw the organs that move against the sheet behind them, back to front."""
    layers = []
    for class_id, chance in _FLOATING:
        if random.random() > chance:
            continue
        mask = _shape(random, class_id, size)
        color = _paint(random, class_id, mask, light, noise)
        class_map = np.full(mask.shape, class_id, np.uint8)
        layers.append(_layer(random, color, mask, class_map, float(random.uniform(0.015, 0.045))))
    return layers


def _layer(
    random: np.random.Generator,
    color: NDArray[np.float32],
    alpha: NDArray[np.float32],
    class_map: NDArray[np.uint8],
    sway: float,
) -> TissueLayer:
    height, width = alpha.shape
    per_class = np.zeros(256, np.float32)
    for class_id, look in LOOKS.items():
        per_class[class_id] = look.wetness
    patches = 0.6 + 0.4 * smooth_noise(random, height, width, 0.2 * height, octaves=2)
    wetness = np.clip(per_class[class_map] * patches, 0, 1)
    return TissueLayer(
        color=(np.clip(color, 0, 1) * 255).astype(np.uint8),
        alpha=(np.clip(alpha, 0, 1) * 255).astype(np.uint8),
        class_map=class_map,
        wetness=(wetness * 255).astype(np.uint8),
        sway=sway,
    )
