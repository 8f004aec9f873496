"""Being asked to stop: a process finishes its batch of frames and takes no other video."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from flows.prefect_server import SERVER_PROCESS

_LOOK_EVERY_S = 0.5
_stop = threading.Event()
_busy = threading.Event()


def ask_to_stop(*_: object) -> None:
    """Let this process stop after its batch; also a signal handler."""
    _stop.set()


def stop_asked() -> bool:
    """Return whether this process was asked to stop."""
    return _stop.is_set()


@contextmanager
def busy() -> Iterator[Callable[[], bool]]:
    """Keep this process alive for the time of the block, also when its parent is gone.

    Yields:
        A function that tells whether to stop: asked to, or the process' parent is gone.
    """
    parent = os.getppid()
    _busy.set()
    try:
        yield lambda: stop_asked() or os.getppid() != parent
    finally:
        _busy.clear()


def begin_worker() -> None:
    """Prepare a worker process to stop after its batch, when it is asked to or left alone."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGTERM, ask_to_stop)
    # Ctrl-C reaches the whole group; the process that was started by the user passes it on.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end_with_parent() -> None:
    """End this process once the one that started it is gone: a pool's workers wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    parent.join()
    ask_to_stop()
    while _busy.is_set():
        time.sleep(_LOOK_EVERY_S)
    os._exit(1)


@contextmanager
def passing_signals_on() -> Iterator[None]:
    """Let SIGTERM and Ctrl-C stop the workers after their batch, and this process after them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop() -> None:
        ask_to_stop()
        for child in multiprocessing.active_children():
            if child.name != SERVER_PROCESS:
                child.terminate()

    with on_stop_signals(stop):
        yield


@contextmanager
def on_stop_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call a function on SIGTERM and Ctrl-C, for the time of the block."""

    def handle(number: int, frame: FrameType | None) -> None:
        del number, frame
        stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
