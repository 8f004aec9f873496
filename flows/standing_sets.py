"""The set that stands in a job's place: kept, refused, or out of the way of the next."""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from flows.job_identity import told_by_content, without_names
from pipeline.annotation_set import SUFFIX, AnnotationSet
from pipeline.annotation_set.copied_set import copy_set
from pipeline.annotation_set.folders import move_aside, remove_set, require_replaceable
from pipeline.errors import InputError, SetOfAnotherJobError
from pipeline.manifest import Manifest
from pipeline.remedies import unwritable

# File systems take names of 255 bytes; beside a set, files and folders are called after it.
_LONGEST_NAME_BYTES = 230


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """How a set was made, or is to be made, of whichever video; see `job_identity`.

    Attributes:
        settings: of the job.
        models: of the job, by role.
    """

    settings: Mapping[str, Any]
    models: Mapping[str, Mapping[str, str]]


class Outdated(StrEnum):
    """What becomes of a set in a job's place whose video held something else when it was made."""

    REFUSED = "refused"
    REPLACED = "replaced"


def set_to_keep(path: Path, manifest: Manifest, *, resume: bool) -> AnnotationSet | None:
    """Return the set of the very same job in a place, finished or not.

    Args:
        path: where the set is.
        manifest: of the job.
        resume: whether the set is kept at all; otherwise one that is there is to be replaced.

    Raises:
        InputError: what is there cannot be read, or no file can be called so.
        SetOfAnotherJobError: there is a set of another job, which is to be kept.
        OutputError: there is something else, which is no set, or it cannot be looked at.
    """
    _refuse_long_name(path, manifest)
    there = _is_there(path)
    if not resume:
        require_replaceable(path)
        return None
    if not there:
        return None
    existing = AnnotationSet(path)
    if _is_of_the_job(existing.manifest, manifest):
        return existing
    raise SetOfAnotherJobError(
        f"{_difference(existing, manifest)}; choose another --out, or remove it, as --no-resume "
        "does, to annotate anew"
    )


def set_to_keep_or_replace(path: Path, manifest: Manifest) -> AnnotationSet | None:
    """Return the set of the very same job in a place; None if there is none or an outdated one.

    Args:
        path: where the set is.
        manifest: of the job.

    Raises:
        InputError: no file can be called so.
        SetOfAnotherJobError: there is a set with other settings, or of another video that is still
            there, or something else.
        OutputError: it cannot be looked at.
    """
    _refuse_long_name(path, manifest)
    if not _is_there(path):
        return None
    try:
        existing = AnnotationSet(path)
    except InputError as error:
        raise SetOfAnotherJobError(
            f"{path} is no set that can be read; move it away, and the video is annotated"
        ) from error
    known = existing.manifest
    if _is_of_the_job(known, manifest):
        return existing
    if known.video.sha256 == manifest.video.sha256:
        raise SetOfAnotherJobError(
            f"{_difference(existing, manifest)}; choose another --out, or move it away to annotate "
            "anew"
        )
    if _is_of_another_file(known.video.path, manifest.video.path):
        raise SetOfAnotherJobError(
            f"{_difference(existing, manifest)}, {known.video.path}; choose another --out, or "
            "rename one of the two"
        )
    return None


def copied_from_elsewhere(
    path: Path, manifest: Manifest, elsewhere: Iterable[Path]
) -> AnnotationSet | None:
    """Copy the finished set of a job to where the job's video has another name.

    Args:
        path: where the job's set is to be; if anything is there, nothing is copied.
        manifest: of the job.
        elsewhere: sets that may be of the same content, or may be gone.

    Returns:
        The copy; None if there is no finished set of the same content, settings and models.

    Raises:
        OutputError: the copy cannot be written.
    """
    if path.exists():
        return None
    for place in elsewhere:
        # Whatever is wrong with another video's set is not this one's.
        with suppress(InputError, OSError):
            known = AnnotationSet(place)
            if known.is_complete and _is_of_the_job(known.manifest, manifest):
                return copy_set(known, path, manifest.video)
    return None


def make_way(path: Path, manifest: Manifest) -> None:
    """Free a job's place of a set that `set_to_keep_or_replace` takes for outdated.

    One that is finished may be wanted, and is kept under another name.

    Raises:
        OutputError: it cannot be moved or removed, or another process writes it.
    """
    if not path.exists():
        return
    existing = AnnotationSet(path)
    if existing.manifest.video.sha256 == manifest.video.sha256:
        return
    if existing.is_complete:
        move_aside(path)
    else:
        remove_set(path)


def made_otherwise(existing: AnnotationSet, wanted: Making) -> str | None:
    """Say in what a set was not made as is wanted, whatever its video; None if in nothing."""
    known = _making(existing.manifest)
    if _is_made_so(known, wanted):
        return None
    kind = "a finished" if existing.is_complete else "an unfinished"
    difference = _first_difference(known, wanted)
    return f"{existing.path} is {kind} set with other settings or models ({difference})"


def _is_there(path: Path) -> bool:
    """Return whether something is in a set's place, which may be in another user's folder."""
    try:
        return path.exists()
    except OSError as error:
        raise unwritable(path, error) from error


def _refuse_long_name(path: Path, manifest: Manifest) -> None:
    """Refuse a name that a video can have and a set cannot, before any file is looked for."""
    size = len(os.fsencode(path.name.removesuffix(SUFFIX)))
    if size > _LONGEST_NAME_BYTES:
        raise InputError(
            f"{manifest.video.path} has a name of {size} bytes, of which a set takes "
            f"{_LONGEST_NAME_BYTES}; rename it"
        )


def _is_of_another_file(known: str, wanted: str) -> bool:
    """Return whether a set's video lies elsewhere, and not only as it was before.

    Two archives may have a video of one name, and each would replace the other's at every look. Of
    a store it is not known whether a video under another address is still there.
    """
    if "://" in known or "://" in wanted:
        return known != wanted
    return Path(known).resolve() != Path(wanted).resolve() and Path(known).exists()


def _making(manifest: Manifest) -> Making:
    return Making(settings=manifest.settings, models=manifest.models)


def _is_of_the_job(known: Manifest, wanted: Manifest) -> bool:
    same_video = known.video.sha256 == wanted.video.sha256
    return same_video and _is_made_so(_making(known), _making(wanted))


def _is_made_so(known: Making, wanted: Making) -> bool:
    there, here = _compared(known, wanted)
    same_settings = there["settings"] == here["settings"]
    return same_settings and _same_models(there["models"], here["models"])


def _compared(known: Making, wanted: Making) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return how two sets were made, without the names of what is known by hash of both."""
    both = [told_by_content(each.settings, each.models) for each in (known, wanted)]
    there, here = (
        without_names(each.settings, each.models, both[0] & both[1]) for each in (known, wanted)
    )
    return there, here


def _difference(existing: AnnotationSet, wanted: Manifest) -> str:
    """Say what is not the job's in a set that is in its place."""
    same_video = existing.manifest.video.sha256 == wanted.video.sha256
    otherwise = made_otherwise(existing, _making(wanted)) if same_video else None
    kind = "a finished" if existing.is_complete else "an unfinished"
    return otherwise or f"{existing.path} is {kind} set of another video"


def _same_models(there: dict[str, dict[str, str]], here: dict[str, dict[str, str]]) -> bool:
    """Return whether the models of two manifests are the same, by what both of them note."""
    if there.keys() != here.keys():
        return False
    return all({**there[role], **here[role]} == {**here[role], **there[role]} for role in there)


def _first_difference(known: Making, wanted: Making) -> str:
    """Say what differs in how two sets were made, such as `steady is 0.5 there, 0.8 here`."""
    there, here = ({**each["settings"], **each["models"]} for each in _compared(known, wanted))
    for name in sorted(there.keys() | here.keys()):
        if there.get(name) != here.get(name):
            pair = [values.get(name) for values in (there, here)]
            if any(isinstance(value, dict) for value in pair):
                return f"another {name}"
            return f"{name} is {pair[0]} there, {pair[1]} here"
    return "none that is known"
