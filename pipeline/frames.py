"""Video sources: probe, and decode in order; a video file or a folder of numbered frames."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, Protocol

import av
import cv2
import numpy as np
from natsort import natsorted
from numpy.typing import NDArray

from pipeline.damaged_video import decode_with_gaps
from pipeline.decode_ahead import decode_ahead
from pipeline.errors import InputError
from pipeline.records import FrameBatch

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
_FOLDER_RATE = 25.0

# What to do about a frame that cannot be decoded: end there, or go on without its picture.
OnBadFrame = Literal["stop", "skip"]
# A frame's presentation time in seconds, and its picture uint8[H, W, 3] unless it is undecodable.
_Decoded = tuple[float, NDArray[np.uint8] | None]


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

    def batches(self, size: int, max_frames: int | None = None) -> Iterator[FrameBatch]:
        """Decode in order, each frame once, in batches of at most `size` frames."""


def open_video(path: Path, on_bad_frame: OnBadFrame = "stop") -> VideoSource:
    """Open a video file, or a folder of numbered JPEG or PNG frames.

    Args:
        path: where it lies.
        on_bad_frame: what to do about a frame in the middle that cannot be decoded.

    Raises:
        InputError: it is missing, empty, not a video, or damaged.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist; give the path of a video or a folder of frames")
    if path.is_dir():
        return FrameFolder(path, on_bad_frame)
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty; copy or record the video again")
    return VideoFile(path, on_bad_frame)


class VideoFile:
    """A video file.

    Args:
        path: where it lies.
        on_bad_frame: what to do about a frame that cannot be decoded.

    Raises:
        InputError: it holds no video, or cannot be decoded.
    """

    def __init__(self, path: Path, on_bad_frame: OnBadFrame = "stop") -> None:
        self._path = path
        self._on_bad_frame = on_bad_frame
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
                frame_count = sum(1 for packet in container.demux(stream) if packet.size)
        except (av.error.FFmpegError, OSError) as error:
            raise InputError(
                f"{path} is not a video that can be decoded, or it is damaged; copy it again or "
                "convert it to mp4 (H.264)"
            ) from error
        if frame_count == 0 or not width:
            raise InputError(f"{path} holds no video frames; give a file with a video stream")
        self.info = VideoInfo(
            name=path.stem,
            path=path.resolve(),
            sha256=_hash_files([path]),
            width=width,
            height=height,
            frame_count=frame_count,
            rate=rate,
        )

    def batches(self, size: int, max_frames: int | None = None) -> Iterator[FrameBatch]:
        """Decode in order, ahead of whoever uses the frames, in batches of at most `size`."""
        limit = _limit(self.info.frame_count, max_frames)
        return decode_ahead(self.decode(size, limit), self._path)

    def decode(self, size: int, limit: int) -> Iterator[FrameBatch]:
        """Decode the first `limit` frames on this thread, in batches of at most `size`."""
        shape = (self.info.height, self.info.width)
        return _in_batches(islice(self._frames(limit), limit), size, shape)

    def _frames(self, limit: int) -> Iterator[_Decoded]:
        """Yield each of the first `limit` frames."""
        done = 0
        try:
            with av.open(str(self._path)) as container:
                for decoded in self._decoded(container):
                    if done == limit:
                        return
                    yield decoded
                    done += 1
        except (av.error.FFmpegError, OSError) as error:
            raise InputError(
                f"{self._path} cannot be decoded at frame {done} of {self.info.frame_count}; "
                "copy it again, repair it, or go on with --on-bad-frame skip"
            ) from error
        if done < limit:
            raise InputError(
                f"{self._path} ends after {done} of {self.info.frame_count} frames; "
                "copy it again or cut it there"
            )

    def _decoded(self, container: av.container.InputContainer) -> Iterator[_Decoded]:
        if self._on_bad_frame == "skip":
            yield from decode_with_gaps(container)
            return
        container.streams.video[0].thread_type = "AUTO"
        for place, frame in enumerate(container.decode(video=0)):
            time_s = place / self.info.rate if frame.time is None else frame.time
            yield float(time_s), np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


class FrameFolder:
    """A folder of numbered JPEG or PNG frames of one size, at 25 frames/s.

    Args:
        path: the folder.
        on_bad_frame: what to do about a frame that cannot be read; the first one has to be.

    Raises:
        InputError: it holds no frames, or the first one cannot be read.
    """

    def __init__(self, path: Path, on_bad_frame: OnBadFrame = "stop") -> None:
        self._on_bad_frame = on_bad_frame
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

    def batches(self, size: int, max_frames: int | None = None) -> Iterator[FrameBatch]:
        """Decode in order, ahead of whoever uses the frames, in batches of at most `size`."""
        limit = _limit(len(self._files), max_frames)
        return decode_ahead(self.decode(size, limit), self.info.path)

    def decode(self, size: int, limit: int) -> Iterator[FrameBatch]:
        """Decode the first `limit` frames on this thread, in batches of at most `size`."""
        shape = (self.info.height, self.info.width)
        return _in_batches(self._frames(limit), size, shape)

    def _frames(self, limit: int) -> Iterator[_Decoded]:
        for index, file in enumerate(self._files[:limit]):
            yield index / self.info.rate, self._read(file)

    def _read(self, file: Path) -> NDArray[np.uint8] | None:
        try:
            image = read_image(file)
        except InputError:
            if self._on_bad_frame == "skip":
                return None
            raise
        if image.shape[:2] != (self.info.height, self.info.width):
            raise InputError(
                f"{file} is {image.shape[1]}x{image.shape[0]}, the frames before it are "
                f"{self.info.width}x{self.info.height}; give frames of one size"
            )
        return image


def _in_batches(
    frames: Iterator[_Decoded], size: int, shape: tuple[int, int]
) -> Iterator[FrameBatch]:
    """Put frames into batches, the last picture in the place of an undecodable one."""
    last = np.zeros((*shape, 3), np.uint8)
    start = 0
    while decoded := list(islice(frames, size)):
        images, undecodable = [], set()
        for row, (_, image) in enumerate(decoded):
            if image is None:
                undecodable.add(start + row)
            else:
                last = image
            images.append(last)
        yield FrameBatch(
            indices=np.arange(start, start + len(decoded), dtype=np.int64),
            times=np.array([time_s for time_s, _ in decoded], np.float64),
            images=np.stack(images),
            undecodable=frozenset(undecodable),
        )
        start += len(decoded)


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


def _limit(frame_count: int, max_frames: int | None) -> int:
    return frame_count if max_frames is None else min(frame_count, max_frames)


def _hash_files(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as content:
            while chunk := content.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()
