"""The instruments of a scene: which there are, and how they are drawn."""

import numpy as np
from numpy.typing import NDArray

from samples.theatre.canvas import Canvas
from samples.theatre.effects import Effects
from samples.theatre.instruments import Instrument, Kind, draw_part
from samples.theatre.looks import FamilyName, Look, draw_style
from samples.theatre.motion import Push
from samples.theatre.optics import Optics
from samples.theatre.timeline import FRAME_RATE

# Stuff classes have one track each, with small numbers; instruments count on from here.
FIRST_INSTRUMENT_TRACK = 101


class Roster:
    """The instruments that come and go in a scene.

    Args:
        random: which there are, and how they move, follows from it.
        extra: their style follows from it.
        look: the kind of operation.
        family: where their looks come from.
        size: (width, height) of a frame in pixels.
        duration_s: of the scene.
        effects: how many are twins, whether they push tissue, blur and reflect.
    """

    def __init__(
        self,
        random: np.random.Generator,
        extra: np.random.Generator,
        *,
        look: Look,
        family: FamilyName,
        size: tuple[int, int],
        duration_s: float,
        effects: Effects,
    ) -> None:
        kinds = list(look.class_of_kind)
        roster: list[Kind] = [kinds[0]] * int(random.choice(4, p=[0.05, 0.35, 0.45, 0.15]))
        if random.random() < 0.55:
            roster.append(kinds[1])
        random.shuffle(roster)
        self.tools = [
            Instrument(
                random,
                kind=kind,
                class_id=look.class_of_kind[kind],
                track_id=FIRST_INSTRUMENT_TRACK + number,
                duration_s=duration_s,
                style=draw_style(extra, family, look.instrument_width),
            )
            for number, kind in enumerate(roster)
        ]
        pairs = list(zip(self.tools[::2], self.tools[1::2], strict=False))
        for first, second in pairs[: effects.twins]:
            second.look_like(first)
        self._size = size
        self._effects = effects

    def pushes(self, time_s: float) -> list[Push]:
        """Return where instruments' tips push the tissue aside."""
        pushes = []
        height = self._size[1]
        for tool in self.tools if self._effects.push else ():
            found = tool.tip(time_s, self._size)
            if found is not None:
                tip, along_shaft = found
                shift_px = -along_shaft * self._effects.push * height
                pushes.append(Push(center=tip, shift_px=shift_px, radius_px=0.13 * height))
        return pushes

    def draw(self, canvas: Canvas, optics: Optics, time_s: float) -> None:
        """Draw them over what the canvas shows, with their shadows on it."""
        for tool in self.tools:
            if tool.tip(time_s, self._size) is None:
                continue
            coverage, drawn = self._exposed(tool, canvas.image, time_s)
            if not coverage.any():
                continue
            image = canvas.image
            optics.cast_shadow(image, coverage)
            blend = coverage[..., None]
            np.copyto(image, drawn * blend + image * (1 - blend))
            track = np.full(coverage.shape, tool.track_id, np.uint8)
            canvas.cover(track, coverage > 0.5)

    def _exposed(
        self, tool: Instrument, image: NDArray[np.float32], time_s: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Draw an instrument as it moves while the shutter is open.

        Returns:
            coverage float32[H, W], 0..1, and picture float32[H, W, 3].
        """
        moments = [time_s]
        if self._effects.shutter:
            half_s = 0.4 * self._effects.shutter / FRAME_RATE
            ends = [tool.tip(time_s + offset_s, self._size) for offset_s in (-half_s, half_s)]
            if all(ends) and np.hypot(*(ends[0][0] - ends[1][0])) > 1.5:  # type: ignore[index]
                moments = [time_s - half_s, time_s, time_s + half_s]
        coverages, pictures = [], []
        for moment_s in moments:
            coverage = np.zeros(image.shape[:2], np.float32)
            drawn = image.copy()
            for part in tool.parts(moment_s, self._size):
                draw_part(drawn, coverage, part, self._effects.reflection)
            coverages.append(coverage)
            pictures.append(drawn)
        if len(moments) == 1:
            return coverages[0], pictures[0]
        return np.mean(coverages, 0, np.float32), np.mean(pictures, 0, np.float32)
