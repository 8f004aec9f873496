"""Sorts what is written of a video by track on disk, since a long video does not fit in memory."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TrackKey = tuple[int, int]


class TrackSpool:
    """Keeps lines for each track, in the order in which they come.

    Args:
        folder: exists, and belongs to the spool alone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._keys: set[TrackKey] = set()

    def add(self, key: TrackKey, line: dict[str, Any]) -> None:
        """Keep a line of JSON values for a track, given as (track id, class id)."""
        self._keys.add(key)
        with self._file(key).open("a") as file:
            file.write(json.dumps(line) + "\n")

    def tracks(self) -> list[TrackKey]:
        """Return the tracks that have lines, in the order of their ids."""
        return sorted(self._keys)

    def lines(self, key: TrackKey) -> Iterator[dict[str, Any]]:
        """Yield the lines of a track."""
        with self._file(key).open() as file:
            yield from map(json.loads, file)

    def _file(self, key: TrackKey) -> Path:
        return self._folder / f"{key[0]}-{key[1]}.jsonl"
