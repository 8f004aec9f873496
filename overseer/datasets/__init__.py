"""Labelled data sets of other makers, read as labelled frames: one module for each layout."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from overseer.datasets.annotation_sets import read_annotation_sets
from overseer.datasets.autolaparo import read_autolaparo
from overseer.datasets.cadis import read_cadis
from overseer.datasets.cataract1k import read_cataract1k
from overseer.datasets.coco import read_coco, read_endoscapes
from overseer.datasets.cvat import read_cvat
from overseer.datasets.endovis17 import ENDOVIS17, ENDOVIS17_PARTS, read_endovis17
from overseer.datasets.endovis18 import read_endovis18
from overseer.datasets.labelled_frames import LabelledFrames
from overseer.datasets.labelme import read_cholec_instance_seg, read_labelme
from overseer.datasets.mask_pictures import read_cholecseg8k, read_mask_pictures
from pipeline.errors import InputError, UsageError
from pipeline.labels import LabelSet

__all__ = ["LAYOUTS", "WITH_OWN_CLASSES", "LabelledFrames", "read_labelled_frames"]

Reader = Callable[[Path, LabelSet | None, int], LabelledFrames]
LAYOUTS: dict[str, Reader] = {
    "annset": read_annotation_sets,
    "autolaparo": read_autolaparo,
    "cadis": partial(read_cadis, experiment=2),
    "cadis-1": partial(read_cadis, experiment=1),
    "cadis-3": partial(read_cadis, experiment=3),
    "cataract1k": read_cataract1k,
    "cholecinstanceseg": read_cholec_instance_seg,
    "cholecseg8k": read_cholecseg8k,
    "coco": read_coco,
    "cvat": read_cvat,
    "endoscapes": read_endoscapes,
    "endovis17": partial(read_endovis17, classes=ENDOVIS17),
    "endovis17-parts": partial(read_endovis17, classes=ENDOVIS17_PARTS),
    "endovis18": read_endovis18,
    "labelme": read_labelme,
    "masks": read_mask_pictures,
}
# Layouts that say themselves what their classes are, and refuse labels.
WITH_OWN_CLASSES = frozenset(
    {"annset", "cadis", "cadis-1", "cadis-3", "endovis17", "endovis17-parts"}
)


def read_labelled_frames(
    folder: Path, layout: str, label_set: LabelSet | None, longest_side: int
) -> LabelledFrames:
    """Read the labelled frames of a data set.

    Args:
        folder: the data set.
        layout: one of `LAYOUTS`.
        label_set: what its labels mean; None where the data set says it itself.
        longest_side: larger pictures are shrunk to this many pixels.

    Raises:
        UsageError: the layout is not known.
        InputError: there is no such folder, or nothing in it can be used.
    """
    if layout not in LAYOUTS:
        raise UsageError(f"unknown layout {layout}; choose one of {', '.join(LAYOUTS)}")
    if not folder.exists():
        raise InputError(f"{folder} does not exist; give the folder of a data set")
    if not folder.is_dir():
        raise InputError(f"{folder} is a file; give the folder of a data set")
    try:
        return LAYOUTS[layout](folder, label_set, longest_side)
    # What is in files that others wrote may be anything.
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise InputError(
            f"{folder} cannot be read as {layout} ({error}); repair it, or choose another --layout"
        ) from error
