"""A folder of mask pictures as annotations: one PNG a frame, indexed, grey or RGB."""

import copy
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from pipeline.annotation_set import AnnotationSet
from pipeline.corrections.corrected_set import refuse_corrections
from pipeline.errors import InputError
from pipeline.labels import GREY_AS_COLOUR, LabelClass, LabelSet, unnamed_label_set
from pipeline.masks import encode_mask
from pipeline.picture_files import list_images
from pipeline.records import FrameAnnotation, Origin, TrackAnnotation

_MOST_GREY = 255


class MaskFolder:
    """True masks in a folder of PNGs, in natural order; one track for each value.

    They are those of a video's frames in their order, until `by_frame` says otherwise.

    Args:
        path: the folder.
        label_set: what the values mean; without it each value but 0 is a class of its own.

    Raises:
        InputError: the folder is missing or holds no PNG.
    """

    def __init__(self, path: Path, label_set: LabelSet | None = None) -> None:
        self.path = path
        if not path.is_dir():
            what = "is a file" if path.exists() else "does not exist"
            raise InputError(f"{path} {what}; give an annotation set or a folder of mask PNGs")
        self._files = [file for file in list_images(path) if file.suffix.lower() == ".png"]
        if not self._files:
            raise InputError(f"{path} holds no mask PNGs; give a folder with one PNG a frame")
        self._given_labels = label_set
        self._by_index = dict(enumerate(self._files))

    def by_frame(self, frame_count: int, pictures: Sequence[Path] = ()) -> "MaskFolder":
        """Return the masks by the frames of a video that they are of.

        Fewer masks than frames, whose numbers leave gaps or begin later, are of the frames that
        these name, from 0 on, as in a `davis` export of each Nth frame; where the frames are
        numbered pictures, of those with these numbers.

        Args:
            frame_count: frames of the video.
            pictures: the frames, where they are pictures of a folder.

        Raises:
            InputError: the video has no frame of such a number.
        """
        numbers = _numbers_in_names(self._files)
        if len(self._files) >= frame_count or numbers is None:
            return self
        of_pictures = _numbers_in_names(pictures)
        frames = {number: index for index, number in enumerate(of_pictures or range(frame_count))}
        unknown = [number for number in numbers if number not in frames]
        gapless = numbers[-1] - numbers[0] < len(numbers)
        # Some count from 1, and some from where they please.
        if gapless and (unknown or (numbers[0] <= 1 and not of_pictures)):
            return self
        if unknown:
            raise InputError(
                f"{self.path} has {len(self._files)} masks with gaps in their numbers, one of "
                f"frame {unknown[-1]}, which the video of {frame_count} frames has not; number "
                "masks as its pictures, or its frames from 0 on, or give one for each frame"
            )
        numbered = copy.copy(self)
        numbered._by_index = {
            frames[number]: file for number, file in zip(numbers, self._files, strict=True)
        }
        return numbered

    @property
    def is_described(self) -> bool:
        """Whether a label set was given."""
        return self._given_labels is not None

    @cached_property
    def label_set(self) -> LabelSet:
        """What the values mean; to find out which there are, all masks are read.

        Raises:
            InputError: a PNG is damaged.
        """
        return self._given_labels or unnamed_label_set(self._all_values())

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self._files)

    def frames(self) -> Iterator[FrameAnnotation]:
        """Yield the masks of each frame.

        Raises:
            InputError: a PNG is damaged, or has a value that the label set does not know.
        """
        for index, file in self._by_index.items():
            yield FrameAnnotation(index=index, time_s=float(index), tracks=self._tracks(file))

    def ignored_region(self, index: int) -> NDArray[np.bool_] | None:
        """Return where the mask of a frame is left open, bool[H, W], or None where nowhere.

        Raises:
            InputError: the PNG is damaged.
        """
        known = {label.value for label in self.label_set.classes}
        values = set(self.label_set.ignored_values) - known
        if not values or index not in self._by_index:
            return None
        found = in_colours(read_mask_values(self._by_index[index]), self.label_set)
        region = np.isin(found, list(values))
        return region if region.any() else None

    def _tracks(self, file: Path) -> tuple[TrackAnnotation, ...]:
        return tuple(
            TrackAnnotation(
                track_id=label.id,
                class_id=label.id,
                rle=encode_mask(region),
                quality=1.0,
                presence=1.0,
                origin=Origin.HUMAN,
            )
            for label, region in class_regions(read_mask_values(file), self.label_set, file)
        )

    def _all_values(self) -> list[int]:
        values: set[int] = set()
        for file in self._files:
            values |= distinct_mask_values(file)
        return sorted(values)


def class_regions(
    values: NDArray[np.int64], label_set: LabelSet, path: Path
) -> list[tuple[LabelClass, NDArray[np.bool_]]]:
    """Return the foreground classes in a mask, each with its region bool[H, W].

    Args:
        values: int64[H, W], from `read_mask_values`.
        label_set: what the values mean; 0 means nothing where no class has it.
        path: where the mask came from, for messages.

    Raises:
        InputError: a value is not known.
    """
    values, known = in_colours(values, label_set), _known_values(label_set)
    present = {int(value) for value in np.unique(values)}
    if present - known:
        raise InputError(
            f"{path} has the value {min(present - known)}, which label set {label_set.name} does "
            "not know; add it to the label set's classes or to its 'ignore'"
        )
    return [
        (label, values == label.value) for label in label_set.foreground if label.value in present
    ]


def in_colours(values: NDArray[np.int64], label_set: LabelSet) -> NDArray[np.int64]:
    """Return values of a grey picture as those of colours, if these alone are known.

    A frame of RGB masks may show black, grey and white alone, and is then read as a grey one.

    Args:
        values: int64[H, W], from `read_mask_values`.
        label_set: what is known.
    """
    known = _known_values(label_set)
    # Most label sets have none, and looking through a mask takes long.
    if not any(value > _MOST_GREY and value % GREY_AS_COLOUR == 0 for value in known):
        return values
    present = set(np.unique(values).tolist())
    is_grey = max(present, default=0) <= _MOST_GREY
    if present <= known or not is_grey or not {v * GREY_AS_COLOUR for v in present} <= known:
        return values
    return values * GREY_AS_COLOUR


def _known_values(label_set: LabelSet) -> set[int]:
    return {0, *label_set.ignored_values, *(label.value for label in label_set.classes)}


def distinct_mask_values(path: Path) -> set[int]:
    """Return the values that are in a mask PNG.

    Raises:
        InputError: it cannot be decoded.
    """
    return {int(value) for value in np.unique(read_mask_values(path))}


def read_mask_values(path: Path) -> NDArray[np.int64]:
    """Read a mask PNG as int64[H, W] values.

    An indexed or grey picture gives its values; an RGB picture gives its grey level where
    all three channels are equal everywhere, else red * 65536 + green * 256 + blue.

    Raises:
        InputError: it cannot be decoded.
    """
    try:
        with Image.open(path) as picture:
            if picture.mode in ("P", "L", "1", "I", "I;16"):
                values = np.asarray(picture).astype(np.int64)
                return values * 255 if picture.mode == "1" else values
            channels = np.asarray(picture.convert("RGB")).astype(np.int64)
    except (
        OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError,
    ) as error:  # fmt: skip
        raise InputError(f"{path} is not a readable mask PNG; replace or remove it") from error
    red, green, blue = channels[..., 0], channels[..., 1], channels[..., 2]
    if np.array_equal(red, green) and np.array_equal(green, blue):
        return red
    return red * 65536 + green * 256 + blue


def open_masks(path: Path, label_set: LabelSet | None = None) -> AnnotationSet | MaskFolder:
    """Open true masks: an annotation set, or a folder of mask PNGs.

    Args:
        path: the set or the folder.
        label_set: what the values in a folder's PNGs mean.

    Raises:
        InputError: it is neither, or holds corrections alone.
    """
    if (path / "manifest.json").is_file():
        annotated = AnnotationSet(path)
        refuse_corrections(annotated)
        return annotated
    return MaskFolder(path, label_set)


def masks_of_video(
    masks: AnnotationSet | MaskFolder, frame_count: int, video: Path
) -> AnnotationSet | MaskFolder:
    """Return true masks by the frames of a video; see `MaskFolder.by_frame`."""
    if not isinstance(masks, MaskFolder):
        return masks
    return masks.by_frame(frame_count, list_images(video) if video.is_dir() else ())


def _numbers_in_names(files: Sequence[Path]) -> list[int] | None:
    """Return the number at the end of each name; None unless all have one, in ascending order."""
    names = [re.search(r"\d+$", file.stem) for file in files]
    numbers = [int(name[0]) for name in names if name is not None]
    in_order = all(before < after for before, after in pairwise(numbers))
    return numbers if len(numbers) == len(files) and in_order else None
