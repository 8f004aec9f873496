"""Videos that were done by another job: what their sets say, without reading any video again.

To hash an archive of terabytes takes a day, and what is not to be touched needs no hash.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from flows.archive.job import ArchiveJob, set_path
from flows.archive.ledger import Ledger, is_unchanged
from flows.archive.source import FoundVideo
from flows.job_identity import job_identity
from flows.standing_sets import Making, made_otherwise
from pipeline.annotation_set import AnnotationSet
from pipeline.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class DoneBefore:
    """Videos that have not changed since they were done by another job.

    Attributes:
        alike: those whose sets are what this job makes, as after an update.
        otherwise: why the sets of the others are not, by name.
    """

    alike: tuple[str, ...]
    otherwise: dict[str, str]


def done_before(
    job: ArchiveJob, ledger: Ledger, videos: Sequence[FoundVideo], key: str
) -> DoneBefore:
    """Return which of an archive's videos another job has done.

    Args:
        job: what is to be annotated, and how.
        ledger: of the job's destination.
        videos: that the archive holds.
        key: of the job.
    """
    found = {video.name: video for video in videos}
    entries = [
        entry
        for entry in ledger.done_by_others(key)
        if entry.name in found and is_unchanged(found[entry.name], entry)
    ]
    if not entries:
        return DoneBefore(alike=(), otherwise={})
    alike, otherwise = [], {}
    wanted = Making(**job_identity(job.settings))
    for entry in entries:
        # One that is gone or cannot be read is annotated, or named, as any other.
        with suppress(InputError, OSError):
            existing = AnnotationSet(set_path(job.out, entry.name))
            difference = made_otherwise(existing, wanted)
            if difference is not None:
                otherwise[entry.name] = (
                    f"{difference}; choose another --out, or move it away to annotate anew"
                )
            elif existing.is_complete:
                alike.append(entry.name)
    return DoneBefore(alike=tuple(alike), otherwise=otherwise)
