"""Procedural tissue textures: every pixel comes from a seeded random generator.

All textures are float32 RGB images in 0..1, drawn once for a scene's canvas and
then only warped, so their cost does not grow with the number of frames.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

FloatImage = NDArray[np.float32]


Noise = Callable[[np.random.Generator, int, int, float], FloatImage]


@dataclass(frozen=True, slots=True, kw_only=True)
class TissueLook:
    """How one tissue class looks.

    Attributes:
        color: mean RGB colour, 0..1.
        color_spread: standard deviation of the colour from scene to scene.
        grain: contrast of the fine structure, 0..1.
        grain_scale: size of the fine structure as a fraction of the canvas height.
        lobules: contrast of a cell pattern (fat), 0..1.
        streaks: contrast of parallel fibres (muscle, peritoneum), 0..1.
        vessels: expected number of blood vessels drawn over the tissue.
        wetness: strength of specular highlights, 0..1.
    """

    color: tuple[float, float, float]
    color_spread: float = 0.05
    grain: float = 0.15
    grain_scale: float = 0.02
    lobules: float = 0.0
    streaks: float = 0.0
    vessels: float = 0.0
    wetness: float = 0.5


def smooth_noise(
    random: np.random.Generator, height: int, width: int, cell: float, octaves: int = 3
) -> FloatImage:
    """Draw smooth noise as a sum of enlarged random grids.

    Args:
        random: source of randomness.
        height: rows of the result in pixels.
        width: columns of the result in pixels.
        cell: size of the coarsest grid cell in pixels.
        octaves: number of grids, each twice as fine and 0.55 times as strong.

    Returns:
        float32[height, width] with mean 0 and standard deviation 1.
    """
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        size = max(cell / 2**octave, 1.0)
        grid_shape = (max(int(height / size), 1) + 3, max(int(width / size), 1) + 3)
        grid = random.standard_normal(grid_shape).astype(np.float32)
        total += 0.55**octave * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray((total - total.mean()) / (total.std() + 1e-6), np.float32)


def ridged_noise(random: np.random.Generator, height: int, width: int, cell: float) -> FloatImage:
    """Draw noise with sharp ridges, as folded tissue has; mean 0, standard deviation 1."""
    ridges = -np.abs(smooth_noise(random, height, width, 1.6 * cell))
    return np.asarray((ridges - ridges.mean()) / (ridges.std() + 1e-6), np.float32)


def grainy_noise(random: np.random.Generator, height: int, width: int, cell: float) -> FloatImage:
    """Draw noise of separate bright grains; mean 0, standard deviation 1."""
    grains = np.exp(1.2 * smooth_noise(random, height, width, 0.7 * cell, octaves=2))
    grains = np.minimum(grains, 8)
    return np.asarray((grains - grains.mean()) / (grains.std() + 1e-6), np.float32)


def stippled_noise(random: np.random.Generator, height: int, width: int, cell: float) -> FloatImage:
    """Draw noise of round dimples at random places; mean 0, standard deviation 1."""
    dimples = lobule_pattern(random, height, width, max(1.5 * cell, 2.0))
    dimples += 0.3 * smooth_noise(random, height, width, 4 * cell)
    return np.asarray((dimples - dimples.mean()) / (dimples.std() + 1e-6), np.float32)


def lobule_pattern(random: np.random.Generator, height: int, width: int, cell: float) -> FloatImage:
    """Draw a pattern of round lobules divided by dark seams, as fat has.

    Returns:
        float32[height, width] in 0 (seam) .. 1 (middle of a lobule).
    """
    seeds = np.full((height, width), 255, np.uint8)
    count = max(int(height * width / cell**2), 4)
    seeds[random.integers(0, height, count), random.integers(0, width, count)] = 0
    distance = cv2.distanceTransform(seeds, cv2.DIST_L2, 3)
    pattern = 1.0 - np.clip(distance / (0.75 * cell), 0, 1) ** 2
    return np.asarray(pattern, np.float32)


def streak_pattern(random: np.random.Generator, height: int, width: int, cell: float) -> FloatImage:
    """Draw wavy fibres in a random direction.

    Returns:
        float32[height, width] in -1..1.
    """
    angle = random.uniform(0, np.pi)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    across = columns * np.cos(angle) + rows * np.sin(angle)
    bend = smooth_noise(random, height, width, 12 * cell, octaves=2)
    return np.asarray(np.sin(2 * np.pi * across / (2.5 * cell) + 2.5 * bend), np.float32)


def draw_vessels(random: np.random.Generator, texture: FloatImage, count: int) -> None:
    """Draw winding blood vessels over a texture, in place."""
    height, width = texture.shape[:2]
    layer = np.zeros((height, width), np.float32)
    for _ in range(count):
        heading = random.uniform(0, 2 * np.pi)
        turns = np.cumsum(random.normal(0, 0.35, 24)) + heading
        step = 0.035 * height
        start = random.uniform((0, 0), (width, height))
        path = start + np.cumsum(np.stack([np.cos(turns), np.sin(turns)], 1) * step, 0)
        thickness = max(int(random.uniform(0.003, 0.012) * height), 1)
        points = np.round(path * 16).astype(np.int32).reshape(-1, 1, 2)
        strength = float(random.uniform(0.3, 0.8))
        cv2.polylines(layer, [points], False, strength, thickness, cv2.LINE_AA, 4)
    soft = np.asarray(cv2.GaussianBlur(layer, (0, 0), 0.0025 * height + 0.4), np.float32)
    texture *= 1 - soft[..., None] * (1 - np.array([0.75, 0.35, 0.35], np.float32))


def tissue_texture(
    random: np.random.Generator,
    height: int,
    width: int,
    look: TissueLook,
    noise: Noise = smooth_noise,
) -> FloatImage:
    """Draw the texture of one tissue over a whole canvas.

    Args:
        random: source of randomness.
        height: in pixels.
        width: in pixels.
        look: colours and patterns.
        noise: draws the fine structure.

    Returns:
        float32[height, width, 3], RGB, 0..1.
    """
    drift = random.normal(0, look.color_spread, 3)
    color = (np.array(look.color) + drift) * random.uniform(0.8, 1.2)
    cell = look.grain_scale * height * random.uniform(0.7, 1.5)
    brightness: FloatImage = 1 + look.grain * noise(random, height, width, cell)
    brightness += 0.12 * smooth_noise(random, height, width, 0.25 * height, octaves=2)
    if look.lobules:
        lobules = lobule_pattern(random, height, width, 2.2 * cell)
        brightness += look.lobules * (lobules - 0.6)
    if look.streaks:
        brightness += look.streaks * streak_pattern(random, height, width, cell)
    texture = np.clip(color, 0.03, 0.97).astype(np.float32) * brightness[..., None]
    tint = smooth_noise(random, height, width, 0.3 * height, octaves=2)[..., None]
    texture += tint * random.normal(0, 0.025, 3).astype(np.float32)
    if look.vessels:
        draw_vessels(random, texture, int(random.poisson(look.vessels)))
    return np.asarray(np.clip(texture, 0, 1), np.float32)
