"""Files and folders that are there when they are complete, and not before."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import OutputError


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give a draft folder that is renamed to `path` once everything is in it.

    Raises:
        OutputError: the folder exists already or cannot be written.
    """
    draft = _draft_of(path)
    with _writing(path, draft):
        draft.mkdir(parents=True)
        yield draft
        draft.rename(path)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a draft file that is renamed to `path` once everything is in it.

    Raises:
        OutputError: the file exists already or cannot be written.
    """
    draft = _draft_of(path)
    with _writing(path, draft):
        path.parent.mkdir(parents=True, exist_ok=True)
        yield draft
        draft.rename(path)


def _draft_of(path: Path) -> Path:
    return path.with_name(f".{path.name}-{os.getpid()}.tmp")


@contextmanager
def _writing(path: Path, draft: Path) -> Iterator[None]:
    if path.exists():
        raise OutputError(f"{path} exists already; remove it or choose another --out")
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror or error}); free space or choose another "
            "--out"
        ) from error
    finally:
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)
