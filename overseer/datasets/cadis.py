"""CaDIS (arXiv 1906.11586): `VideoNN/Images` and `VideoNN/Labels`, in its three experiments."""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from overseer.datasets.labelled_frames import (
    Instance,
    LabelledFrames,
    LabelledPicture,
    gather_frames,
    instances_of_values,
)
from overseer.datasets.mask_pictures import read_fitting_values
from pipeline.errors import InputError
from pipeline.labels import CADIS, LabelSet, numbered_class

_IGNORED = 255
_RAW_VALUES = 36
_TISSUES = 7
_TYPES: dict[str, tuple[int, ...]] = {
    "Cannula": (7, 8, 10, 20, 27, 32),
    "Cap. cystotome": (9, 22),
    "Tissue forceps": (11, 33),
    "Primary knife": (12, 28),
    "Ph. handpiece": (13, 21),
    "Lens injector": (14, 24),
    "I/A handpiece": (15, 18),
    "Secondary knife": (16, 23),
    "Micromanipulator": (17,),
    "Cap. forceps": (19,),
}
_PARTS = (
    "Hydro. cannula", "Visc. cannula", "Cap. cystotome", "Rycroft cannula", "Bonn forceps",
    "Primary knife", "Ph. handpiece", "Lens injector", "I/A handpiece", "Secondary knife",
    "Micromanipulator", "I/A handle", "Cap. forceps", "R. cannula handle", "Ph. handle",
    "Cystotome handle", "Sec. knife handle", "Lens injector handle",
)  # fmt: skip


def _with_instruments(name: str, instruments: tuple[str, ...]) -> LabelSet:
    things = (numbered_class(number, text) for number, text in enumerate(instruments, _TISSUES))
    classes = (*CADIS.classes[:_TISSUES], *things)
    return LabelSet(name=name, classes=classes, ignored_values=(_IGNORED,))


CADIS_TYPES = _with_instruments("CaDIS, experiment II", tuple(_TYPES))
"""CaDIS' experiment II: 7 tissues and 10 kinds of instruments."""

CADIS_PARTS = _with_instruments("CaDIS, experiment III", _PARTS)
"""CaDIS' experiment III: 7 tissues and 18 instruments and handles."""


def read_cadis(
    folder: Path, label_set: LabelSet | None, longest_side: int, *, experiment: int
) -> LabelledFrames:
    """Read CaDIS.

    Args:
        folder: holds the folders `VideoNN`.
        label_set: must be None, since the experiment gives the classes.
        longest_side: larger pictures are shrunk to this many pixels.
        experiment: 1 (all instruments are one class), 2 (kinds) or 3 (instruments and handles).

    Raises:
        InputError: labels are given, or no frame can be used.
    """
    if label_set is not None:
        raise InputError(f"{folder}: CaDIS has classes of its own; leave out --labels")
    classes = {1: CADIS, 2: CADIS_TYPES, 3: CADIS_PARTS}[experiment]
    class_of_value = _class_of_value(experiment)
    pictures = [
        LabelledPicture(
            path=path,
            video=path.parent.parent.name,
            read_instances=partial(_instances, path, classes, class_of_value),
        )
        for path in sorted(folder.rglob("Images/*.png"))
    ]
    return gather_frames(folder, pictures, classes, longest_side)


def _class_of_value(experiment: int) -> NDArray[np.int64]:
    """Return int64[36]: the class of each raw value, or that it is ignored."""
    table = np.arange(_RAW_VALUES)
    table[_TISSUES:] = _IGNORED
    if experiment == 1:
        table[_TISSUES:] = _TISSUES
    elif experiment == 2:
        for class_id, values in enumerate(_TYPES.values(), _TISSUES):
            table[list(values)] = class_id
    else:
        last = _TISSUES + len(_PARTS)
        table[_TISSUES:last] = np.arange(_TISSUES, last)
    return table


def _instances(
    picture: Path, classes: LabelSet, class_of_value: NDArray[np.int64], size: tuple[int, int]
) -> list[Instance]:
    mask = picture.parent.parent / "Labels" / picture.name
    values = read_fitting_values(picture, mask, size)
    if values.max() >= _RAW_VALUES:
        raise InputError(f"{mask} has the value {values.max()}; CaDIS has 0 to {_RAW_VALUES - 1}")
    return list(instances_of_values(class_of_value[values], classes, mask))
