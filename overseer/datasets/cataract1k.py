"""Cataract-1K (arXiv 2312.06295) in Supervisely's format: `case_*/img` and `case_*/ann`."""

import json
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from overseer.datasets.labelled_frames import (
    Instance,
    LabelledFrames,
    LabelledPicture,
    check_size,
    gather_frames,
    polygon_mask,
)
from overseer.label_sets import CATARACT1K, CATARACT1K_TISSUES
from pipeline.errors import InputError
from pipeline.labels import LabelSet

# What some of the cases call these classes.
_OTHER_TITLES = {"cornea1": "Cornea", "pupil1": "Pupil"}


def read_cataract1k(folder: Path, label_set: LabelSet | None, longest_side: int) -> LabelledFrames:
    """Read Cataract-1K; tissues lie below instruments, the pupil in the cornea, the lens in it.

    Args:
        folder: holds the folders `case_*`, at any depth.
        label_set: instead of Cataract-1K's own, by name.
        longest_side: larger pictures are shrunk to this many pixels.

    Raises:
        InputError: no frame can be used.
    """
    classes = label_set or CATARACT1K
    pictures = [
        LabelledPicture(
            path=file.parent.parent / "img" / file.name.removesuffix(".json"),
            video=file.parent.parent.name,
            read_instances=partial(_instances, file, classes),
        )
        for file in sorted(folder.rglob("ann/*.json"))
    ]
    wanted = "folder ann with JSON files"
    return gather_frames(folder, pictures, classes, longest_side, wanted=wanted)


def _instances(file: Path, label_set: LabelSet, size: tuple[int, int]) -> list[Instance]:
    numbers = {label.name: label.id for label in label_set.classes}
    try:
        document = json.loads(file.read_bytes())
        declared = (int(document["size"]["height"]), int(document["size"]["width"]))
        objects = [_object(entry, numbers) for entry in document["objects"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} is no Supervisely file ({error}); repair or remove it") from error
    check_size(file, declared, size)
    unknown = {name for name, _, _ in objects} - numbers.keys()
    if unknown:
        raise InputError(
            f"{file} has the class {min(unknown)!r}, which label set {label_set.name} does not know"
            "; add it to --labels"
        )
    order = {name: number for number, name in enumerate(CATARACT1K_TISSUES)}
    objects.sort(key=lambda entry: order.get(entry[0], len(order)))
    instances: list[Instance] = []
    for name, exterior, holes in objects:
        try:
            mask = polygon_mask([exterior], size)
            for hole in holes:
                mask &= ~polygon_mask([hole], size)
        except ValueError as error:
            raise InputError(
                f"{file} has an outline of {name} that cannot be filled ({error}); repair it"
            ) from error
        instances.append((numbers[name], mask))
    return instances


def _object(
    entry: dict[str, Any], known: Collection[str]
) -> tuple[str, list[float], list[list[float]]]:
    """Return class name, flat outline and flat outlines of the holes; some names are known."""
    points, title = entry["points"], str(entry["classTitle"])
    name = title if title in known else _OTHER_TITLES.get(title, title)
    return name, _flat(points["exterior"]), [_flat(hole) for hole in points.get("interior", [])]


def _flat(points: list[list[float]]) -> list[float]:
    flat: list[float] = np.asarray(points, np.float64).ravel().tolist()
    if len(flat) < 6:
        raise ValueError("an outline has fewer than 3 points")
    return flat
