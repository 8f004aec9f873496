"""A job on an archive: what to annotate and how, and what tells it from another one."""

import hashlib
import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from flows.archive.source import absolute
from flows.job_identity import job_identity, told_by_content, without_names
from flows.runners import RunnerName
from flows.settings import AnnotateSettings
from overseer.model_folders import SHIPPED
from overseer.published import PUBLISHED
from pipeline.annotation_set import SUFFIX
from tracking.official_checkpoints import CHECKPOINTS

# Settings that may be paths, and what is known by its name instead.
_PATHS = ("overseer", "overseer_weights", "tracker", "prompts", "labels")
_KNOWN = {SHIPPED, *PUBLISHED, *CHECKPOINTS}


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
    """Return the hash of all that determines a set but the video, however models are named."""
    identity = job_identity(settings)
    return _hash_of(without_names(**identity, by_content=told_by_content(**identity)))


def settings_key(settings: AnnotateSettings) -> str:
    """Return the hash of the settings alone, whatever the models of these names hold.

    A path is the same from wherever it is named. Links are not followed: a model may be replaced
    by another one while a schedule runs.
    """
    described = settings.identity()
    for name in _PATHS:
        if described[name] is not None and described[name] not in _KNOWN:
            described[name] = absolute(described[name])
    return _hash_of(described)


def _hash_of(described: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
