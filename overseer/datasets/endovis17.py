"""EndoVis 2017 (arXiv 1902.06426): `instrument_dataset_N` with a folder for each instrument."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from overseer.datasets.labelled_frames import (
    Instance,
    LabelledFrames,
    LabelledPicture,
    gather_frames,
)
from overseer.datasets.mask_pictures import read_fitting_values
from pipeline.errors import InputError
from pipeline.labels import LabelClass, LabelSet, default_color, numbered_class

_TYPES = (
    "Bipolar Forceps", "Prograsp Forceps", "Large Needle Driver", "Vessel Sealer",
    "Grasping Retractor", "Monopolar Curved Scissors", "Other",
)  # fmt: skip
_OTHER = "Other"
ENDOVIS17 = LabelSet(
    name="EndoVis 2017",
    classes=tuple(numbered_class(number, name) for number, name in enumerate(_TYPES, 1)),
)
"""The 7 kinds of instruments of EndoVis 2017."""

ENDOVIS17_PARTS = LabelSet(
    name="EndoVis 2017, parts",
    classes=tuple(
        LabelClass(id=number, name=name, kind="thing", color=default_color(number), value=value)
        for number, (name, value) in enumerate((("Shaft", 10), ("Wrist", 20), ("Claspers", 30)), 1)
    ),
)
"""The 3 parts of an instrument in EndoVis 2017, with the values of its masks."""


def read_endovis17(
    folder: Path, label_set: LabelSet | None, longest_side: int, *, classes: LabelSet
) -> LabelledFrames:
    """Read EndoVis 2017: `left_frames`, and the folders of `ground_truth`, each one instrument.

    A folder `instrument_dataset_N` is a video.

    Args:
        folder: holds the folders `instrument_dataset_N`, at any depth.
        label_set: must be None, since the folders say what the instruments are.
        longest_side: larger pictures are shrunk to this many pixels.
        classes: `ENDOVIS17`, or `ENDOVIS17_PARTS`, which leaves "Other" out, as it has no parts.

    Raises:
        InputError: labels are given, or no frame can be used.
    """
    if label_set is not None:
        raise InputError(f"{folder}: EndoVis 2017 has classes of its own; leave out --labels")
    read = _parts if classes is ENDOVIS17_PARTS else _instruments
    pictures = [
        LabelledPicture(
            path=path, video=path.parent.parent.name, read_instances=partial(read, path)
        )
        for path in sorted(folder.rglob("left_frames/*.png"))
    ]
    wanted = "folder left_frames with pictures (*.png)"
    return gather_frames(folder, pictures, classes, longest_side, wanted=wanted)


def _instruments(picture: Path, size: tuple[int, int]) -> Iterator[Instance]:
    for mask in _masks_of(picture):
        region = read_fitting_values(picture, mask, size) > 0
        if region.any():
            yield _type_of(mask.parent), region


def _parts(picture: Path, size: tuple[int, int]) -> Iterator[Instance]:
    for mask in _masks_of(picture):
        values = read_fitting_values(picture, mask, size)
        if _type_of(mask.parent) == _TYPES.index(_OTHER) + 1:
            continue
        known = {label.value: label.id for label in ENDOVIS17_PARTS.classes}
        for value in np.unique(values).tolist():
            if value and value not in known:
                raise InputError(f"{mask} has the value {value}; parts are 10, 20 and 30")
            if value:
                yield known[value], values == value


def _masks_of(picture: Path) -> list[Path]:
    """Return the mask of each instrument's folder."""
    truth = picture.parent.parent / "ground_truth"
    # Most are called `Left_Prograsp_Forceps_labels`, those of some videos `Prograsp_Forceps`.
    folders = sorted(
        folder for folder in truth.glob("*") if folder.is_dir() and folder.name[0] != "."
    )
    if not folders:
        raise InputError(
            f"{picture} has no folder ground_truth with masks beside left_frames; unpack the "
            "labels there"
        )
    return [folder / picture.name for folder in folders]


def _type_of(folder: Path) -> int:
    """Return the class of an instrument's folder, such as `Left_Prograsp_Forceps_labels`."""
    for number, name in enumerate(_TYPES, 1):
        if name.replace(" ", "_") in folder.name:
            return number
    raise InputError(f"{folder} names no instrument of EndoVis 2017: {', '.join(_TYPES)}")
