"""The tissue of a cataract operation: skin and drapes, the eyeball, and what holds it open."""

import cv2
import numpy as np
from numpy.typing import NDArray

from samples.theatre.organs import TissueLayer, blob
from samples.theatre.textures import Noise, TissueLook, smooth_noise, tissue_texture

PUPIL, SURGICAL_TAPE, HAND, EYE_RETRACTORS, IRIS, SKIN, CORNEA = range(7)
# A track of 0 is no track, so stuff has the number of its class plus one.
FIRST_TRACK = 1

_LOOKS = {
    SKIN: TissueLook(color=(0.78, 0.58, 0.48), color_spread=0.08, grain=0.08, wetness=0.2),
    SURGICAL_TAPE: TissueLook(color=(0.45, 0.62, 0.72), color_spread=0.08, grain=0.05, wetness=0.7),
    HAND: TissueLook(color=(0.82, 0.80, 0.74), color_spread=0.06, grain=0.04, wetness=0.3),
    CORNEA: TissueLook(
        color=(0.80, 0.66, 0.62), color_spread=0.06, grain=0.06, vessels=14, wetness=0.9
    ),
    PUPIL: TissueLook(color=(0.20, 0.07, 0.05), color_spread=0.05, grain=0.10, wetness=0.8),
}
_IRIS_COLORS = ((0.33, 0.20, 0.12), (0.30, 0.38, 0.45), (0.35, 0.38, 0.22), (0.22, 0.14, 0.10))


def eye_layers(
    random: np.random.Generator, size: tuple[int, int], light: NDArray[np.float64], noise: Noise
) -> list[TissueLayer]:
    """Draw the sheets of an eye under operation, back to front; class maps hold track ids.

    Args:
        random: source of randomness.
        size: (width, height) of the canvas in pixels.
        light: direction of the light in the image plane, unit vector (x, y).
        noise: draws the fine structure of the textures.
    """
    center = np.array(size) * random.uniform(0.46, 0.54, 2)
    opening = random.uniform(0.23, 0.33) * size[1]
    layers = [
        _surroundings(random, size, noise),
        _eyeball(random, size, center, opening, light, noise),
    ]
    if random.random() < 0.75:
        layers.append(_retractors(random, size, center, opening))
    return layers


def _surroundings(random: np.random.Generator, size: tuple[int, int], noise: Noise) -> TissueLayer:
    width, height = size
    color = tissue_texture(random, height, width, _LOOKS[SKIN], noise)
    tracks = np.full((height, width), SKIN + FIRST_TRACK, np.uint8)
    covers = [SURGICAL_TAPE] * int(random.integers(1, 4)) + [HAND] * int(random.integers(0, 2))
    for class_id in covers:
        edge = random.uniform(0, 2 * np.pi)
        middle = np.array(size) * (0.5 + 0.45 * np.array([np.cos(edge), np.sin(edge)]))
        mask = blob(random, size, middle, random.uniform(0.15, 0.3) * height)
        texture = tissue_texture(random, height, width, _LOOKS[class_id], noise)
        color *= (1 - 0.3 * cv2.GaussianBlur(mask, (0, 0), 0.012 * height))[..., None]
        color += mask[..., None] * (texture - color)
        tracks[mask > 0.5] = class_id + FIRST_TRACK
    return _sheet(color, np.ones((height, width), np.float32), tracks, 0.35, 0.006)


def _eyeball(
    random: np.random.Generator,
    size: tuple[int, int],
    center: NDArray[np.float64],
    opening: float,
    light: NDArray[np.float64],
    noise: Noise,
) -> TissueLayer:
    width, height = size
    color = tissue_texture(random, height, width, _LOOKS[CORNEA], noise)
    tracks = np.full((height, width), CORNEA + FIRST_TRACK, np.uint8)
    columns, rows = np.meshgrid(
        np.arange(width, dtype=np.float32) - np.float32(center[0]),
        np.arange(height, dtype=np.float32) - np.float32(center[1]),
    )
    angle = np.arctan2(rows, columns)
    wobble = 1 + random.uniform(0, 0.04) * np.cos(2 * angle + random.uniform(0, 6))
    radius = np.hypot(columns, rows) * wobble
    iris_radius = opening * random.uniform(0.55, 0.75)
    pupil_radius = iris_radius * random.uniform(0.35, 0.8)
    iris = np.clip(iris_radius - radius + 0.5, 0, 1)
    pupil = np.clip(pupil_radius - radius + 0.5, 0, 1)
    fibres = 1 + 0.3 * np.sin(
        angle * int(random.integers(40, 90)) + 3 * smooth_noise(random, height, width, 0.1 * height)
    )
    iris_color = np.array(_IRIS_COLORS[int(random.integers(len(_IRIS_COLORS)))])
    iris_texture = (iris_color * random.uniform(0.8, 1.3)).astype(np.float32) * fibres[..., None]
    pupil_texture = tissue_texture(random, height, width, _LOOKS[PUPIL], noise)
    # The light that comes back from the retina, brightest on one side.
    glow = random.uniform(0, 0.5) * np.clip(
        0.6 - (light[0] * columns + light[1] * rows) / (2 * pupil_radius), 0, 1
    )
    pupil_texture = pupil_texture + glow[..., None] * np.array([0.7, 0.25, 0.1], np.float32)
    color += iris[..., None] * (iris_texture - color)
    color += pupil[..., None] * (pupil_texture - color)
    tracks[iris > 0.5] = IRIS + FIRST_TRACK
    tracks[pupil > 0.5] = PUPIL + FIRST_TRACK
    lids = np.hypot(columns * random.uniform(0.62, 0.85), rows)
    alpha = np.clip((opening - lids) / (0.01 * height) + 0.5, 0, 1)
    return _sheet(color, alpha, tracks, 0.9, float(random.uniform(0.01, 0.03)))


def _retractors(
    random: np.random.Generator,
    size: tuple[int, int],
    center: NDArray[np.float64],
    opening: float,
) -> TissueLayer:
    """Draw the wires of a speculum that hold the lids apart."""
    width, height = size
    alpha = np.zeros((height, width), np.float32)
    shine = np.zeros((height, width), np.float32)
    thickness = max(int(random.uniform(0.012, 0.022) * height), 2)
    for side in (-1, 1):
        reach = np.linspace(-1, 1, 24)
        arc = np.stack([reach * opening, side * opening * (1.02 - 0.35 * reach**2)], 1)
        stem = np.array([[0.0, side * opening * 1.02], [0.0, side * height]])
        for line in (arc, stem):
            points = np.round((center + line) * 16).astype(np.int32).reshape(-1, 1, 2)
            cv2.polylines(alpha, [points], False, 1.0, thickness, cv2.LINE_AA, 4)
            cv2.polylines(shine, [points], False, 1.0, max(thickness // 3, 1), cv2.LINE_AA, 4)
    metal = (0.45 + 0.45 * shine)[..., None] * np.array([0.95, 0.97, 1.0], np.float32)
    tracks = np.full((height, width), EYE_RETRACTORS + FIRST_TRACK, np.uint8)
    return _sheet(metal, alpha, tracks, 0.8, 0.004)


def _sheet(
    color: NDArray[np.float32],
    alpha: NDArray[np.float32],
    tracks: NDArray[np.uint8],
    wetness: float,
    sway: float,
) -> TissueLayer:
    return TissueLayer(
        color=(np.clip(color, 0, 1) * 255).astype(np.uint8),
        alpha=(np.clip(alpha, 0, 1) * 255).astype(np.uint8),
        class_map=tracks,
        wetness=np.full(tracks.shape, int(255 * wetness), np.uint8),
        sway=sway,
    )
