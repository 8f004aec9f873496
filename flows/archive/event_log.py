"""The log of an archive: a line of JSON for each thing that happens to a video."""

import errno
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flows.archive.entry import this_process
from flows.archive.ledger import FOLDER
from pipeline.remedies import unwritable

LOG = "log.jsonl"


class EventLog:
    """Adds events to `DEST/.scopeline/log.jsonl`, to which many processes write at once.

    Each line holds `time` (ISO 8601, UTC), `event`, `video`, `process` and what the event says of
    itself, such as `frame`, `reason` or the counters of the `stages`.

    Args:
        dest: the archive's destination.
    """

    def __init__(self, dest: Path) -> None:
        self.path = dest / FOLDER / LOG

    def add(self, event: str, video: str, **facts: Any) -> None:
        """Add an event of a video.

        Args:
            event: began, progress, done, stopped, left, retried or failed.
            video: its name in the archive.
            facts: what JSON can hold.

        Raises:
            OutputError: the disk is full, or the log cannot be written.
        """
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": event,
            "video": video,
            "process": this_process(),
            **facts,
        }
        # Who looks for `Müller` finds it; what is no character stays an escape of JSON's own.
        text = json.dumps(line, ensure_ascii=False) + "\n"
        try:
            self._append(text.encode(errors="backslashreplace"))
        except OSError as error:
            raise unwritable(self.path, error) from error

    def _append(self, line: bytes) -> None:
        # One write of one line, however long: lines of processes that write at once do not mix.
        with self.path.open("ab", buffering=0) as file:
            written = file.write(line)
            if written == len(line):
                return
            # A disk that fills up takes a part, which the next line would be added to.
            end = file.tell()
            if os.fstat(file.fileno()).st_size == end:
                file.truncate(end - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
