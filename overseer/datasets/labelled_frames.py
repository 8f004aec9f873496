"""What the readers of all layouts give, and how a picture with its instances becomes a frame."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.labelled_clip import IGNORED, LabelledClip, masks_of_map
from pipeline.labels import LabelSet
from pipeline.mask_folder import class_regions, in_colours
from pipeline.masks import connected_parts, decode_mask, polygon_rle
from pipeline.picture_files import read_image

# Of a video that is labelled throughout; neighbouring frames teach the same.
FRAMES_OF_A_VIDEO = 200

Instance = tuple[int | None, NDArray[np.bool_]]
"""A class id and a mask bool[H, W]; without a class, a region that is to be ignored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledPicture:
    """A picture of a data set, before anything of it is read.

    Attributes:
        path: the picture.
        video: name of the video that it is a frame of; splits never divide a video.
        read_instances: from the picture's (height, width) to its instances, those behind first;
            raises InputError where the labels cannot be used.
    """

    path: Path
    video: str
    read_instances: Callable[[tuple[int, int]], Iterable[Instance]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameReading:
    """How a frame comes to be read.

    Attributes:
        path: its picture, or the video that it is in.
        video: name of the video.
        read: returns the frame; raises InputError where it cannot be used.
    """

    path: Path
    video: str
    read: Callable[[], LabelledClip]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledFrames:
    """The labelled frames of a data set.

    Attributes:
        label_set: what the class ids mean.
        clips: the frames, each a clip of its own.
        paths: the picture of each.
        videos: the name of the video of each.
        problems: a sentence for each frame that was left out, naming its file.
    """

    label_set: LabelSet
    clips: tuple[LabelledClip, ...]
    paths: tuple[Path, ...]
    videos: tuple[str, ...]
    problems: tuple[str, ...] = ()


def gather_frames(
    folder: Path,
    pictures: Sequence[LabelledPicture],
    label_set: LabelSet,
    longest_side: int,
    *,
    wanted: str,
) -> LabelledFrames:
    """Read pictures and their labels; what cannot be used is left out and named.

    Args:
        folder: the data set, for messages.
        pictures: what to read.
        label_set: what the class ids mean.
        longest_side: larger pictures are shrunk to this many pixels.
        wanted: what the layout looks for in the folder, for messages.

    Raises:
        InputError: no frame can be used.
    """
    readings = (
        FrameReading(
            path=picture.path,
            video=picture.video,
            read=partial(_read_frame, picture, longest_side),
        )
        for picture in pictures
    )
    return gather_readings(folder, readings, label_set, wanted=wanted)


def gather_readings(
    folder: Path, readings: Iterable[FrameReading], label_set: LabelSet, *, wanted: str
) -> LabelledFrames:
    """Read frames one after the other; what cannot be used is left out and named.

    Args:
        folder: the data set, for messages.
        readings: what to read; each is read before the next is asked for.
        label_set: what the class ids mean.
        wanted: what the layout looks for in the folder, for messages.

    Raises:
        InputError: no frame can be used.
    """
    sound: list[tuple[FrameReading, LabelledClip]] = []
    problems: list[str] = []
    for reading in readings:
        try:
            sound.append((reading, _without_background(reading.read(), label_set)))
        except InputError as error:
            problems.append(str(error))
        # Whatever is in a file that others wrote, it costs its own frame alone.
        except (ArithmeticError, LookupError, OSError, TypeError, ValueError, cv2.error) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            problems.append(
                f"{reading.path} has labels that cannot be read ({reason}); repair them"
            )
    if not sound:
        if not problems:
            raise InputError(f"{folder} holds no {wanted}; check the folder, or --layout")
        raise InputError(f"{folder} has no frame to learn from: {problems[0]}")
    return LabelledFrames(
        label_set=label_set,
        clips=tuple(clip for _, clip in sound),
        paths=tuple(reading.path for reading, _ in sound),
        videos=tuple(reading.video for reading, _ in sound),
        problems=tuple(problems),
    )


def _without_background(clip: LabelledClip, label_set: LabelSet) -> LabelledClip:
    """Return a clip in which what is outlined as background is no instance."""
    background = {label.id for label in label_set.classes if label.kind == "background"}
    tracks = clip.class_of_track
    outlined = [track_id for track_id, class_id in tracks.items() if class_id in background]
    if not outlined:
        return clip
    return replace(
        clip,
        track_maps=np.where(np.isin(clip.track_maps, outlined), np.uint8(0), clip.track_maps),
        class_of_track={track_id: tracks[track_id] for track_id in tracks.keys() - set(outlined)},
    )


def instances_of_values(
    values: NDArray[np.int64], label_set: LabelSet, mask: Path
) -> Iterator[Instance]:
    """Yield what the values of a mask picture mean.

    Args:
        values: int64[H, W].
        label_set: what they mean.
        mask: where they came from, for messages.

    Yields:
        What is ignored, the connected parts of each thing, and each region of stuff as it is.
        Specks beside a thing's parts are ignored: they may be its seams or other things.

    Raises:
        InputError: a value is not known.
    """
    values = in_colours(values, label_set)
    ignored = np.isin(values, label_set.ignored_values)
    if ignored.any():
        yield None, ignored
    for label, region in class_regions(values, label_set, mask):
        if label.kind != "thing":
            yield label.id, region
            continue
        parts = connected_parts(region)
        yield from ((label.id, part) for part in parts)
        specks = region & ~np.any(parts, axis=0)
        if specks.any():
            yield None, specks


def check_size(labels: Path, size: tuple[int, int], picture_size: tuple[int, int]) -> None:
    """Refuse labels that were drawn for a picture of another (height, width).

    Raises:
        InputError: the sizes differ.
    """
    if size != picture_size:
        raise InputError(
            f"{labels} is {size[1]}x{size[0]}, its picture is "
            f"{picture_size[1]}x{picture_size[0]}; make them equal"
        )


def polygon_mask(polygons: Sequence[Sequence[float]], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask bool[H, W] of an object's polygons.

    Args:
        polygons: each a flat list of x and y in pixels.
        size: height and width of the picture.

    Raises:
        ValueError: one has less than three points, or lies far outside the picture.
    """
    rings = [np.asarray(polygon, np.float64).reshape(-1, 2) for polygon in polygons]
    return decode_mask(polygon_rle(rings, size))


def clip_of_instances(
    image: NDArray[np.uint8], instances: Iterable[Instance], longest_side: int
) -> LabelledClip:
    """Make a clip of one frame; a later instance or ignored region lies over an earlier one.

    Of an instance that is too thin for any pixel of the smaller picture, what it touches is ignored
    where nothing else is: as background it would teach that it is not there.

    Args:
        image: uint8[H, W, 3], RGB.
        instances: in the picture's size; from the 255th on they are ignored regions.
        longest_side: a larger picture is shrunk to this many pixels.
    """
    height, width = image.shape[:2]
    scale = min(1.0, longest_side / max(height, width))
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    track_map = np.zeros((size[1], size[0]), np.uint8)
    class_of_track: dict[int, int] = {}
    for class_id, mask in instances:
        covered = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        small = covered >= 0.5
        if not small.any():
            track_map[(covered > 0) & (track_map == 0)] = IGNORED
            continue
        if class_id is None or len(class_of_track) == IGNORED - 1:
            track_map[small] = IGNORED
        else:
            track_id = len(class_of_track) + 1
            class_of_track[track_id] = class_id
            track_map[small] = track_id
    shrunk = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    # What later ones hide wholly, such as an outline that is there twice, is none in the picture.
    seen = {
        track_id: class_of_track[track_id]
        for track_id, _ in masks_of_map(track_map, class_of_track, 1)
    }
    return LabelledClip(images=shrunk[None], track_maps=track_map[None], class_of_track=seen)


def _read_frame(picture: LabelledPicture, longest_side: int) -> LabelledClip:
    image = read_image(picture.path)
    instances = picture.read_instances((image.shape[0], image.shape[1]))
    return clip_of_instances(image, instances, longest_side)
