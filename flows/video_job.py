"""Annotate one video: load what the job needs, go on from where it was, write the set."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from flows.job_identity import job_identity, labels_of
from flows.segment_folders import remove_left_segments
from flows.settings import BATCH_FRAMES, AnnotateSettings
from flows.stage_counters import StageCounters
from flows.standing_sets import (
    Outdated,
    copied_from_elsewhere,
    make_way,
    set_to_keep,
    set_to_keep_or_replace,
)
from pipeline.annotate import AnnotationLoop
from pipeline.annotation_set import SUFFIX, AnnotationSet
from pipeline.annotation_set.folders import remove_set
from pipeline.annotation_set.writer import (
    AnnotationSetWriter,
    new_manifest,
    resumable_state,
    tidy,
)
from pipeline.errors import AnnotationStoppedError, InputError
from pipeline.frames import VideoInfo, VideoSource, open_video
from pipeline.loop_state import first_needed
from pipeline.manifest import Manifest
from pipeline.records import FrameBatch
from pipeline.segments import Segment

_SOFTWARE = ("scopeline", "torch", "torchvision", "RF-SAM-2", "av")


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoJob:
    """One video to annotate.

    Attributes:
        video: file or folder of frames.
        out: folder that receives `NAME.annset`.
        settings: how to annotate.
        resume: keep a finished set of the same job, and go on with an unfinished one; otherwise
            begin anew.
        segment: the part of the video that is annotated, if it is not the whole.
        address: where the video is for good, if `video` is a copy that goes again.
        outdated: what becomes of a set of what the video's file held before.
        elsewhere: sets of videos that may have the same content under another name; a finished
            one of the same job is copied.
    """

    video: Path
    out: Path
    settings: AnnotateSettings
    resume: bool = True
    segment: Segment | None = None
    address: str | None = None
    outdated: Outdated = Outdated.REFUSED
    elsewhere: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        """Take paths that are given as text, as in a notebook, for paths."""
        for name in ("video", "out"):
            object.__setattr__(self, name, Path(getattr(self, name)))

    @property
    def set_path(self) -> Path:
        """Where the annotation set is written."""
        return set_path_of(self.video, self.out)


def set_path_of(video: Path, out: Path) -> Path:
    """Return where the set of a video file or a folder of frames is written."""
    name = video.stem
    # What this user must not look at is refused when it is opened, and stops no other video.
    with suppress(PermissionError):
        if video.is_dir():
            name = video.resolve().name
    return out / f"{name}{SUFFIX}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upcoming:
    """The frames that a job is about to annotate.

    Attributes:
        tracker: that takes the pictures of these frames encoded ahead; None if none does.
        batch: the frames.
    """

    tracker: Any
    batch: FrameBatch


def annotate_job(
    job: VideoJob,
    on_frame: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    counters: StageCounters | None = None,
) -> AnnotationSet:
    """Annotate a video and write its set; a finished set of the same job is left as it is.

    Args:
        job: what to do.
        on_frame: is called with (frames done, frames in all).
        should_stop: is asked after each batch; once it says yes, what is done is committed.
        counters: are told what the stages do.

    Raises:
        ScopelineError: the video, a model or a setting is not usable, or the set cannot be
            written. A set that was begun then says that it failed, and why.
        AnnotationStoppedError: it was asked to stop; the same job goes on from there.
    """
    for _ in annotating(job, on_frame, should_stop, counters):
        pass
    return AnnotationSet(job.set_path)


def annotating(
    job: VideoJob,
    on_frame: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    counters: StageCounters | None = None,
) -> Generator[Upcoming, None, None]:
    """Annotate a video as `annotate_job` does, pausing before each batch of frames.

    Yields:
        What is annotated next, for several jobs to share what they have in common.
    """
    video = open_video(job.video, job.settings.on_bad_frame)
    manifest = _manifest_of_job(job, video.info)
    existing = _existing_set(job, manifest)
    if existing is not None and existing.is_complete:
        tidy(existing)
        remove_left_segments(job.set_path)
        return
    # Importing what loads the networks takes seconds, which a finished set or no video does not.
    from flows.annotation_loops import open_loop, picture_size
    from flows.models import numbers_of

    # Others give slightly other masks.
    _, precision = numbers_of(job.settings)
    numbers = {"runtime": job.settings.runtime, "precision": precision}
    manifest = manifest.model_copy(update={"software": manifest.software | numbers})
    saved = None if existing is None else resumable_state(existing, manifest)
    loop, tracker = open_loop(video.info, job.settings)
    video = video.shrunk_to(picture_size(video.info, job.settings))
    start, end = _span(job, video.info)
    if saved is not None:
        start = saved.state.next_frame
        first = first_needed(saved.state, loop.past_frames)
        loop.restore(saved.state, _batches_before(video, start, first))
    batches = video.batches(BATCH_FRAMES, end, start)

    def report(done: int) -> None:
        if on_frame is not None:
            on_frame(start + done, min(end, video.info.frame_count))

    stop = should_stop or (lambda: False)
    # Only now that nothing else can be wrong with the job.
    _make_room(job, manifest)
    with AnnotationSetWriter(job.set_path, manifest, saved) as writer, closing(batches):
        for batch in _write(loop, batches, writer, stop, report, counters or StageCounters()):
            yield Upcoming(tracker=tracker, batch=batch)
    remove_left_segments(job.set_path)


def _manifest_of_job(job: VideoJob, info: VideoInfo) -> Manifest:
    part = {} if job.segment is None else {"segment": asdict(job.segment)}
    manifest = manifest_of(info, job.settings, part)
    if job.address is None:
        return manifest
    place = manifest.video.model_copy(update={"path": job.address})
    return manifest.model_copy(update={"video": place})


def _existing_set(job: VideoJob, manifest: Manifest) -> AnnotationSet | None:
    """Return the set that the job keeps or goes on with; one of another job is refused."""
    if job.outdated is Outdated.REPLACED:
        kept = set_to_keep_or_replace(job.set_path, manifest)
        return kept or copied_from_elsewhere(job.set_path, manifest, job.elsewhere)
    return set_to_keep(job.set_path, manifest, resume=job.resume)


def _make_room(job: VideoJob, manifest: Manifest) -> None:
    """Take away what the job's set takes the place of."""
    if job.outdated is Outdated.REPLACED:
        make_way(job.set_path, manifest)
    elif not job.resume:
        remove_set(job.set_path)


def _span(job: VideoJob, info: VideoInfo) -> tuple[int, int]:
    """Return the first frame to annotate and the end, exclusive."""
    end = job.settings.max_frames or info.frame_count
    return (0, end) if job.segment is None else (job.segment.start, min(job.segment.stop, end))


def _write(
    loop: AnnotationLoop,
    batches: Iterator[FrameBatch],
    writer: AnnotationSetWriter,
    should_stop: Callable[[], bool],
    report: Callable[[int], None],
    counters: StageCounters,
) -> Iterator[FrameBatch]:
    """Annotate batch after batch into a set; yields each before, and reports the frames taken."""
    done = 0
    try:
        for batch in counters.decoded(batches):
            yield batch
            with counters.annotating.clock():
                frames = loop.step(batch)
            done += len(batch)
            # Before anything is written: whoever is told may say that the set is another's now.
            report(done)
            # Damage cuts a batch short; whoever goes on after it decodes the batches as they were.
            state = loop.state if len(batch) == BATCH_FRAMES else None
            with counters.writing.clock():
                writer.add_batch(frames, state)
            counters.annotating.frames += len(batch)
            counters.writing.frames += len(frames)
            if should_stop():
                writer.checkpoint(loop.state)
                raise AnnotationStoppedError(
                    f"{writer.path} was left unfinished; the same command goes on from there"
                )
    except InputError:
        # The frames before a damaged one are as good as ever.
        _finish(loop, writer, counters)
        raise
    _finish(loop, writer, counters)


def _finish(loop: AnnotationLoop, writer: AnnotationSetWriter, counters: StageCounters) -> None:
    with counters.annotating.clock():
        frames = loop.finish()
    with counters.writing.clock():
        for frame in frames:
            writer.add(frame)
        writer.withdraw(loop.withdrawn())
        writer.settle_classes(loop.class_of)
    counters.writing.frames += len(frames)


def _batches_before(video: VideoSource, frame: int, first: int) -> Iterator[FrameBatch]:
    """Decode the frames from `first` to another one, in the very batches that they came in."""
    return video.batches(BATCH_FRAMES, frame, first // BATCH_FRAMES * BATCH_FRAMES)


def manifest_of(
    info: VideoInfo, settings: AnnotateSettings, parts: Mapping[str, Any] | None = None
) -> Manifest:
    """Return the manifest of a set that is to be made.

    Args:
        info: the video.
        settings: how it is annotated.
        parts: more settings, of a video that is not annotated as a whole.

    Raises:
        ModelError: a model is unknown or is not on this machine.
    """
    identity = job_identity(settings)
    identity["settings"] |= parts or {}
    software = {name: version(name) for name in _SOFTWARE}
    return new_manifest(info, labels_of(settings), software=software, **identity)
