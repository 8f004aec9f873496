"""When the overseer looks: on each Nth frame, or when something seems to have changed."""

from dataclasses import astuple, dataclass, field
from typing import Any, Protocol

from pipeline.records import TrackedMasks
from pipeline.scene_changes import FrameSigns


class LookSchedule(Protocol):
    """Decides which frames the overseer looks at."""

    def wants(self, frame_index: int, signs: FrameSigns) -> bool:
        """Return whether to look at a frame, whatever the tracker sees there."""

    def doubts(self, frame_index: int, tracked: TrackedMasks) -> bool:
        """Return whether what the tracker sees in a frame asks for a look at it."""

    def looked(self, frame_index: int, *, settled: bool) -> None:
        """Take note of a look.

        Args:
            frame_index: the frame.
            settled: nothing waits to be confirmed by another look.
        """

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

    def looked(self, frame_index: int, *, settled: bool) -> None:
        """Take note of nothing."""
        del frame_index, settled

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
        presence: a track that crosses this presence has come or gone.
        quality_drop: a predicted IoU that falls by this much since the last look is a doubt.
        area_change: a mask that grows or shrinks by this factor since the last look is one.
    """

    calm_frames: int = 8
    alert_frames: int = 3
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
    _settled: bool = True
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
        if waited < self.settings.alert_frames:
            return False
        return waited >= self.settings.calm_frames or not self._settled or self._alarmed(tracked)

    def _alarmed(self, tracked: TrackedMasks) -> bool:
        before = self._seen or {}
        return any(
            self._has_changed(before[track_id], seen)
            for track_id, seen in self._describe(tracked).items()
            if track_id in before
        )

    def looked(self, frame_index: int, *, settled: bool) -> None:
        """Take what the look leaves as the state that later frames are compared with."""
        self._last_look, self._settled = frame_index, settled
        self._seen = None

    def state(self) -> dict[str, Any]:
        """Return what the last look has left, as JSON can hold it."""
        seen = self._seen
        return {
            "last_look": self._last_look,
            "settled": self._settled,
            "seen": None if seen is None else [[t, *astuple(was)] for t, was in seen.items()],
        }

    def restore(self, values: dict[str, Any]) -> None:
        """Go on from a state."""
        self._last_look, self._settled = values["last_look"], values["settled"]
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
