"""Labelled frames to learn from: a short run of frames with a track at each pixel."""

from collections.abc import Container, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.array_reprs import describe_record
from pipeline.masks import encode_mask
from pipeline.records import FrameAnnotation, Origin, TrackAnnotation

IGNORED = 255
"""In a track map: a region that nobody labelled, from which nothing is learned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledClip:
    """A short run of frames in which every pixel's track is known.

    A single labelled picture is a clip of one frame.

    Attributes:
        images: uint8[T, H, W, 3], RGB.
        track_maps: uint8[T, H, W], the track id at each pixel, 0 for none, `IGNORED` where the
            labels do not say what is there.
        class_of_track: class id of each track id that occurs.

    Raises:
        ValueError: shapes or dtypes do not fit together.
    """

    images: NDArray[np.uint8]
    track_maps: NDArray[np.uint8]
    class_of_track: dict[int, int]

    __repr__ = describe_record

    def __post_init__(self) -> None:
        """Check that images and track maps belong together."""
        if self.images.ndim != 4 or self.images.shape[-1] != 3 or self.images.dtype != np.uint8:
            raise ValueError(f"images must be uint8[T, H, W, 3], not {self.images.shape}")
        if self.track_maps.shape != self.images.shape[:3]:
            raise ValueError(
                f"track maps {self.track_maps.shape} do not fit images {self.images.shape}"
            )

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.images)

    def masks(self, frame: int, min_area: int = 1) -> Iterator[tuple[int, NDArray[np.bool_]]]:
        """Yield (track_id, mask bool[H, W]) of each track that covers at least `min_area`."""
        return masks_of_map(self.track_maps[frame], self.class_of_track, min_area)

    def annotation(self, frame: int, index: int = 0) -> FrameAnnotation:
        """Return a frame's labels as an annotation, under a frame index."""
        tracks = tuple(
            TrackAnnotation(
                track_id=track_id,
                class_id=self.class_of_track[track_id],
                rle=encode_mask(mask),
                quality=1.0,
                presence=1.0,
                origin=Origin.HUMAN,
            )
            for track_id, mask in self.masks(frame)
        )
        return FrameAnnotation(index=index, time_s=float(index), tracks=tracks)


def masks_of_map(
    track_map: NDArray[np.uint8], track_ids: Container[int], min_area: int
) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Yield (track_id, mask bool[H, W]) of some tracks in a map uint8[H, W].

    Args:
        track_map: the track id at each pixel.
        track_ids: those that count.
        min_area: smaller masks are left out, in pixels.
    """
    areas = np.bincount(track_map.ravel(), minlength=256)
    for track_id in np.flatnonzero(areas >= min_area).tolist():
        if track_id in track_ids:
            yield track_id, track_map == track_id
