"""Read corrections from indexed PNGs as the `davis` export writes them."""

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.exports.selection import Selection
from pipeline.imports.drawing import (
    Classes,
    Drawing,
    DrawnObject,
    Tracks,
    frame_of_name,
    given_track,
)
from pipeline.mask_folder import read_mask_values
from pipeline.masks import decode_mask, encode_mask
from pipeline.picture_files import list_images
from pipeline.records import TrackAnnotation


def read_davis(path: Path, selection: Selection) -> Drawing:
    """Read the PNGs of a folder and its `objects.csv`.

    An object that was drawn anew needs a line in `objects.csv` with its value and its class; its
    track id may be left empty.

    Args:
        path: the folder.
        selection: what was exported.

    Raises:
        InputError: a picture or `objects.csv` is missing or damaged, a value is not known, or two
            pictures are of one frame.
    """
    classes = Classes(selection, path)
    meanings = _meanings(path, classes)
    objects = {}
    for file in list_images(path):
        if file.suffix.lower() == ".png":
            frame_index = frame_of_name(file.name, path)
            if frame_index in objects:
                raise InputError(
                    f"{path} has two pictures of frame {frame_index}, one of them {file.name}; "
                    "remove the one that was not corrected"
                )
            objects[frame_index] = _drawn(file, meanings, selection.size)
    if not objects:
        raise InputError(f"{path} holds no PNGs; give the folder that was exported")
    return Drawing(
        path=path,
        objects=objects,
        shown=frozenset(objects),
        class_ids=classes.ids,
        as_exported=_painted,
    )


def _meanings(folder: Path, classes: Classes) -> Mapping[int, tuple[int | None, int]]:
    """Return track and class of each value."""
    path = folder / "objects.csv"
    try:
        # Spreadsheets put a byte order mark before the first column's name.
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            meanings = {}
            for row in rows:
                if None in row.values():
                    raise ValueError(f"line {rows.line_num} ends too early")
                meaning = given_track(row["track_id"]), classes[row["class"]]
                meanings[int(row["value"])] = meaning
            return meanings
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is missing or damaged ({error}); it needs the columns value, track_id and "
            "class"
        ) from error


def _drawn(
    file: Path, meanings: Mapping[int, tuple[int | None, int]], size: tuple[int, int]
) -> list[DrawnObject]:
    values: NDArray[np.integer] = read_mask_values(file)
    if values.shape != size:
        raise InputError(
            f"{file} is {values.shape[1]}x{values.shape[0]}, the video {size[1]}x{size[0]}; draw "
            "at the video's size"
        )
    drawn = []
    # As narrow as they can be, and column by column, as masks are encoded.
    values = np.asfortranarray(values.astype(np.min_scalar_type(values.max())))
    for value in np.unique(values[values != 0]).tolist():
        if value not in meanings:
            raise InputError(
                f"{file} has the value {value}, which objects.csv does not know; add a line with "
                "the value and its class, or save the picture as an indexed PNG"
            )
        track_id, class_id = meanings[value]
        drawn.append(
            DrawnObject(
                class_id=class_id,
                rle=encode_mask(values == value),
                track_id=track_id,
                entry=f"value {value}",
            )
        )
    return drawn


def _painted(tracks: Tracks) -> Tracks:
    """Return tracks as a picture shows them: what is painted later hides what is below."""
    shown: list[TrackAnnotation] = []
    hidden = None
    for track in reversed(tracks):
        mask = decode_mask(track.rle)
        hidden = np.zeros_like(mask) if hidden is None else hidden
        # Few are hidden anywhere; encoding the others again would take most of the time.
        if (mask & hidden).any():
            visible = mask & ~hidden
            if visible.any():
                shown.append(replace(track, rle=encode_mask(visible)))
        elif mask.any():
            shown.append(track)
        hidden |= mask
    return tuple(reversed(shown))
