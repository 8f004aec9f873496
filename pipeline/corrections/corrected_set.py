"""A set of corrections: what a human changed in another set, which it names."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from pipeline.annotation_set import AnnotationSet
from pipeline.annotation_set.writer import AnnotationSetWriter
from pipeline.corrections.plan import Deletions
from pipeline.errors import InputError
from pipeline.manifest import Manifest
from pipeline.records import FrameAnnotation

# In the settings of a set of corrections, and in those of a set that has taken some over.
_KEY, _KEY_DONE = "corrects", "corrected"
_DELETED = "deleted"


class _TakenOver(BaseModel):
    """Corrections that a set has taken over; where tracks were deleted is of all until then."""

    deleted: dict[int, dict[int, tuple[int, int]]] = Field(default_factory=dict)


_ALL_TAKEN_OVER = TypeAdapter(list[_TakenOver])


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrections:
    """A set of corrections with the set that they correct.

    In the set of corrections, each frame that the human saw has a row, and of its tracks those
    that were changed. An empty mask says that a track is not there. All masks are of human
    origin.

    Attributes:
        changes: the corrections.
        corrected: the set that they correct.
    """

    changes: AnnotationSet
    corrected: AnnotationSet


def write_corrections(
    path: Path, frames: Iterable[FrameAnnotation], corrected: AnnotationSet, source: Path
) -> AnnotationSet:
    """Write corrections as an annotation set, with the video and the classes of what they correct.

    Args:
        path: the folder `NAME.annset` to write.
        frames: each frame that the human saw, with its changed tracks.
        corrected: the set that they correct.
        source: the file that the human corrected.

    Raises:
        OutputError: the folder holds a finished set or cannot be written.
    """
    manifest = Manifest(
        video=corrected.manifest.video,
        labels=corrected.manifest.labels,
        settings={
            _KEY: {
                "set": str(corrected.path.resolve()),
                "sha256": corrected.fingerprint(),
                "source": source.name,
            }
        },
    )
    with AnnotationSetWriter(path, manifest) as writer:
        for frame in frames:
            writer.add(frame)
    return AnnotationSet(path)


def is_of_corrections(annotated: AnnotationSet) -> bool:
    """Return whether a set holds corrections of another one, and nothing else."""
    return _KEY in annotated.manifest.settings


def refuse_corrections(annotated: AnnotationSet) -> None:
    """Check that a set says what its frames show: one of corrections says what was changed there.

    Raises:
        InputError: it holds corrections of another one.
    """
    if is_of_corrections(annotated):
        raise InputError(
            f"{annotated.path} holds corrections alone; take them over by `scopeline annotate "
            "--corrections` and give the set that it writes"
        )


def open_corrections(path: Path) -> Corrections:
    """Open a set of corrections, and the set that its manifest says it corrects.

    Raises:
        InputError: it is no finished set of corrections, or the corrected set is gone, changed
            or unfinished.
    """
    changes = AnnotationSet(path)
    entry = changes.manifest.settings.get(_KEY)
    is_known = isinstance(entry, dict) and {"set", "sha256"} <= entry.keys()
    if entry is None or not is_known or not changes.is_complete:
        raise InputError(
            f"{path} is not a finished set of corrections; make one with `scopeline import`"
        )
    corrected = AnnotationSet(Path(entry["set"]))
    if corrected.fingerprint() != entry["sha256"]:
        raise InputError(
            f"{corrected.path} has changed since {path} was made; run `scopeline import` again"
        )
    require_complete(corrected)
    return Corrections(changes=changes, corrected=corrected)


def require_complete(corrected: AnnotationSet) -> None:
    """Check that a set can be corrected.

    Raises:
        InputError: it is not complete.
    """
    if not corrected.is_complete:
        raise InputError(
            f"{corrected.path} is not complete; annotate the video to its end, export and correct "
            "it again"
        )


def deletions_of(annotated: AnnotationSet) -> Deletions:
    """Return where tracks are not in a set, since a human deleted them there.

    Raises:
        InputError: the manifest says it in no readable way.
    """
    try:
        taken_over = _ALL_TAKEN_OVER.validate_python(annotated.manifest.settings.get(_KEY_DONE, []))
    except ValidationError as error:
        raise InputError(
            f"{annotated.path}/manifest.json has no readable list of deletions; correct the set "
            "that it was made from"
        ) from error
    return {
        track_id: {frame: range(*span) for frame, span in of_track.items()}
        for entry in taken_over[-1:]
        for track_id, of_track in entry.deleted.items()
    }


def settings_after(corrections: Corrections, deletions: Deletions) -> dict[str, Any]:
    """Return the corrected set's settings, with these corrections added to those before.

    Only the last entry says where tracks were deleted.

    Args:
        corrections: what is taken over.
        deletions: those that hold from now on.
    """
    settings = dict(corrections.corrected.manifest.settings)
    entry = {
        "set": corrections.corrected.fingerprint(),
        "corrections": corrections.changes.fingerprint(),
        _DELETED: {
            str(track_id): {str(frame): [span.start, span.stop] for frame, span in spans.items()}
            for track_id, spans in deletions.items()
        },
    }
    earlier = [
        {name: value for name, value in taken_over.items() if name != _DELETED}
        for taken_over in settings.get(_KEY_DONE, [])
    ]
    return settings | {_KEY_DONE: [*earlier, entry]}
