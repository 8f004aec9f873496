"""How things move: smooth random curves, camera motion, breathing, comings and goings."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from samples.theatre.textures import smooth_noise


class SmoothCurve:
    """A smooth random function of time with values about in -1..1.

    A sum of sines with random phases: it can be evaluated at any time, in any order,
    so a frame never depends on the frames that were drawn before it.
    """

    def __init__(self, random: np.random.Generator, slowest_s: float, fastest_s: float) -> None:
        periods = np.exp(random.uniform(np.log(fastest_s), np.log(slowest_s), 4))
        self._rates = 2 * np.pi / periods
        self._phases = random.uniform(0, 2 * np.pi, 4)
        weights = periods**0.5 * random.uniform(0.4, 1.0, 4)
        self._weights = weights / weights.sum()

    def __call__(self, time_s: float) -> float:
        """Return the value at a time in seconds."""
        return float(1.6 * np.sum(self._weights * np.sin(self._rates * time_s + self._phases)))


class Camera:
    """A hand-held endoscope: pan, roll and zoom over the canvas.

    Args:
        random: source of randomness.
        liveliness: 0 (still) .. 1 (restless).
    """

    def __init__(self, random: np.random.Generator, liveliness: float) -> None:
        self._pan_x = SmoothCurve(random, 14, 3)
        self._pan_y = SmoothCurve(random, 14, 3)
        self._roll = SmoothCurve(random, 20, 5)
        self._zoom = SmoothCurve(random, 18, 5)
        self._reach = 0.16 * liveliness
        self._roll_reach = 0.16 * liveliness
        self._zoom_reach = 0.22 * liveliness

    def frame_to_canvas(
        self, time_s: float, frame_size: tuple[int, int], canvas_size: tuple[int, int]
    ) -> NDArray[np.float64]:
        """Return the affine map from frame to canvas pixels at a time.

        Args:
            time_s: time in seconds.
            frame_size: (width, height) of the frame in pixels.
            canvas_size: (width, height) of the canvas in pixels.

        Returns:
            float64[2, 3]: canvas_xy = A[:, :2] @ frame_xy + A[:, 2].
        """
        width, height = frame_size
        scale = np.exp(-self._zoom_reach * self._zoom(time_s))
        angle = self._roll_reach * self._roll(time_s)
        rotation = scale * np.array(
            [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        )
        pan = self._reach * height * np.array([self._pan_x(time_s), self._pan_y(time_s)])
        center = np.array(canvas_size) / 2 + pan
        offset = center - rotation @ (np.array([width, height]) / 2)
        return np.concatenate([rotation, offset[:, None]], axis=1)


class Deformation:
    """Soft tissue that breathes and sways: a few smooth displacement fields in time.

    Args:
        random: source of randomness.
        canvas_size: (width, height) in pixels.
        strength: displacement as a fraction of the canvas height.
    """

    _GRID = 16

    def __init__(
        self, random: np.random.Generator, canvas_size: tuple[int, int], strength: float
    ) -> None:
        width, height = canvas_size
        grid = (height // self._GRID + 2, width // self._GRID + 2)
        cell = 0.45 * height / self._GRID
        self._fields = [
            np.stack([smooth_noise(random, *grid, cell, octaves=1) for _ in "xy"], -1)
            for _ in range(2)
        ]
        self._sways = [SmoothCurve(random, 9, 2.5) for _ in range(2)]
        self._drift = [SmoothCurve(random, 12, 3) for _ in "xy"]
        self._breath_s = random.uniform(3, 5)
        self._breath_direction = random.normal(0, 0.7, 2)
        self._strength = strength * height

    def grid(self, time_s: float) -> NDArray[np.float32]:
        """Return the displacement field at a time, on a coarse grid.

        Returns:
            float32[rows, columns, 2]: displacement (x, y) in canvas pixels.
        """
        breath = 0.5 * np.sin(2 * np.pi * time_s / self._breath_s)
        field = sum(
            sway(time_s) * field for sway, field in zip(self._sways, self._fields, strict=True)
        )
        drift = np.array([curve(time_s) for curve in self._drift])
        offset = breath * self._breath_direction + drift
        return np.asarray(self._strength * (0.6 * field + 0.5 * offset), np.float32)


class Travel:
    """A sheet that moves, turns and grows as a whole, as an object in front of a scene does.

    Args:
        random: source of randomness.
        canvas_size: (width, height) in pixels.
        center: (x, y) in canvas pixels, about which it turns.
        reach: how far it moves, as a fraction of the canvas height.
    """

    def __init__(
        self,
        random: np.random.Generator,
        canvas_size: tuple[int, int],
        center: NDArray[np.float64],
        reach: float,
    ) -> None:
        self._canvas_size = canvas_size
        self._center = center
        self._reach_px = reach * canvas_size[1]
        self._way = [SmoothCurve(random, 12, 2) for _ in "xy"]
        self._turn = SmoothCurve(random, 12, 2.5)
        self._growth = SmoothCurve(random, 14, 3)
        self._turn_reach = float(random.uniform(0, 0.6))
        self._growth_reach = float(random.uniform(0, 0.25))

    def grid(self, time_s: float, rows: int, columns: int) -> NDArray[np.float32]:
        """Return the displacement at a time on a coarse grid over the canvas.

        Returns:
            float32[rows, columns, 2]: displacement (x, y) in canvas pixels.
        """
        width, height = self._canvas_size
        xs = np.linspace(0, width, columns) - self._center[0]
        ys = np.linspace(0, height, rows) - self._center[1]
        x, y = np.meshgrid(xs, ys)
        way_x, way_y = (self._reach_px * curve(time_s) for curve in self._way)
        angle = self._turn_reach * self._turn(time_s)
        scale = np.exp(self._growth_reach * self._growth(time_s))
        cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
        x_from = cosine * (x - way_x) - sine * (y - way_y)
        y_from = sine * (x - way_x) + cosine * (y - way_y)
        return np.stack([x_from - x, y_from - y], -1).astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """Tissue that gives way around a point of the frame.

    Attributes:
        center: float64[2], (x, y) in frame pixels.
        shift_px: float64[2], by how much the tissue there is moved, in frame pixels.
        radius_px: how far around it is moved along.
    """

    center: NDArray[np.float64]
    shift_px: NDArray[np.float64]
    radius_px: float


def sampling_maps(
    frame_to_canvas: NDArray[np.float64],
    displacement: NDArray[np.float32],
    frame_size: tuple[int, int],
    canvas_size: tuple[int, int],
    pushes: Sequence[Push] = (),
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Build the maps with which `cv2.remap` draws a deformed canvas into a frame.

    The maps are computed on a coarse grid and enlarged, which is much cheaper than
    per pixel and indistinguishable, since camera and deformation are smooth.

    Returns:
        map_x, map_y: float32[H, W], canvas coordinates in pixels.
    """
    width, height = frame_size
    coarse_width, coarse_height = max(width // 8, 2), max(height // 8, 2)
    xs = (np.arange(coarse_width) + 0.5) * width / coarse_width - 0.5
    ys = (np.arange(coarse_height) + 0.5) * height / coarse_height - 0.5
    grid_x, grid_y = np.meshgrid(xs, ys)
    for push in pushes:
        distance = np.hypot(grid_x - push.center[0], grid_y - push.center[1])
        share = np.exp(-0.5 * (distance / push.radius_px) ** 2)
        grid_x, grid_y = grid_x - share * push.shift_px[0], grid_y - share * push.shift_px[1]
    a = frame_to_canvas
    canvas_x = (a[0, 0] * grid_x + a[0, 1] * grid_y + a[0, 2]).astype(np.float32)
    canvas_y = (a[1, 0] * grid_x + a[1, 1] * grid_y + a[1, 2]).astype(np.float32)
    rows, columns = displacement.shape[:2]
    to_grid_x = canvas_x * np.float32(columns / canvas_size[0])
    to_grid_y = canvas_y * np.float32(rows / canvas_size[1])
    shift = cv2.remap(
        displacement, to_grid_x, to_grid_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    maps = np.stack([canvas_x + shift[..., 0], canvas_y + shift[..., 1]], -1)
    full = cv2.resize(maps, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(full[..., 0]), np.ascontiguousarray(full[..., 1])


@dataclass(frozen=True, slots=True)
class Presence:
    """When an instrument is in the scene.

    Attributes:
        visits: half-open spans (enter_s, leave_s) in seconds, in order.
        travel_s: seconds that entering and leaving take.
    """

    visits: tuple[tuple[float, float], ...]
    travel_s: float

    def reach(self, time_s: float) -> float:
        """Return how far the instrument has come in: 0 (out of view) .. 1 (at work)."""
        reach = 0.0
        for enter_s, leave_s in self.visits:
            rise = np.clip((time_s - enter_s) / self.travel_s, 0, 1)
            fall = np.clip((leave_s - time_s) / self.travel_s, 0, 1)
            reach = max(reach, float(min(rise, fall)))
        return reach * reach * (3 - 2 * reach)


def random_presence(random: np.random.Generator, duration_s: float) -> Presence:
    """Draw a schedule in which an instrument enters, leaves and comes back."""
    travel_s = float(random.uniform(0.3, 1.2))
    visits = []
    now = float(random.uniform(-4, 2.5))
    while now < duration_s:
        stay = float(random.uniform(2.5, 9))
        visits.append((now, now + stay))
        now += stay + float(random.uniform(0.5, 3))
    return Presence(tuple(visits), travel_s)
