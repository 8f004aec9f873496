"""How fast frames are decoded, and how large an annotation set becomes."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from flows.bench.clock import in_turns, seconds_of
from pipeline.annotation_set import SUFFIX, AnnotationSet
from pipeline.annotation_set.writer import AnnotationSetWriter, new_manifest
from pipeline.frames import open_video
from pipeline.masks import decode_mask, encode_mask
from pipeline.records import FrameAnnotation
from pipeline.single_frames import numbered_frames

_HOUR_FRAMES = 90_000
_OBJECTS = 6
# Sets are written in parts of 100 frames, which are compressed one by one.
_WRITTEN_FRAMES = 200


def measure_decoders(video: Path, out: Path, rounds: int) -> dict[str, Any]:
    """Measure the decoders on the frames of one video: ours, and OpenCV's to compare with."""
    frames = _copy_as_folders(video, out)
    readers: dict[str, Callable[[], Iterator[NDArray[np.uint8]]]] = {
        "video (PyAV)": lambda: _images(video),
        "folder of JPEG": lambda: _images(out / "jpg"),
        "folder of PNG": lambda: _images(out / "png"),
        "video (OpenCV, not used)": lambda: _opencv_images(video),
        "video (PyAV, one thread, not used)": lambda: _single_threaded_images(video),
    }
    seconds = in_turns(
        {name: partial(seconds_of, partial(_count, read)) for name, read in readers.items()},
        rounds,
    )
    return {"frames_per_second": {name: frames / value for name, value in seconds.items()}}


def _count(read: Callable[[], Iterator[NDArray[np.uint8]]]) -> int:
    return sum(1 for _ in read())


def _images(path: Path) -> Iterator[NDArray[np.uint8]]:
    return (image for _, image in numbered_frames(open_video(path)))


def _opencv_images(video: Path) -> Iterator[NDArray[np.uint8]]:
    capture = cv2.VideoCapture(str(video))
    try:
        while True:
            there, image = capture.read()
            if not there:
                return
            yield np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
    finally:
        capture.release()


def _single_threaded_images(video: Path) -> Iterator[NDArray[np.uint8]]:
    with av.open(str(video)) as container:
        container.streams.video[0].thread_type = "NONE"
        for frame in container.decode(video=0):
            yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def _copy_as_folders(video: Path, out: Path) -> int:
    """Write the frames of a video as JPEG and PNG; returns how many there are."""
    count = 0
    for suffix in ("jpg", "png"):
        (out / suffix).mkdir(parents=True, exist_ok=True)
    for count, image in enumerate(_images(video), start=1):
        for suffix in ("jpg", "png"):
            picture = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
            cv2.imwrite(str(out / suffix / f"{count:06d}.{suffix}"), picture)
    return count


def measure_storage(truth: AnnotationSet, out: Path, rounds: int) -> dict[str, Any]:
    """Write masks of a clip, each time shifted, and see how large an hour of them would be.

    The parts of a set are compressed one by one, so that its size grows with its length.
    """
    frames = list(_shifted_frames(truth, _WRITTEN_FRAMES))
    path = out / f"stored{SUFFIX}"
    info = open_video(Path(truth.manifest.video.path)).info
    writer = AnnotationSetWriter(path, new_manifest(info, truth.label_set))

    def write() -> None:
        with writer:
            for frame in frames:
                writer.add(frame)

    written_s = seconds_of(write)
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    opened = in_turns(
        {"open": lambda: seconds_of(lambda: next(AnnotationSet(path).frames()))}, rounds
    )
    return {
        "objects": _OBJECTS,
        "frames_written": len(frames),
        "bytes_per_frame": size / len(frames),
        "mb_per_hour": size / len(frames) * _HOUR_FRAMES / 1e6,
        "frames_written_per_second": len(frames) / written_s,
        "open_s": opened["open"],
    }


def _shifted_frames(truth: AnnotationSet, count: int) -> Iterator[FrameAnnotation]:
    """Yield frames with six tracks whose masks are all different."""
    known = list(truth.frames())
    for index in range(count):
        turn, place = divmod(index, len(known))
        tracks = [
            known[place].tracks[number % len(known[place].tracks)] for number in range(_OBJECTS)
        ]
        yield FrameAnnotation(
            index=index,
            time_s=index / 25,
            tracks=tuple(
                replace(
                    track,
                    track_id=number,
                    rle=encode_mask(np.roll(decode_mask(track.rle), 3 * turn + number // 6, 1)),
                )
                for number, track in enumerate(tracks)
            ),
        )
