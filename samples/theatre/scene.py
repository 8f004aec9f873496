"""The simulated operating theatre: frames and exact masks from a seed."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from samples.theatre.instruments import GRASPER, L_HOOK, Instrument, draw_part
from samples.theatre.motion import Camera, Deformation, sampling_maps
from samples.theatre.organs import TissueLayer, base_layer, floating_layers
from samples.theatre.textures import smooth_noise

FRAME_RATE = 25.0
# Stuff classes have one track each, numbered like the class; instruments count on from here.
FIRST_INSTRUMENT_TRACK = 101
_CANVAS_FACTOR = 1.7


@dataclass(frozen=True, slots=True, kw_only=True)
class TheatreFrame:
    """One drawn frame with its exact truth.

    Attributes:
        index: frame index, from 0.
        image: uint8[H, W, 3], RGB.
        track_map: uint8[H, W], the track seen at each pixel; 0 is no track (the black
            surround of the endoscope).
    """

    index: int
    image: NDArray[np.uint8]
    track_map: NDArray[np.uint8]


class Theatre:
    """A simulated laparoscopic scene that draws frames and exact masks from a seed.

    Any frame can be drawn at any time: `frame(7)` gives the same picture whether or
    not frames 0 to 6 were drawn before.

    Args:
        seed: everything random in the scene follows from it.
        width: frame width in pixels.
        height: frame height in pixels.
        frame_count: length of the scene in frames at 25 frames/s; instruments come
            and go within it.

    Raises:
        ValueError: a size or the frame count is not usable.
    """

    def __init__(self, *, seed: int, width: int, height: int, frame_count: int) -> None:
        if width < 64 or height < 64 or frame_count < 1:
            raise ValueError(
                f"a theatre needs at least 64x64 pixels and 1 frame, not {width}x{height} "
                f"and {frame_count}"
            )
        self.seed = seed
        self.size = (width, height)
        self.frame_count = frame_count
        random = np.random.default_rng([seed, 0x5C09E])
        self._canvas = (int(_CANVAS_FACTOR * width), int(_CANVAS_FACTOR * height))
        angle = random.uniform(0, 2 * np.pi)
        light = np.array([np.cos(angle), np.sin(angle)])
        self._layers = [
            base_layer(random, self._canvas, light),
            *floating_layers(random, self._canvas, light),
        ]
        self._deformations = [
            Deformation(random, self._canvas, layer.sway) for layer in self._layers
        ]
        self._camera = Camera(random, float(random.uniform(0.15, 1.0)))
        self._instruments = _random_instruments(random, frame_count / FRAME_RATE)
        self._optics = _Optics(random, self.size, self._canvas)
        self._tracks = self._collect_tracks()

    @property
    def tracks(self) -> dict[int, int]:
        """Class id of each track id that the scene can show."""
        return dict(self._tracks)

    def _collect_tracks(self) -> dict[int, int]:
        tracks = {}
        for layer in self._layers:
            visible = layer.class_map[layer.alpha > 127]
            tracks.update({int(class_id): int(class_id) for class_id in np.unique(visible)})
        tracks.update({tool.track_id: tool.class_id for tool in self._instruments})
        return tracks

    def frame(self, index: int) -> TheatreFrame:
        """Draw one frame.

        Raises:
            IndexError: the index is outside the scene.
        """
        if not 0 <= index < self.frame_count:
            raise IndexError(f"frame {index} is not in 0..{self.frame_count - 1}")
        time_s = index / FRAME_RATE
        image, track_map, wetness = self._draw_tissue(time_s)
        image = self._optics.add_highlights(image, wetness, time_s)
        self._draw_instruments(image, track_map, time_s)
        noise_source = np.random.default_rng([self.seed, index])
        picture = self._optics.expose(image, track_map, time_s, noise_source)
        return TheatreFrame(index=index, image=picture, track_map=track_map)

    def __iter__(self) -> Iterator[TheatreFrame]:
        """Draw all frames in order."""
        return (self.frame(index) for index in range(self.frame_count))

    def _draw_tissue(
        self, time_s: float
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]:
        camera = self._camera.frame_to_canvas(time_s, self.size, self._canvas)
        width, height = self.size
        image = np.zeros((height, width, 3), np.float32)
        track_map = np.zeros((height, width), np.uint8)
        wetness = np.zeros((height, width), np.float32)
        for layer, deformation in zip(self._layers, self._deformations, strict=True):
            maps = sampling_maps(camera, deformation.grid(time_s), self.size, self._canvas)
            _composite(layer, maps, image, track_map, wetness)
        return image, track_map, wetness

    def _draw_instruments(
        self, image: NDArray[np.float32], track_map: NDArray[np.uint8], time_s: float
    ) -> None:
        for tool in self._instruments:
            parts = tool.parts(time_s, self.size)
            if not parts:
                continue
            drawn = image.copy()
            coverage = np.zeros(track_map.shape, np.float32)
            for part in parts:
                draw_part(drawn, coverage, part)
            if not coverage.any():
                continue
            self._optics.cast_shadow(image, coverage)
            blend = coverage[..., None]
            np.copyto(image, drawn * blend + image * (1 - blend))
            track_map[coverage > 0.5] = tool.track_id


def _random_instruments(random: np.random.Generator, duration_s: float) -> list[Instrument]:
    class_ids = [GRASPER] * int(random.choice([0, 1, 2, 3], p=[0.05, 0.35, 0.45, 0.15]))
    if random.random() < 0.55:
        class_ids.append(L_HOOK)
    random.shuffle(class_ids)
    return [
        Instrument(random, class_id, FIRST_INSTRUMENT_TRACK + number, duration_s)
        for number, class_id in enumerate(class_ids)
    ]


def _composite(
    layer: TissueLayer,
    maps: tuple[NDArray[np.float32], NDArray[np.float32]],
    image: NDArray[np.float32],
    track_map: NDArray[np.uint8],
    wetness: NDArray[np.float32],
) -> None:
    map_x, map_y = maps

    def warp(canvas: NDArray[np.uint8], interpolation: int, border: int) -> NDArray[np.uint8]:
        warped = cv2.remap(canvas, map_x, map_y, interpolation, borderMode=border)
        return np.asarray(warped, np.uint8)

    color = warp(layer.color, cv2.INTER_LINEAR, cv2.BORDER_REFLECT_101)
    wet = warp(layer.wetness, cv2.INTER_LINEAR, cv2.BORDER_REFLECT_101)
    classes = warp(layer.class_map, cv2.INTER_NEAREST, cv2.BORDER_REFLECT_101)
    if layer.alpha.min() == 255:
        np.multiply(color, np.float32(1 / 255), out=image)
        np.copyto(track_map, classes)
        np.multiply(wet, np.float32(1 / 255), out=wetness)
        return
    alpha = warp(layer.alpha, cv2.INTER_LINEAR, cv2.BORDER_CONSTANT)
    shadow = cv2.GaussianBlur(alpha, (0, 0), 0.015 * alpha.shape[0])
    blend = alpha.astype(np.float32)[..., None] / 255
    image *= 1 - (0.4 / 255) * shadow.astype(np.float32)[..., None] * (1 - blend)
    image += blend * (color.astype(np.float32) / 255 - image)
    wetness += blend[..., 0] * (wet.astype(np.float32) / 255 - wetness)
    opaque = alpha > 127
    track_map[opaque] = classes[opaque]


class _Optics:
    """Light, lens and sensor: highlights, shadows, fall-off, surround, blur, colour and noise."""

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
        time_s: float,
        noise_source: np.random.Generator,
    ) -> NDArray[np.uint8]:
        """Turn the lit scene into a sensor picture; clears the truth under the surround."""
        light = (self._falloff * self._surround)[..., None] * self._gain
        lit = np.clip(image * light, 0, 1)
        if self._blur_px > 0.3:
            lit = cv2.GaussianBlur(lit, (0, 0), self._blur_px)
        track_map[self._surround < 0.5] = 0
        levels: NDArray[np.float32] = 255 * np.asarray(cv2.pow(lit, self._gamma), np.float32)
        noise = np.empty((*track_map.shape, 3), np.float32)
        noise_source.standard_normal(out=noise, dtype=np.float32)
        return np.clip(levels + self._noise_level * noise, 0, 255).astype(np.uint8)
