"""Tracks that share one object, until enough looks in a row have shown it."""

from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.policies.constellation.matching import Matches
from pipeline.policies.constellation.settings import ConstellationSettings
from pipeline.records import TrackedMasks


class Twins:
    """Pairs of tracks that claim the same pixels; the older one goes on in the end.

    Args:
        settings: how many looks it takes.
    """

    def __init__(self, settings: ConstellationSettings) -> None:
        self._settings = settings
        self._looks: dict[tuple[int, int], int] = {}

    def forget(self) -> None:
        """Count from the start: what is seen next is another picture."""
        self._looks = {}

    def merge(
        self, pairs: Iterable[tuple[int, int]], tracked: TrackedMasks, explained: Matches
    ) -> set[int]:
        """Return the rows that end; what the overseer sees of them goes to the older tracks.

        Args:
            pairs: ids of tracks that are twins at this look.
            tracked: the masks of the frame.
            explained: which detection is which track, which is changed.
        """
        # Ids ascend with the tracks' first frames; those of given tracks come before all.
        self._looks = {
            (older, younger): self._looks.get((older, younger), 0) + 1
            for older, younger in map(sorted, pairs)
        }
        merged: set[int] = set()
        rows = {track_id: row for row, track_id in enumerate(tracked.track_ids.tolist())}
        for (older, younger), looks in self._looks.items():
            # The older one may just have taken over what the overseer sees of a third.
            told_apart = {rows[older], rows[younger]} <= set(explained.values())
            if looks < self._settings.merge_looks or rows[older] in merged or told_apart:
                continue
            merged.add(rows[younger])
            for number, row in explained.items():
                if row == rows[younger]:
                    explained[number] = rows[older]
        return merged

    def state(self) -> list[list[int]]:
        """Return what JSON can hold of them."""
        return [[*pair, looks] for pair, looks in self._looks.items()]

    def restore(self, values: Sequence[Any]) -> None:
        """Go on from a state."""
        self._looks = {(older, younger): looks for older, younger, looks in values}
