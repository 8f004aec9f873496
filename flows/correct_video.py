"""Take corrections over into a new set: only what they can change is tracked again."""

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from flows.job_identity import describe_tracker
from flows.models import choose_device, open_tracker
from flows.settings import Runtime
from flows.standing_sets import set_to_keep
from flows.video_job import set_path_of
from pipeline.annotate import Tracker
from pipeline.annotation_set import AnnotationSet
from pipeline.annotation_set.folders import remove_set
from pipeline.annotation_set.writer import AnnotationSetWriter, new_manifest
from pipeline.corrections.correct import Plans, correct
from pipeline.corrections.corrected_set import deletions_of, open_corrections, settings_after
from pipeline.corrections.plan import deletions_after, plan_corrections
from pipeline.errors import InputError, UsageError
from pipeline.frames import VideoInfo, VideoSource, open_video
from pipeline.manifest import Manifest
from pipeline.networks.devices import Precision
from pipeline.records import FrameAnnotation
from pipeline.single_frames import numbered_frames
from tracking.mask_choice import surest_masks

_SOFTWARE = ("scopeline", "torch", "RF-SAM-2", "av")
_SHIPPED_TRACKER = "scopeline"
# However the corrected set was made; others give slightly other masks.
_RUNTIME: Runtime = "torch"
_PRECISION: Precision = "float32"


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionJob:
    """One set to correct.

    Attributes:
        video: the annotated video.
        corrections: a set of corrections, which names the set that it corrects.
        out: folder that receives `NAME.annset`.
        tracker: name, folder or checkpoint; None is the tracker that annotated the video.
        device: auto, cpu, cuda or cuda:N.
        resume: keep a finished set of the same job; otherwise begin anew.
    """

    video: Path
    corrections: Path
    out: Path
    tracker: str | None = None
    device: str = "auto"
    resume: bool = True

    @property
    def set_path(self) -> Path:
        """Where the corrected set is written."""
        return set_path_of(self.video, self.out)


def correct_job(
    job: CorrectionJob, on_frame: Callable[[int, int], None] | None = None
) -> AnnotationSet:
    """Write a complete new set with the corrections taken over.

    The set that was corrected is the one that the manifest of the corrections names; it is not
    touched.

    Args:
        job: what to do.
        on_frame: is called with (frames done, frames in all).

    Raises:
        InputError: the corrections, the corrected set or the video is missing, damaged or
            another.
        ModelError: the tracker is unknown or does not load.
        UsageError: the new set would take the place of the corrected one.
        OutputError: the set cannot be written.
    """
    corrections = open_corrections(job.corrections)
    corrected = corrections.corrected
    if job.set_path.resolve() == corrected.path.resolve():
        raise UsageError(f"{job.set_path} is the set that is corrected; choose another --out")
    video = open_video(job.video, corrected.manifest.settings.get("on_bad_frame", "stop"))
    if video.info.sha256 != corrected.manifest.video.sha256:
        raise InputError(
            f"{job.video} is not the video that {corrected.path} annotates; give that one"
        )
    tracker_name = job.tracker or _tracker_of(corrected)
    deletions = deletions_of(corrected)
    tracker = open_tracker(
        tracker_name, choose_device(job.device), _RUNTIME, _PRECISION, surest_masks
    )
    plans = plan_corrections(
        corrected.frames(), corrections.changes.frames(), tracker.look_back, deletions
    )
    settings = settings_after(corrections, deletions_after(deletions, plans))
    manifest = _manifest(video.info, corrected, tracker_name, settings)
    existing = set_to_keep(job.set_path, manifest, resume=job.resume)
    if existing is not None and existing.is_complete:
        return existing
    frames = _frames(video, corrected, plans, tracker)
    count = corrected.manifest.counts.frames
    if not job.resume:
        remove_set(job.set_path)
    with AnnotationSetWriter(job.set_path, manifest) as writer, closing(frames):
        for done, frame in enumerate(frames, start=1):
            writer.add(frame)
            if on_frame is not None:
                on_frame(done, count)
    return AnnotationSet(job.set_path)


def _frames(
    video: VideoSource, corrected: AnnotationSet, plans: Plans, tracker: Tracker
) -> Generator[FrameAnnotation, None, None]:
    known = max((prompt.prompt_id for _, prompt in corrected.prompts()), default=-1)
    return correct(
        corrected.frames(),
        numbered_frames(video, corrected.manifest.counts.frames),
        plans=plans,
        tracker=tracker,
        first_prompt_id=known + 1,
    )


def _tracker_of(corrected: AnnotationSet) -> str:
    return corrected.manifest.models.get("tracker", {}).get("name", _SHIPPED_TRACKER)


def _manifest(
    info: VideoInfo, corrected: AnnotationSet, tracker_name: str, settings: dict[str, Any]
) -> Manifest:
    return new_manifest(
        info,
        corrected.label_set,
        models={**corrected.manifest.models, "tracker": describe_tracker(tracker_name)},
        settings=settings,
        software={
            **{name: version(name) for name in _SOFTWARE},
            "runtime": _RUNTIME,
            "precision": _PRECISION,
        },
    )
