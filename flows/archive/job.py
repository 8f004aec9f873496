"""A job on an archive: what to annotate and how, and what tells it from another one."""

import hashlib
import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from flows.job_identity import job_identity
from flows.runners import RunnerName
from flows.settings import AnnotateSettings
from pipeline.annotation_set import SUFFIX


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveJob:
    """What to annotate, and how.

    Attributes:
        source: see `find_videos`.
        out: folder that receives `NAME.annset` for each video.
        settings: how to annotate.
        workers: videos that are annotated at the same time.
        threads: processor threads of each worker; the last bits of a mask depend on them, and
            sets are the same with however many workers.
        runner: local processes, or a cluster of Dask or Ray.
        tries: a video that failed this often since it changed is put aside; None tries all
            that failed once more.
        settle_s: a video is taken when it has not changed for so many seconds.
    """

    source: str
    out: Path
    settings: AnnotateSettings
    workers: int = 1
    threads: int = 1
    runner: RunnerName = "local"
    tries: int | None = None
    settle_s: float = 0.0


def flow_parameters(job: ArchiveJob) -> dict[str, Any]:
    """Return a job as the parameters of `annotate_archive`."""
    return {field.name: getattr(job, field.name) for field in fields(job)}


def set_path(out: Path, name: str) -> Path:
    """Return where the set of a video of an archive lies."""
    return out / f"{name}{SUFFIX}"


def job_key(settings: AnnotateSettings) -> str:
    """Return the hash of all that determines a set but the video."""
    return _hash_of(job_identity(settings))


def settings_key(settings: AnnotateSettings) -> str:
    """Return the hash of the settings alone, whatever the models of these names hold."""
    return _hash_of(settings.identity())


def _hash_of(described: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
