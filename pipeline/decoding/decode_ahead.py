"""Decoding on a thread of its own, a little ahead of whoever uses the frames."""

import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from pipeline.errors import InputError
from pipeline.records import FrameBatch

# A healthy decoder needs milliseconds for a frame; whatever makes one hang, waiting must end.
_DECODE_TIMEOUT_S = 120.0
_Decoded = TypeVar("_Decoded")


class DecodedCount:
    """How many frames a decoder has given, also of those that nobody sees.

    Attributes:
        frames: so many.
    """

    def __init__(self) -> None:
        self.frames = 0

    def over(self, decoded: Iterable[_Decoded]) -> Iterator[_Decoded]:
        """Yield what is decoded, and count it."""
        for one in decoded:
            self.frames += 1
            yield one


def decode_ahead(
    batches: Iterator[FrameBatch], path: Path, count: DecodedCount
) -> Generator[FrameBatch, None, None]:
    """Decode on a thread, at most two batches ahead of whoever uses the frames.

    Args:
        batches: decodes while it is iterated.
        path: of the video, for messages.
        count: of the decoder, which may have hours to decode before the first frame it gives.

    Raises:
        InputError: the decoder hangs; whatever else goes wrong on the thread is raised as it is.
    """
    waiting: queue.Queue[FrameBatch | Exception | None] = queue.Queue(maxsize=2)
    stop = threading.Event()

    def put(item: FrameBatch | Exception | None) -> None:
        while not stop.is_set():
            try:
                waiting.put(item, timeout=0.2)
                return
            except queue.Full:
                continue

    def decode() -> None:
        try:
            for batch in batches:
                put(batch)
                if stop.is_set():
                    return
            put(None)
        # Whatever goes wrong on the thread is raised again where the frames are used.
        except Exception as error:
            put(error)

    # A daemon, so that a decoder that hangs cannot keep the process alive.
    threading.Thread(target=decode, name="decode-ahead", daemon=True).start()
    try:
        while (item := _next(waiting, path, count)) is not None:
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        stop.set()


def _next(
    waiting: "queue.Queue[FrameBatch | Exception | None]", path: Path, count: DecodedCount
) -> FrameBatch | Exception | None:
    """Return what comes next, waiting for as long as the decoder decodes."""
    while True:
        before = count.frames
        try:
            return waiting.get(timeout=_DECODE_TIMEOUT_S)
        except queue.Empty:
            if count.frames == before:
                raise InputError(
                    f"{path} stopped giving frames for {_DECODE_TIMEOUT_S:.0f} s; "
                    "its frame count may be wrong: remux it"
                ) from None
