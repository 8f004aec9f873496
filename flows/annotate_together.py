"""Annotate several videos at the same time in one process, their frames in shared batches."""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from flows.complaints import unforeseen
from flows.stage_counters import StageCounters
from flows.video_job import Upcoming, VideoJob, annotating
from pipeline.annotation_set import AnnotationSet
from pipeline.errors import AnnotationStoppedError, ScopelineError, UsageError
from tracking.shared_batches import encode_together


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a video has ended.

    Attributes:
        job: what was to do.
        counters: what its stages have done.
        outcome: its set, or why it failed.
    """

    job: VideoJob
    counters: StageCounters
    outcome: AnnotationSet | ScopelineError


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    job: VideoJob
    counters: StageCounters
    frames: Generator[Upcoming, None, None]


def annotate_together(
    jobs: Sequence[VideoJob],
    at_once: int,
    begin: Callable[[VideoJob], Callable[[int, int], None]],
) -> Iterator[Ended]:
    """Annotate videos, some at the same time; one that fails does not stop the others.

    The image encoder sees the next frames of all of them in one batch, which fills a GPU that those
    of one video leave waiting. Each has a tracker of its own, and its masks are those that it has
    alone, but for the last bits that differ with the size of a batch. A caller that reads on no
    more leaves sets that the same call goes on with.

    Args:
        jobs: what to do, in this order; their settings are equal.
        at_once: how many videos are annotated at the same time.
        begin: is called when a video's turn comes; returns what is called with (frames done, frames
            in all).

    Yields:
        How each video has ended, in the order in which they do.

    Raises:
        UsageError: a setting is not usable. Sets that were begun then say that they failed.
    """
    waiting = deque(jobs)
    running: list[_Running] = []
    try:
        while waiting or running:
            upcoming: list[tuple[_Running, Upcoming]] = []
            for one in _turns(running, waiting, at_once, begin):
                outcome = _advance(one)
                if isinstance(outcome, Upcoming):
                    upcoming.append((one, outcome))
                else:
                    running.remove(one)
                    yield Ended(job=one.job, counters=one.counters, outcome=outcome)
            encoded = [pair for pair in upcoming if pair[1].tracker is not None]
            problem = _encode(encoded)
            if problem is not None:
                for one, _ in encoded:
                    running.remove(one)
                    yield _failed(one, problem)
    except GeneratorExit:
        _end(running, AnnotationStoppedError("the caller reads on no more"))
        raise
    except BaseException as error:
        _end(running, error)
        raise


def _failed(one: _Running, error: Exception) -> Ended:
    """End a video by an error that is not its own."""
    _end([one], error)
    outcome = unforeseen(one.job.video, error)
    return Ended(job=one.job, counters=one.counters, outcome=outcome)


def _end(running: Sequence[_Running], error: BaseException) -> None:
    """Raise an error where each video waits, which its set notes."""
    for one in running:
        with suppress(type(error), StopIteration):
            one.frames.throw(error)


def _turns(
    running: list[_Running],
    waiting: deque[VideoJob],
    at_once: int,
    begin: Callable[[VideoJob], Callable[[int, int], None]],
) -> Iterator[_Running]:
    """Yield the videos that are under way, then others for as long as there is room for them."""
    yield from list(running)
    while waiting and len(running) < at_once:
        job, counters = waiting.popleft(), StageCounters()
        frames = annotating(job, begin(job), counters=counters)
        running.append(_Running(job=job, counters=counters, frames=frames))
        yield running[-1]


def _advance(one: _Running) -> Upcoming | AnnotationSet | ScopelineError:
    """Annotate a video's batch; returns its next one, or its set, or why it has failed."""
    try:
        return next(one.frames)
    except StopIteration:
        return AnnotationSet(one.job.set_path)
    except UsageError:
        raise
    except ScopelineError as error:
        return error
    # Whatever it is, it does not stop the other videos.
    except Exception as error:
        return unforeseen(one.job.video, error)


def _encode(upcoming: Sequence[tuple[_Running, Upcoming]]) -> Exception | None:
    """Encode the next frames of videos together; each counts its frames' share of the time.

    Returns:
        Why that is not possible, such as a GPU without room; None if it was.
    """
    if not upcoming:
        return None
    started = time.perf_counter()
    try:
        encode_together([(each.tracker, each.batch) for _, each in upcoming])
    # Whatever it is, it does not stop the videos whose turn has not come.
    except Exception as error:
        return error
    seconds = time.perf_counter() - started
    frames = sum(len(each.batch) for _, each in upcoming)
    for one, each in upcoming:
        one.counters.annotating.seconds += seconds * len(each.batch) / frames
    return None
