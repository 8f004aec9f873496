"""How far work on frames is, with frames/s: bars on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)

from flows.consoles import screen

# In a log, which nobody watches as it grows.
SAID_EVERY_S = 60.0

_Frame = TypeVar("_Frame")


class _FrameRate(ProgressColumn):
    def render(self, task: Task) -> str:
        return f"{task.speed:.1f} frames/s" if task.speed else ""


def counting_progress(*more: ProgressColumn) -> Progress:
    """Return progress bars on stderr with what is done, what there is, more, and the time left."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        *more,
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=screen, disable=not screen.is_terminal)


def spoken_progress(
    title: str, clock: Callable[[], float] = time.monotonic
) -> Callable[[int, int], None]:
    """Return what says once a minute how far work is, where no bar can be drawn.

    Args:
        title: what is worked on.
        clock: tells the time in seconds.

    Returns:
        A function of (frames done, frames in all).
    """
    said_s = clock()
    first: tuple[int, float] | None = None

    def note(done: int, total: int) -> None:
        nonlocal said_s, first
        now_s = clock()
        if first is None:
            # Where an earlier run has stopped, which says nothing of how fast this one is.
            first = done, now_s
        if now_s - said_s < SAID_EVERY_S:
            return
        said_s = now_s
        frames, seconds = done - first[0], now_s - first[1]
        rate = f", {frames / seconds:.1f} frames/s" if frames and seconds else ""
        screen.print(f"{title}: {done} of {total} frames{rate}", soft_wrap=True)

    return note


@contextmanager
def frame_bars() -> Any:
    """Show on stderr how far several things are; yields a function that adds one.

    It takes the title, and returns a function of (frames done, frames in all).
    """
    if not screen.is_terminal:
        yield spoken_progress
        return
    with counting_progress(_FrameRate()) as progress:

        def add(title: str) -> Callable[[int, int], None]:
            bar = progress.add_task(title, total=None)
            return lambda done, total: progress.update(bar, completed=done, total=total)

        yield add


@contextmanager
def frame_progress(title: str) -> Any:
    """Show on stderr how far one thing is; yields a function of (frames done, frames in all)."""
    with frame_bars() as add:
        yield add(title)


def counted(frames: Iterable[_Frame], advance: Callable[[int], None]) -> Iterator[_Frame]:
    """Yield frames, or their pictures, and tell how many have been worked on."""
    for done, frame in enumerate(frames, 1):
        yield frame
        advance(done)


@contextmanager
def titled_frame_bars() -> Any:
    """Show on stderr how far things are that come one after the other, each from its first frame.

    Yields a function of (title, frames done, frames in all).
    """
    with frame_bars() as add:
        bars: dict[str, Callable[[int, int], None]] = {}

        def advance(title: str, done: int, total: int) -> None:
            if title not in bars:
                bars[title] = add(title)
            bars[title](done, total)

        yield advance
