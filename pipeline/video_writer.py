"""Write H.264 video, complete or not at all."""

import os
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import OutputError
from pipeline.output import refuse_existing_file
from pipeline.remedies import unwritable


class VideoWriter:
    """Encodes frames to an mp4; a context manager that renames it into place at the end.

    Args:
        path: the mp4 to write.
        rate: frames/s.
        width: in pixels; an odd size loses its last column, as H.264 needs even sizes.
        height: in pixels; likewise.
        quality: x264's constant rate factor, 0 (lossless) .. 51.
        tick: in which frames' own times are told, in seconds; a frame's length if it is None.

    Raises:
        OutputError: the file exists already, or the folder cannot be written.
    """

    def __init__(
        self,
        path: Path,
        *,
        rate: float,
        width: int,
        height: int,
        quality: int = 21,
        tick: Fraction | None = None,
    ) -> None:
        refuse_existing_file(path)
        self._path = path
        self._draft = path.with_name(f".{path.stem}-{os.getpid()}.tmp.mp4")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._container = av.open(str(self._draft.absolute()), "w")
        except (OSError, av.error.FFmpegError) as error:
            raise self._unwritable(error) from error
        # The slowest rate that this denominator can tell is not 0.
        told = max(Fraction(rate).limit_denominator(1001), Fraction(1, 1001))
        stream = self._container.add_stream("h264", rate=told)
        stream.width, stream.height = width - width % 2, height - height % 2
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(quality), "preset": "medium"}
        # One thread, so that the same frames always give the same bytes.
        stream.thread_count = 1
        self._stream = stream
        self._frame_s = 1 / stream.codec_context.framerate
        self._tick = stream.codec_context.time_base = tick or self._frame_s
        self._next_s = Fraction(0)
        self._first_dts: int | None = None

    def __enter__(self) -> "VideoWriter":
        """Begin writing."""
        return self

    def add(self, image: NDArray[np.uint8], time_s: float | None = None) -> None:
        """Encode the next frame.

        Args:
            image: uint8[H, W, 3], RGB.
            time_s: when it is shown, in seconds; a frame's length after the last if it is None.

        Raises:
            OutputError: the disk is full or cannot be written.
        """
        even = np.ascontiguousarray(image[: self._stream.height, : self._stream.width])
        frame = av.VideoFrame.from_ndarray(even)
        shown_s = self._next_s if time_s is None else Fraction(time_s)
        frame.pts, frame.time_base = round(shown_s / self._tick), self._tick
        self._next_s = frame.pts * self._tick + self._frame_s
        try:
            self._write(frame)
        except (OSError, av.error.FFmpegError) as error:
            raise self._unwritable(error) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the file, or remove it if something went wrong."""
        try:
            if error is None:
                self._write(None)
            self._container.close()
            if error is None:
                self._draft.replace(self._path)
        except (OSError, av.error.FFmpegError) as failure:
            raise self._unwritable(failure) from failure
        finally:
            self._draft.unlink(missing_ok=True)

    def _write(self, frame: av.VideoFrame | None) -> None:
        """Encode a frame, or what is left at the end."""
        for packet in self._stream.encode(frame):
            decoded = packet.dts or 0
            if self._first_dts is None:
                self._first_dts = decoded
            # An mp4 is as long as its times of decoding and the last packet's duration say.
            end = self._first_dts + round(self._next_s / self._tick)
            packet.duration = max(end - decoded, 1)
            self._container.mux(packet)

    def _unwritable(self, error: Any) -> OutputError:
        # PyAV's errors say the same as the system's, but not all are such.
        return unwritable(self._path, error, "choose another folder")
