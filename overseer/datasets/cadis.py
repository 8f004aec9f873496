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
from overseer.label_sets import (
    CADIS_IGNORED,
    CADIS_PARTS,
    CADIS_TISSUES,
    CADIS_TYPES,
    CADIS_VALUES,
)
from pipeline.errors import InputError
from pipeline.labels import CADIS, LabelSet

_RAW_VALUES = 36


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
    wanted = "folder Images with pictures (*.png)"
    return gather_frames(folder, pictures, classes, longest_side, wanted=wanted)


def _class_of_value(experiment: int) -> NDArray[np.int64]:
    """Return int64[36]: the class of each raw value, or that it is ignored."""
    table = np.arange(_RAW_VALUES)
    table[CADIS_TISSUES:] = CADIS_IGNORED
    if experiment == 1:
        table[CADIS_TISSUES:] = CADIS_TISSUES
    elif experiment == 2:
        for class_id, values in enumerate(CADIS_VALUES.values(), CADIS_TISSUES):
            table[list(values)] = class_id
    else:
        last = len(CADIS_PARTS.classes)
        table[CADIS_TISSUES:last] = np.arange(CADIS_TISSUES, last)
    return table


def _instances(
    picture: Path, classes: LabelSet, class_of_value: NDArray[np.int64], size: tuple[int, int]
) -> list[Instance]:
    mask = picture.parent.parent / "Labels" / picture.name
    values = read_fitting_values(picture, mask, size)
    if values.max() >= _RAW_VALUES:
        raise InputError(f"{mask} has the value {values.max()}; CaDIS has 0 to {_RAW_VALUES - 1}")
    return list(instances_of_values(class_of_value[values], classes, mask))
