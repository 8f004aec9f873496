"""Video sources: probe, and decode in order; a video file or a folder of numbered frames."""

import hashlib
import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, dropwhile, islice
from pathlib import Path
from typing import Protocol

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from natsort import natsorted
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.records import FrameBatch

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
# A healthy decoder needs milliseconds for a frame; whatever makes one hang, waiting must end.
_DECODE_TIMEOUT_S = 120.0
_FOLDER_RATE = 25.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo:
    """What a video says of itself.

    Attributes:
        name: file name without its suffix, or name of the folder.
        path: where it lies.
        sha256: hash of the content, hexadecimal.
        width: in pixels.
        height: in pixels.
        frame_count: frames that the container promises.
        rate: mean frames/s.
    """

    name: str
    path: Path
    sha256: str
    width: int
    height: int
    frame_count: int
    rate: float


class VideoSource(Protocol):
    """Frames in order, from wherever they are stored."""

    @property
    def info(self) -> VideoInfo:
        """What the video says of itself."""

    def batches(
        self, size: int, max_frames: int | None = None, start: int = 0
    ) -> Generator[FrameBatch, None, None]:
        """Decode in order, each frame once, in batches of at most `size` frames.

        Args:
            size: frames in a batch; the last may have fewer.
            max_frames: end before the frame of this index.
            start: index of the first frame.
        """


def open_video(path: Path) -> VideoSource:
    """Open a video file, or a folder of numbered JPEG or PNG frames.

    Raises:
        InputError: it is missing, empty, not a video, or damaged.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist; give the path of a video or a folder of frames")
    if path.is_dir():
        return _FrameFolder(path)
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty; copy or record the video again")
    return _VideoFile(path)


class _VideoFile:
    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with av.open(str(path)) as container:
                if not container.streams.video:
                    raise InputError(
                        f"{path} holds no video frames; give a file with a video stream"
                    )
                stream = container.streams.video[0]
                width, height = stream.width, stream.height
                rate = float(stream.average_rate or stream.guessed_rate or _FOLDER_RATE)
                # Counted, since not every container says how many frames it holds.
                times = [packet.pts for packet in container.demux(stream) if packet.size]
        except (av.error.FFmpegError, OSError) as error:
            raise InputError(
                f"{path} is not a video that can be decoded, or it is damaged; copy it again or "
                "convert it to mp4 (H.264)"
            ) from error
        if not times or not width:
            raise InputError(f"{path} holds no video frames; give a file with a video stream")
        self.info = VideoInfo(
            name=path.stem,
            path=path.resolve(),
            sha256=_hash_files([path]),
            width=width,
            height=height,
            frame_count=len(times),
            rate=rate,
        )
        self._times = _presentation_times(times)

    def batches(
        self, size: int, max_frames: int | None = None, start: int = 0
    ) -> Generator[FrameBatch, None, None]:
        limit = _limit(self.info.frame_count, max_frames)
        return _ahead(self._decode(size, start, limit), self._path)

    def _decode(self, size: int, start: int, limit: int) -> Iterator[FrameBatch]:
        frames = self._frames(start, limit)
        for first in range(start, limit, size):
            decoded = list(islice(frames, min(size, limit - first)))
            yield FrameBatch(
                indices=np.arange(first, first + len(decoded), dtype=np.int64),
                times=np.array([time_s for time_s, _ in decoded], np.float64),
                images=np.stack([image for _, image in decoded]),
            )

    def _frames(self, start: int, limit: int) -> Iterator[tuple[float, NDArray[np.uint8]]]:
        """Yield (presentation time in seconds, image) of the frames from `start` to `limit`."""
        done = start
        try:
            with av.open(str(self._path)) as container:
                container.streams.video[0].thread_type = "AUTO"
                for frame in self._from(container, start):
                    if done >= limit:
                        return
                    time_s = done / self.info.rate if frame.time is None else frame.time
                    image = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                    yield float(time_s), image
                    done += 1
        except (av.error.FFmpegError, OSError) as error:
            raise InputError(
                f"{self._path} cannot be decoded at frame {done} of {self.info.frame_count}; "
                "copy it again or repair it"
            ) from error
        if done < limit:
            raise InputError(
                f"{self._path} ends after {done} of {self.info.frame_count} frames; "
                "copy it again or cut it there"
            )

    def _from(self, container: InputContainer, start: int) -> Iterator[VideoFrame]:
        """Decode from a frame on: from the key frame before it, if its time is known."""
        if start > 0 and self._times is not None:
            wanted = int(self._times[start])
            container.seek(wanted, stream=container.streams.video[0])
            late = dropwhile(lambda frame: _is_before(frame, wanted), container.decode(video=0))
            first = next(late, None)
            if first is not None and first.pts == wanted:
                return chain([first], late)
            container.seek(0, stream=container.streams.video[0])
        return islice(container.decode(video=0), start, None)


def _is_before(frame: VideoFrame, time: int) -> bool:
    return frame.pts is not None and frame.pts < time


def _presentation_times(times: Sequence[int | None]) -> NDArray[np.int64] | None:
    """Return the frames' times in order, None if they do not tell the frames apart."""
    known = sorted(time for time in times if time is not None)
    return np.array(known, np.int64) if len(set(known)) == len(times) else None


class _FrameFolder:
    def __init__(self, path: Path) -> None:
        self._files = list_images(path)
        if not self._files:
            raise InputError(
                f"{path} holds no JPEG or PNG frames; give a folder of numbered frames or a video"
            )
        height, width = read_image(self._files[0]).shape[:2]
        self.info = VideoInfo(
            name=path.resolve().name,
            path=path.resolve(),
            sha256=_hash_files(self._files),
            width=width,
            height=height,
            frame_count=len(self._files),
            rate=_FOLDER_RATE,
        )

    def batches(
        self, size: int, max_frames: int | None = None, start: int = 0
    ) -> Generator[FrameBatch, None, None]:
        limit = _limit(len(self._files), max_frames)
        return _ahead(self._read(size, start, limit), self.info.path)

    def _read(self, size: int, first: int, limit: int) -> Iterator[FrameBatch]:
        for start in range(first, limit, size):
            files = self._files[start : min(start + size, limit)]
            images = [read_image(file) for file in files]
            for file, image in zip(files, images, strict=True):
                if image.shape[:2] != (self.info.height, self.info.width):
                    raise InputError(
                        f"{file} is {image.shape[1]}x{image.shape[0]}, the frames before it are "
                        f"{self.info.width}x{self.info.height}; give frames of one size"
                    )
            indices = np.arange(start, start + len(files), dtype=np.int64)
            yield FrameBatch(
                indices=indices, times=indices / self.info.rate, images=np.stack(images)
            )


def list_images(folder: Path) -> list[Path]:
    """List a folder's JPEG and PNG files in natural order (2 before 10)."""
    files = [
        file
        for file in folder.iterdir()
        if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".")
    ]
    return list(natsorted(files, key=lambda file: file.name))


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read a picture as uint8[H, W, 3], RGB.

    Raises:
        InputError: it cannot be decoded.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f"{path} is not a readable picture; replace or remove it")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def _ahead(batches: Iterator[FrameBatch], path: Path) -> Generator[FrameBatch, None, None]:
    """Decode on a thread, at most two batches ahead of whoever uses the frames."""
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
        while True:
            try:
                item = waiting.get(timeout=_DECODE_TIMEOUT_S)
            except queue.Empty:
                raise InputError(
                    f"{path} stopped giving frames for {_DECODE_TIMEOUT_S:.0f} s; "
                    "its frame count may be wrong: remux it"
                ) from None
            if item is None:
                return
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        stop.set()


def _limit(frame_count: int, max_frames: int | None) -> int:
    return frame_count if max_frames is None else min(frame_count, max_frames)


def _hash_files(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as content:
            while chunk := content.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()
