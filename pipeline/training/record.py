"""What a training goes through: its losses and scores, as tables and for TensorBoard."""

import csv
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.summary import scalar

from pipeline.errors import OutputError
from pipeline.output import replaced_file

LOSSES, VALIDATION = "losses.csv", "validation.csv"
TENSORBOARD = "tensorboard"


class Records:
    """Writes down what a training goes through.

    Args:
        folder: receives the tables, and a folder for TensorBoard.
        first: the step that the training begins with; what TensorBoard has of it and later ones,
            from before a stop, no longer counts.

    Raises:
        OutputError: the folder cannot be written.
    """

    def __init__(self, folder: Path, first: int) -> None:
        self._folder = folder
        for table in (LOSSES, VALIDATION):
            _drop_half_line(folder / table)
        with _writing(folder):
            self._board = _Board(folder / TENSORBOARD, first)

    def add(self, table: str, step: int, values: dict[str, float]) -> None:
        """Note a step's values in a table.

        Raises:
            OutputError: it cannot be written.
        """
        path = self._folder / table
        new = not path.exists()
        with _writing(path):
            with path.open("a", newline="") as file:
                writer = csv.writer(file)
                if new:
                    writer.writerow(["step", *values])
                writer.writerow([step, *(f"{value:.5f}" for value in values.values())])
            for name, value in values.items():
                self._board.add(f"{path.stem}/{name}", step, value)

    def secure(self) -> None:
        """Bring to the disk what a training that goes on from here does not note again.

        Raises:
            OutputError: it cannot be written.
        """
        with _writing(self._folder):
            self._board.flush()

    def __enter__(self) -> "Records":
        return self

    def __exit__(self, *error: object) -> None:
        with _writing(self._folder):
            self._board.close()


class _Board:
    """Writes curves as TensorBoard reads them, before it returns.

    tensorboardX's own writer leaves that to a thread: what this has not written yet is lost when
    the process is killed, and where it has failed, as on a full disk, the training waits for ever.

    Args:
        folder: receives a file for each run.
        first: the step that the run begins with.
    """

    def __init__(self, folder: Path, first: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # Named by the second; a run that is stopped at once must not be written over.
        self._events = EventsWriter(str(folder / "events"), f".{os.getpid()}-{first}")
        start = SessionLog(status=SessionLog.START)
        self._write(Event(step=first, session_log=start))

    def add(self, name: str, step: int, value: float) -> None:
        self._write(Event(step=step, summary=scalar(name, value)))

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._events.write_event(event)

    def flush(self) -> None:
        self._events.flush()

    def close(self) -> None:
        self._events.close()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Say in one sentence that something cannot be written."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror or error}); free space, and the same "
            "command goes on from the last checkpoint"
        ) from error


def _drop_half_line(path: Path) -> None:
    """Drop what a full disk or a stop has left of a table's last line, or of its first."""
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if not whole:
        path.unlink()
    elif whole != content:
        with replaced_file(path) as draft:
            draft.write_bytes(whole)
