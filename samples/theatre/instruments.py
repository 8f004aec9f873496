"""Instruments with shafts and jaws that enter, work, cross and leave."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from samples.theatre.motion import Presence, SmoothCurve, random_presence

Kind = Literal["grasper", "hook", "probe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentStyle:
    """How the instruments of a maker differ from others.

    Attributes:
        width: factor on the width of the shaft.
        jaw_length: factor on the length of the jaws.
        jaw_bend: angle by which the jaws curve on their way, in radians.
        slotted: share of a jaw's width that is an opening, 0 (none) .. 1.
        shaft_tint: factors on the shaft's RGB colour.
        metal_tint: factors on the metal's RGB colour.
    """

    width: float = 1.0
    jaw_length: float = 1.0
    jaw_bend: float = 0.0
    slotted: float = 0.0
    shaft_tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    metal_tint: tuple[float, float, float] = (1.0, 1.0, 1.0)


PLAIN_STYLE = InstrumentStyle()


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentPart:
    """A convex piece of an instrument in frame pixels, shaded like a rod.

    Attributes:
        outline: float64[N, 2], corners (x, y).
        axis_start: float64[2], a point on the rod's middle line.
        axis_direction: float64[2], unit vector along the middle line.
        half_width_px: half of the rod's width.
        color: float64[3], RGB 0..1.
        gloss: strength of the highlight along the rod, 0..1.
    """

    outline: NDArray[np.float64]
    axis_start: NDArray[np.float64]
    axis_direction: NDArray[np.float64]
    half_width_px: float
    color: NDArray[np.float64]
    gloss: float


def _rod(
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    half_widths_px: tuple[float, float],
    color: NDArray[np.float64],
    gloss: float,
) -> InstrumentPart:
    direction = (end - start) / max(float(np.linalg.norm(end - start)), 1e-6)
    normal = np.array([-direction[1], direction[0]])
    first, last = half_widths_px
    tip = end + direction * last * 0.7
    outline = np.stack(
        [
            start + normal * first,
            end + normal * last,
            tip,
            end - normal * last,
            start - normal * first,
        ]
    )
    return InstrumentPart(
        outline=outline,
        axis_start=start,
        axis_direction=direction,
        half_width_px=max(first, last),
        color=color,
        gloss=gloss,
    )


class Instrument:
    """One instrument: its build, its colours and its way through the scene.

    Args:
        random: source of randomness.
        kind: what it is built like.
        class_id: class of the object in the truth.
        track_id: identity of the object in the truth.
        duration_s: length of the video in seconds.
        style: of its maker.
    """

    def __init__(
        self,
        random: np.random.Generator,
        *,
        kind: Kind,
        class_id: int,
        track_id: int,
        duration_s: float,
        style: InstrumentStyle = PLAIN_STYLE,
    ) -> None:
        self.kind = kind
        self.class_id = class_id
        self.track_id = track_id
        self._style = style
        self.presence: Presence = random_presence(random, duration_s)
        self._width = style.width * random.uniform(0.022, 0.045)
        self._jaw_length = style.jaw_length * random.uniform(0.10, 0.22)
        self._bluntness = random.uniform(0.3, 0.7)
        side = random.choice([-1, 1])
        lean = random.uniform(-0.6, 1.0)
        self._approach = np.array([side * np.cos(lean), np.sin(lean)])
        self._work = random.uniform(-0.22, 0.22, 2)
        self._wander = [SmoothCurve(random, 7, 1.5) for _ in "xy"]
        self._wander_reach = random.uniform(0.06, 0.22)
        self._swing = SmoothCurve(random, 10, 3)
        self._jaw = SmoothCurve(random, 5, 1.2)
        self._wrist = SmoothCurve(random, 8, 2)
        shaft = random.uniform(0.05, 0.45) if random.random() < 0.75 else random.uniform(0.6, 0.9)
        self._shaft_color = np.clip(
            (shaft + random.normal(0, 0.03, 3)) * style.shaft_tint, 0.02, 0.95
        )
        metal = random.uniform(0.5, 0.85)
        self._metal_color = np.clip(
            (metal + random.normal(0, 0.03, 3)) * style.metal_tint, 0.1, 0.95
        )
        self._collar_color = random.uniform(0.1, 0.9, 3)
        self._gloss = random.uniform(0.3, 0.9)

    def look_like(self, other: "Instrument") -> None:
        """Take over another instrument's class, build and colours, but not its way."""
        self.kind, self.class_id, self._style = other.kind, other.class_id, other._style
        self._width, self._jaw_length = other._width, other._jaw_length
        self._bluntness, self._gloss = other._bluntness, other._gloss
        self._shaft_color, self._metal_color = other._shaft_color, other._metal_color
        self._collar_color = other._collar_color

    def tip(
        self, time_s: float, frame_size: tuple[int, int]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Return where the tip is, in pixels, and the unit vector from it along the shaft.

        None while the instrument is away.
        """
        reach = self.presence.reach(time_s)
        if reach <= 0:
            return None
        width, height = frame_size
        swing = 0.2 * self._swing(time_s)
        turn = np.array([[np.cos(swing), -np.sin(swing)], [np.sin(swing), np.cos(swing)]])
        approach = turn @ self._approach
        wander = self._wander_reach * np.array([curve(time_s) for curve in self._wander])
        middle = np.array([width, height]) / 2
        at_work = middle + height * (self._work + wander)
        away = middle + approach * 0.5 * (width + height) * 1.25
        return away + reach * (at_work - away), approach

    def parts(self, time_s: float, frame_size: tuple[int, int]) -> list[InstrumentPart]:
        """Return the instrument's pieces at a time, back to front; empty while it is away."""
        found = self.tip(time_s, frame_size)
        if found is None:
            return []
        tip, approach = found
        width, height = frame_size
        origin = tip + approach * 2.5 * width
        if self.kind == "hook":
            return self._hook_parts(origin, tip, approach, time_s, height)
        if self.kind == "probe":
            return self._probe_parts(origin, tip, approach, height)
        return self._grasper_parts(origin, tip, approach, time_s, height)

    def _grasper_parts(
        self,
        origin: NDArray[np.float64],
        tip: NDArray[np.float64],
        approach: NDArray[np.float64],
        time_s: float,
        height: int,
    ) -> list[InstrumentPart]:
        half = self._width * height
        wrist = tip + approach * self._jaw_length * height
        collar = wrist + approach * 2.2 * half
        opening = 0.28 + 0.26 * self._jaw(time_s)
        bend = 0.3 * self._wrist(time_s)
        length = float(np.linalg.norm(wrist - tip))
        back, front = (
            self._jaw_parts(
                wrist, -_rotate(approach, bend + sign * max(opening, 0.03)), length, half, shade
            )
            for sign, shade in ((-1, 0.9), (1, 1.0))
        )
        shaft = _rod(origin, collar, (half, half), self._shaft_color, 0.6 * self._gloss)
        neck = _rod(collar, wrist, (0.95 * half, 0.8 * half), self._metal_color * 0.8, self._gloss)
        return [*back, shaft, neck, *front]

    def _jaw_parts(
        self,
        wrist: NDArray[np.float64],
        direction: NDArray[np.float64],
        length: float,
        half: float,
        shade: float,
    ) -> list[InstrumentPart]:
        widths = (0.75 * half, self._bluntness * 0.6 * half)
        color = self._metal_color * shade
        if not self._style.jaw_bend:
            pieces = [_rod(wrist, wrist + direction * length, widths, color, self._gloss)]
        else:
            knee = wrist + direction * 0.5 * length
            onward = _rotate(direction, self._style.jaw_bend)
            middle = (sum(widths) / 2, sum(widths) / 2)
            pieces = [
                _rod(wrist, knee, (widths[0], middle[0]), color, self._gloss),
                _rod(
                    knee, knee + onward * 0.5 * length, (middle[1], widths[1]), color, self._gloss
                ),
            ]
        if self._style.slotted:
            slot = (self._style.slotted * widths[0], self._style.slotted * widths[1])
            start, end = wrist + direction * 0.25 * length, wrist + direction * 0.5 * length
            pieces.append(_rod(start, end, slot, 0.15 * color, 0.0))
        return pieces

    def _probe_parts(
        self,
        origin: NDArray[np.float64],
        tip: NDArray[np.float64],
        approach: NDArray[np.float64],
        height: int,
    ) -> list[InstrumentPart]:
        half = self._width * height
        collar = tip + approach * self._jaw_length * height
        thin = (0.45 * half, 0.25 * half + 0.2 * half * self._bluntness)
        return [
            _rod(origin, collar, (half, half), self._shaft_color, 0.6 * self._gloss),
            _rod(collar, tip, thin, self._metal_color, self._gloss),
        ]

    def _hook_parts(
        self,
        origin: NDArray[np.float64],
        tip: NDArray[np.float64],
        approach: NDArray[np.float64],
        time_s: float,
        height: int,
    ) -> list[InstrumentPart]:
        half = self._width * height
        length = 0.6 * self._jaw_length * height
        collar = tip + approach * (length + 3 * half)
        neck = tip + approach * length
        turn = np.sign(self._wrist(0.0) or 1.0) * (1.35 + 0.25 * self._wrist(time_s))
        foot = tip - _rotate(approach, turn) * 0.55 * length
        return [
            _rod(origin, collar, (half, half), self._shaft_color, 0.6 * self._gloss),
            _rod(collar, neck, (0.9 * half, 0.5 * half), self._collar_color, 0.3),
            _rod(neck, tip, (0.32 * half, 0.3 * half), self._metal_color, self._gloss),
            _rod(tip, foot, (0.32 * half, 0.22 * half), self._metal_color, self._gloss),
        ]


def _rotate(vector: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([cosine * vector[0] - sine * vector[1], sine * vector[0] + cosine * vector[1]])


def draw_part(
    image: NDArray[np.float32],
    coverage: NDArray[np.float32],
    part: InstrumentPart,
    reflection: float = 0.0,
) -> None:
    """Draw a part into an image and add its coverage, in place.

    Args:
        image: float32[H, W, 3], RGB 0..1.
        coverage: float32[H, W], coverage of the whole instrument 0..1.
        part: what to draw.
        reflection: how much of the colour around it the part mirrors, 0..1.
    """
    height, width = coverage.shape
    low = np.floor(np.maximum(part.outline.min(0) - 2, 0)).astype(int)
    high = np.ceil(np.minimum(part.outline.max(0) + 2, (width, height))).astype(int)
    if np.any(high <= low):
        return
    (x0, y0), (x1, y1) = low, high
    mask = np.zeros((y1 - y0, x1 - x0), np.float32)
    points = np.round((part.outline - (x0, y0)) * 16).astype(np.int32)
    cv2.fillConvexPoly(mask, points, 1.0, cv2.LINE_AA, 4)
    ys, xs = np.mgrid[y0:y1, x0:x1].astype(np.float32)
    normal = np.array([-part.axis_direction[1], part.axis_direction[0]])
    across = ((xs - part.axis_start[0]) * normal[0] + (ys - part.axis_start[1]) * normal[1]) / max(
        part.half_width_px, 0.5
    )
    body = 0.35 + 0.65 * np.sqrt(np.clip(1 - across**2, 0, 1))
    shine = part.gloss * np.exp(-(((across + 0.35) / 0.16) ** 2))
    shaded = part.color.astype(np.float32) * body[..., None] + 0.6 * shine[..., None]
    region = image[y0:y1, x0:x1]
    if reflection:
        around = cv2.blur(region, (2 * (height // 12) + 1,) * 2, borderType=cv2.BORDER_REFLECT)
        shaded = shaded + reflection * part.gloss * (1.3 * around - shaded)
    region += mask[..., None] * (np.clip(shaded, 0, 1).astype(np.float32) - region)
    np.maximum(coverage[y0:y1, x0:x1], mask, out=coverage[y0:y1, x0:x1])
