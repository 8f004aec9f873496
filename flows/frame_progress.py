"""A progress bar that counts frames, with frames/s and time left."""

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

from flows.command_options import screen


class _FrameRate(ProgressColumn):
    def render(self, task: Task) -> str:
        return f"{task.speed:.1f} frames/s" if task.speed else ""


@contextmanager
def frame_progress(title: str) -> Any:
    """Show a progress bar on stderr; yields a function of (done, total)."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _FrameRate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=screen, disable=not screen.is_terminal) as progress:
        bar = progress.add_task(title, total=None)

        def advance(done: int, total: int) -> None:
            progress.update(bar, completed=done, total=total)

        report: Callable[[int, int], None] = advance
        yield report
