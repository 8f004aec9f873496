"""Progress bars that count frames, with frames/s and time left."""

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

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


@contextmanager
def frame_bars() -> Any:
    """Show progress bars on stderr; yields a function that adds one.

    It takes the title, and returns a function of (frames done, frames in all).
    """
    with counting_progress(_FrameRate()) as progress:

        def add(title: str) -> Callable[[int, int], None]:
            bar = progress.add_task(title, total=None)
            return lambda done, total: progress.update(bar, completed=done, total=total)

        yield add


@contextmanager
def frame_progress(title: str) -> Any:
    """Show a progress bar on stderr; yields a function of (frames done, frames in all)."""
    with frame_bars() as add:
        yield add(title)
