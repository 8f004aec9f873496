"""What of a set an export holds, noted in it, so that its import need not be told again."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from pipeline.exports.selection import Selection

NOTE_KEY = "scopeline"
"""Under this name formats with fields of their own hold notes."""
NOTE_FILE = "selection.json"
"""The file with notes beside pictures that hold none."""


class Note(BaseModel):
    """The part of a set that was exported, as `Selection` has it.

    Attributes:
        every: each Nth frame was exported.
        frames: and of these only some, by their indices; all if it is None.
        classes: names of the exported classes; all if there are none.
        min_area: smaller masks were left out, in pixels.
    """

    model_config = ConfigDict(frozen=True)

    every: Annotated[int, Field(ge=1)] = 1
    frames: frozenset[int] | None = None
    classes: tuple[str, ...] = ()
    min_area: Annotated[int, Field(ge=1)] = 1


def notes_of(*selections: Selection) -> dict[str, Any]:
    """Return what is noted of each set, by the names of their videos, for JSON."""
    return {selection.video_name: _note_of(selection) for selection in selections}


def _note_of(selection: Selection) -> dict[str, Any]:
    frames: Sequence[int] | None = None if selection.only is None else sorted(selection.only)
    return {
        "every": selection.every,
        "frames": frames,
        "classes": list(selection.classes),
        "min_area": selection.min_area,
    }
