"""The simulated operating theatre: frames and exact masks from a seed."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.labels import LabelSet
from samples.theatre.atmosphere import Smoke, WetLens, compress, smear
from samples.theatre.canvas import Canvas
from samples.theatre.effects import Effects, draw_effects
from samples.theatre.looks import LAPAROSCOPIC, FamilyName, Look, Scenery, draw_noise
from samples.theatre.motion import Camera, Deformation, Travel, sampling_maps
from samples.theatre.optics import Optics
from samples.theatre.organs import TissueLayer
from samples.theatre.roster import Roster
from samples.theatre.swabs import Swab
from samples.theatre.textures import smooth_noise
from samples.theatre.timeline import FRAME_RATE, Shot, Timeline, seen_in_shot
from samples.theatre.wounds import Bleeding, Incision

_CANVAS_FACTOR = 1.7
# A picture that is smeared over more than this share of its height counts as blurred.
_BLURRED_SHARE = 0.035


@dataclass(frozen=True, slots=True, kw_only=True)
class TheatreFrame:
    """One drawn frame with its exact truth.

    Attributes:
        index: frame index, from 0.
        image: uint8[H, W, 3], RGB.
        track_map: uint8[H, W], the track seen at each pixel; 0 is no track (the black
            surround of the endoscope, and what is not annotated).
        visible_share: of each track in the picture, the share of its pixels that nothing
            hides, 0..1; 0 for what is hidden whole.
        flags: cut, out_of_body, blurred.
    """

    index: int
    image: NDArray[np.uint8]
    track_map: NDArray[np.uint8]
    visible_share: dict[int, float]
    flags: tuple[str, ...] = ()


class Theatre:
    """A simulated operation that draws frames and exact masks from a seed.

    Any frame can be drawn at any time: `frame(7)` gives the same picture whether or
    not frames 0 to 6 were drawn before.

    Args:
        seed: everything random in the scene follows from it.
        width: frame width in pixels.
        height: frame height in pixels.
        frame_count: length of the scene in frames at 25 frames/s; instruments come
            and go within it.
        look: the kind of operation.
        family: where textures and instruments come from; `plain` scenes have no effects.
        effects: what else happens; drawn from the seed if it is not given.

    Raises:
        ValueError: a size or the frame count is not usable.
    """

    def __init__(
        self,
        *,
        seed: int,
        width: int,
        height: int,
        frame_count: int,
        look: Look = LAPAROSCOPIC,
        family: FamilyName = "plain",
        effects: Effects | None = None,
    ) -> None:
        if width < 64 or height < 64 or frame_count < 1:
            raise ValueError(
                f"a theatre needs at least 64x64 pixels and 1 frame, not {width}x{height} "
                f"and {frame_count}"
            )
        self.seed = seed
        self.size = (width, height)
        self.frame_count = frame_count
        self._look = look
        # Effects draw from a source of their own: without them a scene stays what it is.
        extra = np.random.default_rng([seed, 0xEFFEC7])
        drawn = draw_effects(extra) if family != "plain" else Effects()
        self.effects = drawn if effects is None else effects
        self._build_scene(np.random.default_rng([seed, 0x5C09E]), extra, family)
        self._build_effects(extra)
        self._tracks = self._collect_tracks()

    @classmethod
    def of(
        cls, scenery: Scenery, *, seed: int, width: int, height: int, frame_count: int
    ) -> "Theatre":
        """Play the scene that a seed has in a scenery."""
        return cls(
            seed=seed,
            width=width,
            height=height,
            frame_count=frame_count,
            look=scenery.look(seed),
            family=scenery.family(seed),
        )

    @property
    def tracks(self) -> dict[int, int]:
        """Class id of each track id that the scene can show."""
        return dict(self._tracks)

    @property
    def label_set(self) -> LabelSet:
        """The classes of the scene."""
        return self._look.label_set

    def _build_scene(
        self, random: np.random.Generator, extra: np.random.Generator, family: FamilyName
    ) -> None:
        width, height = self.size
        self._canvas_size = (int(_CANVAS_FACTOR * width), int(_CANVAS_FACTOR * height))
        angle = random.uniform(0, 2 * np.pi)
        light = np.array([np.cos(angle), np.sin(angle)])
        noise = draw_noise(extra, family)
        self._layers = self._look.layers(random, self._canvas_size, light, noise)
        self._deformations = [
            Deformation(random, self._canvas_size, layer.sway) for layer in self._layers
        ]
        self._camera = Camera(random, float(random.uniform(0.15, 1.0)))
        self._roster = Roster(
            random,
            extra,
            look=self._look,
            family=family,
            size=self.size,
            duration_s=self.frame_count / FRAME_RATE,
            effects=self.effects,
        )
        self._optics = Optics(random, self.size, self._canvas_size)

    def _build_effects(self, random: np.random.Generator) -> None:
        effects, duration_s = self.effects, self.frame_count / FRAME_RATE
        self._timeline = Timeline(random, effects, duration_s)
        self._travels = [
            Travel(random, self._canvas_size, _middle(layer), layer.travel)
            if layer.travel
            else None
            for layer in self._layers
        ]
        self._incisions = [
            Incision(random, self._canvas_size, duration_s) for _ in range(effects.incisions)
        ]
        self._cut_layers = random.integers(len(self._layers), size=effects.incisions).tolist()
        self._bleeding = None
        if effects.bleeding:
            self._bleeding = Bleeding(
                random,
                self._canvas_size,
                duration_s,
                effects.bleeding,
                self._look.blood_track,
            )
            self._blood_sway = Deformation(random, self._canvas_size, 0.012)
        self._swabs = [Swab(random, self.size, duration_s) for _ in range(effects.swabs)]
        self._smoke = Smoke(random, self.size, effects.smoke)
        self._lens = WetLens(random, self.size, effects)
        self._outside = _draw_outside(random, self.size)

    def _collect_tracks(self) -> dict[int, int]:
        tracks = {}
        class_of_tissue = self._look.class_of_tissue
        for layer in self._layers:
            visible = np.unique(layer.class_map[layer.alpha > 127]).tolist()
            tracks.update(
                {track: class_of_tissue[track] for track in visible if track in class_of_tissue}
            )
        blood = self._look.blood_track
        if self._bleeding is not None and blood:
            tracks[blood] = class_of_tissue[blood]
        tracks.update({tool.track_id: tool.class_id for tool in self._roster.tools})
        return tracks

    def frame(self, index: int) -> TheatreFrame:
        """Draw one frame.

        Raises:
            IndexError: the index is outside the scene.
        """
        if not 0 <= index < self.frame_count:
            raise IndexError(f"frame {index} is not in 0..{self.frame_count - 1}")
        time_s = index / FRAME_RATE
        noise_source = np.random.default_rng([self.seed, index])
        width, height = self.size
        canvas = Canvas(
            image=np.zeros((height, width, 3), np.float32),
            track_map=np.zeros((height, width), np.uint8),
            wetness=np.zeros((height, width), np.float32),
            inside=self._optics.inside,
        )
        flags = ["cut"] if index and self._timeline.is_cut(time_s, 1 / FRAME_RATE) else []
        if self._timeline.shot(time_s).outside:
            flags.append("out_of_body")
            canvas.image = self._outside.copy()
        elif self._draw_inside(canvas, time_s):
            flags.append("blurred")
        image = self._smoke.cover(canvas.image, time_s)
        image = self._lens.look_through(image, time_s)
        exposure = self._timeline.exposure(time_s)
        picture = self._optics.expose(image, canvas.track_map, exposure, noise_source)
        return TheatreFrame(
            index=index,
            image=self._develop(picture),
            track_map=canvas.track_map,
            visible_share=canvas.visible_shares(self._tracks),
            flags=tuple(flags),
        )

    def __iter__(self) -> Iterator[TheatreFrame]:
        """Draw all frames in order."""
        return (self.frame(index) for index in range(self.frame_count))

    def _draw_inside(self, canvas: Canvas, time_s: float) -> bool:
        """Draw what is in the body; returns whether motion blurs it."""
        self._draw_tissue(canvas, time_s)
        canvas.image = self._optics.add_highlights(canvas.image, canvas.wetness, time_s)
        motion_px = self._camera_motion(time_s)
        canvas.image = smear(canvas.image, motion_px)
        self._roster.draw(canvas, self._optics, time_s)
        for swab in self._swabs:
            swab.cover(canvas.image, canvas.track_map, time_s)
        # Tissue without a class was drawn under the number that its sheet has.
        canvas.track_map[~np.isin(canvas.track_map, list(self._tracks))] = 0
        return float(np.hypot(*motion_px)) > _BLURRED_SHARE * self.size[1]

    def _view(self, time_s: float, shot: Shot) -> NDArray[np.float64]:
        """Return the affine map from frame to canvas pixels, float64[2, 3]."""
        view = self._camera.frame_to_canvas(time_s, self.size, self._canvas_size)
        return seen_in_shot(view, shot, self.size)

    def _camera_motion(self, time_s: float) -> NDArray[np.float64]:
        """Return how far the picture's middle moves while the shutter is open, in pixels."""
        if not self.effects.shutter:
            return np.zeros(2)
        half_s = 0.5 * self.effects.shutter / FRAME_RATE
        middle = np.array(self.size) / 2
        shot = self._timeline.shot(time_s)
        places = []
        for moment_s in (time_s - half_s, time_s + half_s):
            view = self._view(moment_s, shot)
            places.append(view[:, :2] @ middle + view[:, 2])
        moved = np.linalg.solve(self._view(time_s, shot)[:, :2], places[0] - places[1])
        return np.asarray(moved, np.float64)

    def _draw_tissue(self, canvas: Canvas, time_s: float) -> None:
        view = self._view(time_s, self._timeline.shot(time_s))
        pushes = self._roster.pushes(time_s)
        for number, (layer, deformation, travel) in enumerate(
            zip(self._layers, self._deformations, self._travels, strict=True)
        ):
            grid = deformation.grid(time_s)
            if travel is not None:
                grid = grid + travel.grid(time_s, *grid.shape[:2])
            maps = sampling_maps(view, grid, self.size, self._canvas_size, pushes)
            canvas.lay(self._with_incisions(number, layer, time_s), maps)
        blood = self._bleeding.layer(time_s) if self._bleeding is not None else None
        if blood is not None:
            grid = self._blood_sway.grid(time_s)
            maps = sampling_maps(view, grid, self.size, self._canvas_size, pushes)
            canvas.lay(blood, maps)

    def _with_incisions(self, number: int, layer: TissueLayer, time_s: float) -> TissueLayer:
        color = layer.color
        for incision, cut_layer in zip(self._incisions, self._cut_layers, strict=True):
            if cut_layer == number:
                color = incision.open(color, time_s)
        return replace(layer, color=color) if color is not layer.color else layer

    def _develop(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self._look.saturation < 1:
            grey = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)[..., None]
            share = self._look.saturation
            picture = (share * picture + (1 - share) * grey).astype(np.uint8)
        if self.effects.jpeg_quality:
            picture = compress(picture, self.effects.jpeg_quality)
        return picture


def _middle(layer: TissueLayer) -> NDArray[np.float64]:
    """Return the middle of a sheet's opaque part, (x, y) in canvas pixels."""
    rows, columns = np.nonzero(layer.alpha > 127)
    return np.array([columns.mean(), rows.mean()])


def _draw_outside(random: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float32]:
    """Draw what a camera sees outside the body, out of focus; float32[H, W, 3]."""
    width, height = size
    color = random.uniform(0.15, 0.9, 3).astype(np.float32)
    lights = 0.25 * smooth_noise(random, height, width, 0.5 * height, octaves=2)
    tint = random.normal(0, 0.12, 3).astype(np.float32)
    blotches = smooth_noise(random, height, width, 0.3 * height, octaves=2)[..., None] * tint
    return np.asarray(np.clip(color + lights[..., None] + blotches, 0, 1), np.float32)
