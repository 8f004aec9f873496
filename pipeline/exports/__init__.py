"""Exports of annotation sets: one module a format, one registry."""

from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.exports.coco import export_coco, export_coco_splits
from pipeline.exports.cvat import export_cvat
from pipeline.exports.davis import export_davis
from pipeline.exports.label_studio import export_label_studio
from pipeline.exports.mp4 import export_mp4
from pipeline.exports.nnunet import export_nnunet, export_nnunet_splits
from pipeline.exports.sasvi import export_sasvi
from pipeline.exports.selection import ImageKind, Selection
from pipeline.exports.splits import Splits
from pipeline.exports.tables import export_csv, export_parquet
from pipeline.exports.yolo import export_yolo
from pipeline.exports.youtube_vis import export_youtube_vis

__all__ = ["EXPORTERS", "ImageKind", "Selection", "Splits", "export", "export_several"]


def _export_dicom_seg(selection: Selection, path: Path) -> None:
    # Its library takes a second to import, which whoever reads or writes other formats is spared.
    from pipeline.exports.dicom_seg import export_dicom_seg

    export_dicom_seg(selection, path)


EXPORTERS: dict[str, Callable[[Selection, Path], None]] = {
    "coco": export_coco,
    "csv": export_csv,
    "cvat": export_cvat,
    "davis": export_davis,
    "dicom-seg": _export_dicom_seg,
    "label-studio": export_label_studio,
    "mp4": export_mp4,
    "nnunet": export_nnunet,
    "parquet": export_parquet,
    "sasvi": export_sasvi,
    "youtube-vis": export_youtube_vis,
}

SPLITTERS: dict[str, Callable[[Sequence[Selection], Path, Splits], None]] = {
    "coco": export_coco_splits,
    "nnunet": export_nnunet_splits,
    "yolo": export_yolo,
}
"""Formats that hold several videos, divided among training, validation and test."""


def export(selection: Selection, format_name: str, path: Path) -> None:
    """Write a set in another format; of a set that is still being written, what is committed.

    Args:
        selection: what to export.
        format_name: a key of `EXPORTERS`.
        path: file or folder to write; it is there when it is complete, and not before.

    Raises:
        UsageError: the format is not known.
        InputError: the set is damaged, or pictures are wanted and the video is gone.
        OutputError: the path exists already or cannot be written.
    """
    if format_name not in EXPORTERS:
        raise UsageError(f"unknown format {format_name}; choose one of {', '.join(EXPORTERS)}")
    EXPORTERS[format_name](selection, path)


def export_several(
    selections: Sequence[Selection], format_name: str, path: Path, splits: Splits | None
) -> None:
    """Write one or more sets in another format; only those of `SPLITTERS` take more than one.

    Args:
        selections: what to export.
        format_name: a key of `EXPORTERS` or `SPLITTERS`.
        path: file or folder to write; it is there when it is complete, and not before.
        splits: how the videos are divided; None divides several by the usual shares, and leaves
            one whole where the format knows whole ones.

    Raises:
        UsageError: the format is not known, takes one set only, or does not divide videos.
        InputError: a set is damaged, or pictures are wanted and the video is gone.
        OutputError: the path exists already or cannot be written.
    """
    if splits is not None and format_name in SPLITTERS:
        splits.require_enough(len(selections))
    divided = len(selections) > 1 or splits is not None or format_name not in EXPORTERS
    if divided and format_name in SPLITTERS:
        SPLITTERS[format_name](selections, path, splits or Splits())
    elif len(selections) > 1:
        raise UsageError(f"{format_name} holds one video; export the sets one by one")
    elif splits is not None:
        raise UsageError(
            f"{format_name} divides no videos; leave out --splits, or choose one of "
            f"{', '.join(SPLITTERS)}"
        )
    else:
        export(selections[0], format_name, path)
