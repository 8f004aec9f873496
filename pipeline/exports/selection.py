"""What of a set is exported, and the frames' pictures."""

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from itertools import tee
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.annotation_set import AnnotationSet
from pipeline.errors import InputError, UsageError
from pipeline.frames import open_video
from pipeline.labels import LabelClass
from pipeline.masks import rle_area
from pipeline.records import FrameAnnotation, TrackAnnotation
from pipeline.single_frames import chosen_frames

ImageKind = Literal["jpeg", "png", "none"]
OutOfBody = Literal["keep", "blank"]


def _nothing(_done: int, _total: int) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The part of a set that is exported.

    Of a set that is still being written, that is what is committed.

    Attributes:
        annotation_set: the set.
        every: each Nth frame is exported.
        only: and of these only some, by their indices; all if it is None.
        classes: names of the classes to export; all if there are none.
        min_area: smaller masks are left out, in pixels.
        images: pictures that go with formats that refer to pictures.
        out_of_body: what becomes of pictures outside the body, which may show people in the
            operating room: they are kept, or blanked.
        video: where the annotated video is now; where it was annotated if it is None.
        on_frame: is called with (frames of the set that are passed, frames in all).

    Raises:
        UsageError: a class is not in the set's label set.
    """

    annotation_set: AnnotationSet
    every: int = 1
    only: frozenset[int] | None = None
    classes: tuple[str, ...] = ()
    min_area: int = 1
    images: ImageKind = "jpeg"
    out_of_body: OutOfBody = "keep"
    video: Path | None = None
    on_frame: Callable[[int, int], None] = _nothing

    def __post_init__(self) -> None:
        """Check the names of the classes."""
        known = [label.name for label in self.annotation_set.label_set.foreground]
        for name in self.classes:
            if name not in known:
                raise UsageError(
                    f"{self.annotation_set.path} has no class {name!r}; choose among "
                    f"{', '.join(known)}"
                )

    @property
    def labels(self) -> tuple[LabelClass, ...]:
        """The classes that are exported."""
        foreground = self.annotation_set.label_set.foreground
        return tuple(
            label for label in foreground if not self.classes or label.name in self.classes
        )

    @property
    def video_name(self) -> str:
        """The name of the video, without a suffix."""
        return self.annotation_set.manifest.video.name

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frames in pixels."""
        video = self.annotation_set.manifest.video
        return video.height, video.width

    def number(self, frame_index: int) -> str:
        """Return a frame's number for a file's name, as wide as all, so that names sort in order.

        Five digits at least, as `00012`.
        """
        widest = len(str(self.annotation_set.manifest.video.frame_count - 1))
        return f"{frame_index:0{max(widest, 5)}d}"

    def frames(self) -> Iterator[FrameAnnotation]:
        """Yield the frames with the tracks that are exported."""
        class_ids = {label.id for label in self.labels}
        total = self.annotation_set.manifest.counts.frames
        for frame in self.annotation_set.frames(self._takes):
            tracks = tuple(track for track in frame.tracks if self._has(track, class_ids))
            yield replace(frame, tracks=tracks)
            self.on_frame(frame.index + 1, total)
        self.on_frame(total, total)

    def _takes(self, index: int) -> bool:
        return index % self.every == 0 and (self.only is None or index in self.only)

    def _has(self, track: TrackAnnotation, class_ids: set[int]) -> bool:
        return track.class_id in class_ids and rle_area(track.rle) >= self.min_area

    def frames_with_pictures(self) -> Iterator[tuple[FrameAnnotation, NDArray[np.uint8]]]:
        """Yield the frames with their pictures uint8[H, W, 3], RGB.

        Raises:
            InputError: the annotated video is gone or has changed.
        """
        manifest = self.annotation_set.manifest
        entry = manifest.video
        skips = manifest.settings.get("on_bad_frame") == "skip"
        video = open_video(self._video_path(), "skip" if skips else "stop")
        if video.info.sha256 != entry.sha256:
            raise InputError(
                f"{video.info.path} is not the video that {self.annotation_set.path} annotates; "
                "put the original back, or say where it is by --video"
            )
        frames, same_frames = tee(self.frames())
        with closing(chosen_frames(video, (frame.index for frame in same_frames))) as pictures:
            for frame, (_, image) in zip(frames, pictures, strict=True):
                yield frame, self._shown(frame, image)

    def frames_to_learn_from(self) -> Iterator[tuple[FrameAnnotation, NDArray[np.uint8] | None]]:
        """Yield the frames with their pictures, or None where `images` wants none.

        Undecodable frames are left out: they have no picture, so nothing can be learned from them.

        Raises:
            InputError: pictures are wanted, but the annotated video is gone or has changed.
        """
        wants_none = self.images == "none"
        frames: Iterator[tuple[FrameAnnotation, NDArray[np.uint8] | None]] = (
            ((frame, None) for frame in self.frames())
            if wants_none
            else self.frames_with_pictures()
        )
        return ((frame, image) for frame, image in frames if "undecodable" not in frame.flags)

    def _video_path(self) -> Path:
        entry = self.annotation_set.manifest.video
        if self.video is None and ("://" in entry.path or _is_gone(Path(entry.path))):
            raise InputError(
                f"{self.annotation_set.path} annotates {entry.path}, which is not on this machine; "
                "put the video there, or say where it is by --video"
            )
        return self.video or Path(entry.path)

    def _shown(self, frame: FrameAnnotation, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        # In place of an undecodable frame stands the one before it, which may be out of the body.
        hidden = {"out_of_body", "undecodable"} & set(frame.flags)
        return np.zeros_like(image) if self.out_of_body == "blank" and hidden else image


def _is_gone(video: Path) -> bool:
    # Of one in another user's folder it is said why it cannot be read when it is opened.
    with suppress(PermissionError):
        return not video.exists()
    return False
