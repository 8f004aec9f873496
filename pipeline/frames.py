"""Video sources: probe, and decode in order; a video file or a folder of numbered frames."""

import os
import stat
from collections.abc import Generator, Iterator
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from itertools import chain, dropwhile, islice
from pathlib import Path
from typing import Literal, Protocol

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from pipeline.content_hash import hash_files
from pipeline.decoding.batches import DecodedFrame, in_batches
from pipeline.decoding.damaged_video import decode_with_gaps
from pipeline.decoding.decode_ahead import DecodedCount, decode_ahead
from pipeline.decoding.matroska import declared_bytes
from pipeline.decoding.packet_times import (
    has_decoding_times,
    is_before,
    mean_rate,
    shown_times,
    tell_frames_apart,
    video_stream,
)
from pipeline.decoding.upright_pictures import quarter_turns, rgb_picture
from pipeline.errors import InputError
from pipeline.file_names import require_printable
from pipeline.picture_files import list_images, read_image
from pipeline.records import FrameBatch

# Also what recorders in operating theatres, camcorders and DVD recorders write.
VIDEO_SUFFIXES = (
    ".mp4", ".mkv", ".mov", ".avi", ".m4v", ".mpg", ".mpeg", ".ts", ".webm", ".wmv",
    ".mts", ".m2ts", ".m2v", ".vob", ".mxf", ".asf", ".dv", ".3gp", ".flv", ".ogv",
)  # fmt: skip
_FOLDER_RATE = 25.0
_LISTS = ("concat", "hls", "dash")

# What to do about a frame that cannot be decoded: end there, or go on without its picture.
OnBadFrame = Literal["stop", "skip"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo:
    """What a video says of itself.

    Attributes:
        name: file name without its suffix, or name of the folder.
        path: where it lies.
        sha256: hash of the content, hexadecimal.
        width: in pixels.
        height: in pixels.
        frame_count: frames that the file shows, by its packets.
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

    @property
    def is_seekable(self) -> bool:
        """Whether decoding from a frame on needs none far before it."""

    def batches(
        self, size: int, max_frames: int | None = None, start: int = 0
    ) -> Generator[FrameBatch, None, None]:
        """Decode in order, each frame once, in batches of at most `size` frames.

        Args:
            size: frames in a batch; the last may have fewer.
            max_frames: end before the frame of this index.
            start: index of the first frame.
        """

    def shrunk_to(self, size: tuple[int, int]) -> "VideoSource":
        """Return the same video, whose pictures are brought to a height and width when decoded."""


def open_video(path: Path | str, on_bad_frame: OnBadFrame = "stop") -> VideoSource:
    """Open a video file, or a folder of numbered JPEG or PNG frames.

    Args:
        path: where it lies.
        on_bad_frame: what to do about a frame in the middle that cannot be decoded.

    Raises:
        InputError: it is missing, empty, not a video, damaged, or still being written.
    """
    path = Path(path)
    require_printable(path)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            return FrameFolder(path, on_bad_frame)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{path} does not exist; give the path of a video or a folder of frames"
        ) from None
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); let this user read it, or copy it elsewhere"
        ) from error
    if status.st_size == 0:
        raise InputError(f"{path} is empty; copy or record the video again")
    declared = declared_bytes(path)
    if declared is not None and status.st_size < declared:
        raise InputError(
            f"{path} has {status.st_size} of {declared} bytes; copy it again, or to its end"
        )
    video = VideoFile(path, on_bad_frame)
    # Else frames of before would be counted, and the hash be that of a video with more of them.
    if _version(path.stat()) != _version(status):
        raise InputError(
            f"{path} has changed while it was read; annotate it when it is recorded or copied whole"
        )
    return video


def _version(status: os.stat_result) -> tuple[int, int]:
    """Return what of a file changes when it is written."""
    return status.st_size, status.st_mtime_ns


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
            with _open_container(path) as container:
                stream = video_stream(container)
                told = float(stream.average_rate or stream.guessed_rate or _FOLDER_RATE)
                # Counted, since not every container says how many frames it holds.
                times = shown_times(container.demux(stream))
                if has_decoding_times(container):
                    times = [None] * len(times)
                rate = mean_rate(times, float(stream.time_base or 0), told)
                coded = stream.width, stream.height
        except (av.error.FFmpegError, OSError) as error:
            raise InputError(
                f"{path} is not a video that can be decoded, or it is damaged; copy it again or "
                "convert it to mp4 (H.264)"
            ) from error
        if not times or not all(coded):
            raise InputError(f"{path} holds no video frames; give a file with a video stream")
        width, height = coded[::-1] if _is_turned(path) else coded
        self.info = VideoInfo(
            name=path.stem,
            path=path.resolve(),
            sha256=hash_files([path]),
            width=width,
            height=height,
            frame_count=len(times),
            rate=rate,
        )
        self._times = sorted(time for time in times if time is not None)
        # Gaps are known only by what comes before them.
        self.is_seekable = on_bad_frame == "stop" and tell_frames_apart(times)
        self._count = DecodedCount()
        self._size = height, width

    def __repr__(self) -> str:
        return f"VideoFile({_described(self.info)})"

    def shrunk_to(self, size: tuple[int, int]) -> "VideoFile":
        """Return the same video, whose pictures are brought to a height and width when decoded."""
        shrunk = copy(self)
        shrunk._size = size
        return shrunk

    def batches(
        self, size: int, max_frames: int | None = None, start: int = 0
    ) -> Generator[FrameBatch, None, None]:
        """Decode in order, ahead of whoever uses the frames, in batches of at most `size`."""
        limit = _limit(self.info.frame_count, max_frames)
        return decode_ahead(self.decode(size, limit, start), self._path, self._count)

    def decode(self, size: int, limit: int, start: int = 0) -> Iterator[FrameBatch]:
        """Decode the frames from `start` to `limit` on this thread, at most `size` in a batch."""
        if start >= limit:
            return iter(())
        first = start if self.is_seekable else 0
        frames = islice(self._frames(first, limit), limit - first)
        return in_batches(frames, size, self._size, first, start)

    def _frames(self, first: int, limit: int) -> Iterator[DecodedFrame]:
        """Yield each of the frames from `first` to `limit`."""
        done = first
        try:
            with _open_container(self._path) as container:
                for decoded in self._decoded(container, first):
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

    def _decoded(self, container: InputContainer, first: int) -> Iterator[DecodedFrame]:
        decoded: Iterator[tuple[float | None, NDArray[np.uint8] | None]]
        if self._on_bad_frame == "skip":
            with_gaps = decode_with_gaps(container, self._size, self._times)
            decoded = self._count.over(with_gaps)
        else:
            video_stream(container).thread_type = "AUTO"
            shown = self._from(container, first)
            decoded = ((frame.time, rgb_picture(frame, self._size)) for frame in shown)
        for place, (time_s, picture) in enumerate(decoded, start=first):
            yield self._time_s(place, time_s), picture

    def _time_s(self, place: int, told: float | None) -> float:
        """Return when a frame is shown: as it is told, where the file's times are any use."""
        return place / self.info.rate if told is None or not self._times else float(told)

    def _from(self, container: InputContainer, first: int) -> Iterator[VideoFrame]:
        """Decode from a frame on: from the key frame before it, if its time is known."""
        if first == 0:
            return islice(self._shown(container), first, None)
        wanted, stream = self._times[first], video_stream(container)
        container.seek(wanted, stream=stream)
        from_key_frame = self._count.over(container.decode(stream))
        late = dropwhile(lambda frame: is_before(frame.pts, wanted), from_key_frame)
        found = next(late, None)
        if found is not None and found.pts == wanted:
            return chain([found], late)
        container.seek(0, stream=stream)
        return islice(self._shown(container), first, None)

    def _shown(self, container: InputContainer) -> Iterator[VideoFrame]:
        """Decode from the beginning; some decoders try what has no key frame to build on."""
        begin = self._times[0] if self._times else None
        decoded = self._count.over(container.decode(video_stream(container)))
        return dropwhile(lambda frame: is_before(frame.pts, begin), decoded)


def _open_container(path: Path) -> InputContainer:
    # libav takes what is before a colon for a protocol, as in 2026-11-26T10:30.mp4.
    container = av.open(str(path.absolute()))
    if container.format.name in _LISTS:
        container.close()
        raise InputError(f"{path} is a list of other files, whose content may change; give a video")
    return container


def _is_turned(path: Path) -> bool:
    """Return whether a video is shown in portrait though it is coded in landscape, or so."""
    # A first frame that is damaged is complained of when it is annotated.
    with suppress(av.error.FFmpegError), _open_container(path) as container:
        first = next(container.decode(video_stream(container)), None)
        return first is not None and quarter_turns(first) % 2 == 1
    return False


def _what_else(folder: Path) -> str:
    """Say what can be given in place of a folder without frames."""
    if any(file.suffix.lower() in VIDEO_SUFFIXES for file in folder.iterdir()):
        return "its videos one by one, or the folder to `scopeline archive`"
    # As labelled frames lie: pictures in one folder, masks in another.
    within = (folder / name for name in ("images", "frames", "img"))
    if pictures := next((each for each in within if each.is_dir() and list_images(each)), None):
        return str(pictures)
    return "a folder of numbered frames or a video"


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
        # In place of a picture that cannot be read stands the one before it.
        self.is_seekable = on_bad_frame == "stop"
        self._files = list_images(path)
        if not self._files:
            raise InputError(f"{path} holds no JPEG or PNG frames; give {_what_else(path)}")
        height, width = read_image(self._files[0]).shape[:2]
        self.info = VideoInfo(
            name=path.resolve().name,
            path=path.resolve(),
            sha256=hash_files(self._files),
            width=width,
            height=height,
            frame_count=len(self._files),
            rate=_FOLDER_RATE,
        )
        self._size = height, width
        self._count = DecodedCount()

    def __repr__(self) -> str:
        return f"FrameFolder({_described(self.info)})"

    def shrunk_to(self, size: tuple[int, int]) -> "FrameFolder":
        """Return the same video, whose pictures are brought to a height and width when decoded."""
        shrunk = copy(self)
        shrunk._size = size
        return shrunk

    def batches(
        self, size: int, max_frames: int | None = None, start: int = 0
    ) -> Generator[FrameBatch, None, None]:
        """Decode in order, ahead of whoever uses the frames, in batches of at most `size`."""
        limit = _limit(len(self._files), max_frames)
        return decode_ahead(self.decode(size, limit, start), self.info.path, self._count)

    def decode(self, size: int, limit: int, start: int = 0) -> Iterator[FrameBatch]:
        """Decode the frames from `start` to `limit` on this thread, at most `size` in a batch."""
        first = start if self.is_seekable else 0
        frames = self._count.over(self._frames(first, limit))
        return in_batches(frames, size, self._size, first, start)

    def _frames(self, first: int, limit: int) -> Iterator[DecodedFrame]:
        for index in range(first, limit):
            yield index / self.info.rate, self._read(self._files[index])

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
        if image.shape[:2] != self._size:
            image = np.asarray(cv2.resize(image, self._size[::-1], interpolation=cv2.INTER_AREA))
        return image


def _described(info: VideoInfo) -> str:
    """Return what of a video is worth to be seen at a prompt."""
    size = f"{info.width}x{info.height}"
    return f"{str(info.path)!r}, {info.frame_count} frames, {size}, {info.rate:.5g} frames/s"


def _limit(frame_count: int, max_frames: int | None) -> int:
    return frame_count if max_frames is None else min(frame_count, max_frames)
