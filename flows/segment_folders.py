"""The hidden folders in which the segments of a video are annotated, beside its set."""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from pipeline.annotation_set.folders import taken_for_writing
from pipeline.errors import SetTakenError
from pipeline.manifest import Manifest
from pipeline.remedies import unwritable


def segments_folder(set_path: Path, manifest: Manifest) -> Path:
    """Return where the segments of a set are annotated.

    Args:
        set_path: of the set that they become.
        manifest: of that set. Under another plan, or of another video, the segments are others,
            and what a process that was killed has left of them is not in the way.
    """
    plan = [manifest.video.sha256, manifest.settings, manifest.models]
    key = hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()[:8]
    return set_path.with_name(f".{set_path.stem}.{key}.segments")


@contextmanager
def taken(folder: Path) -> Iterator[None]:
    """Make a folder of segments, and keep it from being removed for the time of the block.

    Raises:
        SetTakenError: another process annotates these segments.
        OutputError: it cannot be made.
    """
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(taken_for_writing(folder))
        except OSError as error:
            raise unwritable(folder, error) from error
        yield


def remove_left_segments(set_path: Path) -> None:
    """Remove the segments of a set that is finished, under whatever plan; not those of a process.

    Args:
        set_path: of the set.
    """
    own = re.compile(rf"\.{re.escape(set_path.stem)}(\.[0-9a-f]{{8}})?\.segments")
    for folder in set_path.parent.iterdir():
        if own.fullmatch(folder.name):
            # Those of a process that still annotates them, or of another user, stay.
            with suppress(SetTakenError, OSError), taken_for_writing(folder):
                shutil.rmtree(folder, ignore_errors=True)
