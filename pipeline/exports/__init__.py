"""Exports of annotation sets: one module a format, one registry."""

from collections.abc import Callable
from pathlib import Path

from pipeline.annotation_set import AnnotationSet
from pipeline.errors import InputError, UsageError
from pipeline.exports.davis import export_davis
from pipeline.exports.mp4 import export_mp4

EXPORTERS: dict[str, Callable[[AnnotationSet, Path], None]] = {
    "davis": export_davis,
    "mp4": export_mp4,
}


def export(annotation_set: AnnotationSet, format_name: str, path: Path) -> None:
    """Write a set in another format.

    Args:
        annotation_set: what to export; it must be complete.
        format_name: a key of `EXPORTERS`.
        path: file or folder to write.

    Raises:
        UsageError: the format is not known.
        InputError: the set is not complete.
        OutputError: the path cannot be written.
    """
    if format_name not in EXPORTERS:
        raise UsageError(f"unknown format {format_name}; choose one of {', '.join(EXPORTERS)}")
    if not annotation_set.is_complete:
        raise InputError(
            f"{annotation_set.path} is not complete ({annotation_set.manifest.state}); "
            "annotate the video again first"
        )
    EXPORTERS[format_name](annotation_set, path)
