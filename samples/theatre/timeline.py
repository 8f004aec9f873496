"""When the camera cuts to another place, leaves the body and comes back; and its exposure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from samples.theatre.effects import Effects
from samples.theatre.motion import SmoothCurve

FRAME_RATE = 25.0
_SHORTEST_SHOT_S = 1.5
_SETTLING_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A stretch of the video without a cut.

    Attributes:
        start_s: when it begins, in seconds.
        outside: whether the camera is out of the body.
        offset: (x, y) by which the camera stands elsewhere, as shares of the frame height.
        zoom: factor by which it is nearer.
        roll: angle by which it is turned, in radians.
    """

    start_s: float
    outside: bool = False
    offset: tuple[float, float] = (0.0, 0.0)
    zoom: float = 1.0
    roll: float = 0.0


class Timeline:
    """The shots of a scene, drawn once for the whole scene.

    Args:
        random: source of randomness.
        effects: say how often the camera cuts or leaves, and how exposure wanders.
        duration_s: length of the scene in seconds.
    """

    def __init__(self, random: np.random.Generator, effects: Effects, duration_s: float) -> None:
        self.shots = _draw_shots(random, effects, duration_s)
        self._starts = np.array([shot.start_s for shot in self.shots])
        self._exposure = SmoothCurve(random, 12, 1.5)
        self._swing = effects.exposure_swing
        self._jolts = random.uniform(-1, 1, len(self.shots))

    def shot(self, time_s: float) -> Shot:
        """Return the shot that a time belongs to."""
        return self.shots[self._number(time_s)]

    def is_cut(self, time_s: float, frame_s: float) -> bool:
        """Return whether a new shot began since the frame before, `frame_s` seconds ago."""
        return self._number(time_s) != self._number(time_s - frame_s)

    def exposure(self, time_s: float) -> float:
        """Return the factor of the automatic exposure, which has to settle after a cut."""
        number = self._number(time_s)
        since_s = time_s - self.shots[number].start_s
        jolt = self._jolts[number] * np.exp(-since_s / _SETTLING_S) if number else 0.0
        return float(2 ** (self._swing * (self._exposure(time_s) + jolt)))

    def _number(self, time_s: float) -> int:
        return max(int(np.searchsorted(self._starts, time_s + 1e-9, side="right")) - 1, 0)


def seen_in_shot(
    view: NDArray[np.float64], shot: Shot, frame_size: tuple[int, int]
) -> NDArray[np.float64]:
    """Move a view to where the camera stands in a shot.

    Args:
        view: float64[2, 3], affine map from frame to canvas pixels.
        shot: says how the camera stands.
        frame_size: (width, height) of the frame in pixels.

    Returns:
        float64[2, 3], the same for the shot.
    """
    middle = np.array(frame_size) / 2
    center = view[:, :2] @ middle + view[:, 2] + np.array(shot.offset) * frame_size[1]
    cosine, sine = np.cos(shot.roll), np.sin(shot.roll)
    turned = view[:, :2] @ np.array([[cosine, -sine], [sine, cosine]]) / shot.zoom
    return np.concatenate([turned, (center - turned @ middle)[:, None]], 1)


def _draw_shots(
    random: np.random.Generator, effects: Effects, duration_s: float
) -> tuple[Shot, ...]:
    shots = [Shot(start_s=0.0)]
    rate = (effects.cuts_per_minute + effects.exits_per_minute) / 60
    if rate == 0:
        return tuple(shots)
    now = 0.0
    while True:
        now += _SHORTEST_SHOT_S + float(random.exponential(1 / rate))
        if now >= duration_s:
            return tuple(shots)
        if random.random() < effects.exits_per_minute / 60 / rate:
            shots.append(Shot(start_s=now, outside=True))
            now += float(random.uniform(0.5, 2.5))
            # What is seen on the way back in is the place that the camera had left.
            inside = shots[-2]
            shots.append(
                Shot(start_s=now, offset=inside.offset, zoom=inside.zoom, roll=inside.roll)
            )
        else:
            shots.append(
                Shot(
                    start_s=now,
                    offset=(float(random.uniform(-0.2, 0.2)), float(random.uniform(-0.15, 0.15))),
                    zoom=float(random.uniform(0.85, 1.5)),
                    roll=float(random.uniform(-0.4, 0.4)),
                )
            )
