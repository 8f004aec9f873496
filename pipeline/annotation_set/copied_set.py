"""A finished annotation set, copied for the same video under another name or in another place."""

import os
import shutil
from pathlib import Path

from pipeline.annotation_set.files import write_manifest
from pipeline.annotation_set.reader import AnnotationSet
from pipeline.annotation_set.rows import SCHEMAS, part_name
from pipeline.manifest import VideoEntry
from pipeline.remedies import unwritable


def copy_set(finished: AnnotationSet, path: Path, video: VideoEntry) -> AnnotationSet:
    """Copy a set, and let the copy say where its video is; it is there as a whole or not at all.

    Args:
        finished: the set, which is complete.
        path: of the copy, where nothing is yet.
        video: the same video as the set's, by its other name.

    Raises:
        OutputError: the copy cannot be written.
    """
    draft = path.with_name(f".{path.name}.copied")
    try:
        # Of a process that was killed while it copied.
        shutil.rmtree(draft, ignore_errors=True)
        for table in SCHEMAS:
            (draft / table).mkdir(parents=True)
            for part in map(part_name, range(finished.manifest.parts)):
                _copy_file(finished.path / table / part, draft / table / part)
        write_manifest(draft, finished.manifest.model_copy(update={"video": video}))
        draft.rename(path)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise unwritable(path, error) from error
    return AnnotationSet(path)


def _copy_file(source: Path, target: Path) -> None:
    with source.open("rb") as read, target.open("wb") as written:
        shutil.copyfileobj(read, written)
        written.flush()
        # The manifest says that the parts are there, and must not outlive them.
        os.fsync(written.fileno())
