"""When the overseer looks: on each Nth frame, or when something seems to have changed."""

from dataclasses import astuple, dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from pipeline.records import TrackedMasks
from pipeline.scene_changes import FrameSigns


class Finding(StrEnum):
    """What a look leaves to be done.

    Attributes:
        SETTLED: nothing.
        WAITING: something is to be confirmed by another look.
        ASTRAY: the tracker loses what it follows from one look to the next.
    """

    SETTLED = "settled"
    WAITING = "waiting"
    ASTRAY = "astray"


class LookSchedule(Protocol):
    """Decides which frames the overseer looks at."""

    def wants(self, frame_index: int, signs: FrameSigns) -> bool:
        """Return whether to look at a frame, whatever the tracker sees there."""

    def doubts(self, frame_index: int, tracked: TrackedMasks) -> bool:
        """Return whether what the tracker sees in a frame asks for a look at it."""

    def looked(self, frame_index: int, finding: Finding) -> None:
        """Take note of a look at a frame, and of what it leaves to be done."""

    def state(self) -> dict[str, Any]:
        """Return what it remembers, as JSON can hold it."""

    def restore(self, values: dict[str, Any]) -> None:
        """Go on from a state."""


@dataclass(slots=True)
class EveryNth:
    """Look at each Nth frame and after a cut.

    Attributes:
        frames: N.
    """

    frames: int = 5

    def wants(self, frame_index: int, signs: FrameSigns) -> bool:
        """Return True on each Nth frame and after a cut, if anything can be seen."""
        return not signs.unusable and (signs.cut or frame_index % self.frames == 0)

    def doubts(self, frame_index: int, tracked: TrackedMasks) -> bool:
        """Return False: what the tracker sees does not count."""
        del frame_index, tracked
        return False

    def looked(self, frame_index: int, finding: Finding) -> None:
        """Take note of nothing."""
        del frame_index, finding

    def state(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def restore(self, values: dict[str, Any]) -> None:
        """Take nothing."""
        del values


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveLookSettings:
    """Thresholds of adaptive looks.

    Attributes:
        calm_frames: frames between two looks while nothing happens.
        alert_frames: frames from a look to the next, at the least, when something happens.
        astray_frames: frames from a look to the next while the tracker goes astray, as it does in
            pictures unlike all that it has learned from.
        presence: a track that crosses this presence has come or gone.
        quality_drop: a predicted IoU that falls by this much since the last look is a doubt.
        area_change: a mask that grows or shrinks by this factor since the last look is one.
    """

    calm_frames: int = 8
    alert_frames: int = 3
    astray_frames: int = 1
    presence: float = 0.5
    quality_drop: float = 0.2
    area_change: float = 1.6


@dataclass(frozen=True, slots=True)
class _Seen:
    quality: float
    present: bool
    area: int


@dataclass(slots=True)
class Adaptive:
    """Look now and then, and at once when a track comes, goes, changes or becomes doubtful.

    Attributes:
        settings: thresholds.
    """

    settings: AdaptiveLookSettings = field(default_factory=AdaptiveLookSettings)
    _last_look: int | None = None
    _finding: Finding = Finding.SETTLED
    _seen: dict[int, _Seen] | None = None

    def wants(self, frame_index: int, signs: FrameSigns) -> bool:
        """Return True after a cut."""
        del frame_index
        return signs.cut and not signs.unusable

    def doubts(self, frame_index: int, tracked: TrackedMasks) -> bool:
        """Return whether the last look is long ago, or a track is not as it was then."""
        if self._last_look is None:
            return True
        if self._seen is None:
            # The frame after the look is the first that shows what its prompts have changed.
            self._seen = self._describe(tracked)
        waited = frame_index - self._last_look
        if waited >= self._patience():
            return True
        return waited >= self.settings.alert_frames and self._alarmed(tracked)

    def _patience(self) -> int:
        """Return how many frames after the last look the next one is due."""
        return {
            Finding.SETTLED: self.settings.calm_frames,
            Finding.WAITING: self.settings.alert_frames,
            Finding.ASTRAY: self.settings.astray_frames,
        }[self._finding]

    def _alarmed(self, tracked: TrackedMasks) -> bool:
        before = self._seen or {}
        return any(
            self._has_changed(before[track_id], seen)
            for track_id, seen in self._describe(tracked).items()
            if track_id in before
        )

    def looked(self, frame_index: int, finding: Finding) -> None:
        """Take what the look leaves as the state that later frames are compared with."""
        self._last_look, self._finding = frame_index, finding
        self._seen = None

    def state(self) -> dict[str, Any]:
        """Return what the last look has left, as JSON can hold it."""
        seen = self._seen
        return {
            "last_look": self._last_look,
            "finding": self._finding.value,
            "seen": None if seen is None else [[t, *astuple(was)] for t, was in seen.items()],
        }

    def restore(self, values: dict[str, Any]) -> None:
        """Go on from a state."""
        self._last_look, self._finding = values["last_look"], Finding(values["finding"])
        seen = values["seen"]
        self._seen = None if seen is None else {t: _Seen(*was) for t, *was in seen}

    def _describe(self, tracked: TrackedMasks) -> dict[int, _Seen]:
        areas = tracked.masks.sum((1, 2)).tolist()
        return {
            track_id: _Seen(
                quality=float(tracked.quality[row]),
                present=bool(tracked.presence[row] >= self.settings.presence),
                area=areas[row],
            )
            for row, track_id in enumerate(tracked.track_ids.tolist())
        }

    def _has_changed(self, before: _Seen, now: _Seen) -> bool:
        if before.present is not now.present:
            return True
        if not now.present:
            return False
        smaller, larger = sorted((before.area, now.area))
        return (
            before.quality - now.quality > self.settings.quality_drop
            or larger > self.settings.area_change * max(smaller, 1)
        )
