"""The records that flow from floor to floor: frozen dataclasses over NumPy arrays.

Masks are bool[..., H, W] at the video's size, boxes xyxy in pixels with the far edge
outside (half-open), frame indices count from 0.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.array_reprs import describe_record
from pipeline.masks import RLE, boxes_of_masks


class PromptReason(StrEnum):
    """Why the tracker was given a prompt."""

    ENTERED = "entered"
    RETURNED = "returned"
    DRIFTED = "drifted"
    RECLASSIFIED = "reclassified"
    SCENE_CUT = "scene_cut"
    REFRESHED = "refreshed"
    HUMAN = "human"


class Origin(StrEnum):
    """Where a stored mask comes from."""

    PROMPT = "prompt"
    PROPAGATED = "propagated"
    BACK_FILLED = "back_filled"
    HUMAN = "human"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameBatch:
    """Decoded frames, in order.

    Attributes:
        indices: int64[N], frame indices.
        times: float64[N], presentation times in seconds.
        images: uint8[N, H, W, 3], RGB.
        undecodable: indices of those frames that could not be decoded; in the place of each
            stands the picture before it, or a black one.

    Raises:
        ValueError: the shapes or dtypes do not fit together.
    """

    indices: NDArray[np.int64]
    times: NDArray[np.float64]
    images: NDArray[np.uint8]
    undecodable: frozenset[int] = frozenset()

    __repr__ = describe_record

    def __post_init__(self) -> None:
        """Check shapes and dtypes."""
        count = len(self.indices)
        _require_array("indices", self.indices, np.int64, (count,))
        _require_array("times", self.times, np.float64, (count,))
        require_pictures(self.images)
        _require(len(self.images) == count, "images must be as many as indices")

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.indices)

    def numbered(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield the index and the picture uint8[H, W, 3] of each frame."""
        return zip(self.indices.tolist(), self.images, strict=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Detections:
    """What the overseer sees in one frame.

    Attributes:
        class_ids: int64[D].
        scores: float32[D], 0..1.
        boxes: float32[D, 4], xyxy in pixels.
        masks: bool[D, H, W]; they may overlap.
        appearances: float32[D, C], how what lies under the masks looks, at unit length; None where
            it is not known.

    Raises:
        ValueError: the shapes or dtypes do not fit together.
    """

    class_ids: NDArray[np.int64]
    scores: NDArray[np.float32]
    boxes: NDArray[np.float32]
    masks: NDArray[np.bool_]
    appearances: NDArray[np.float32] | None = None

    __repr__ = describe_record

    def __post_init__(self) -> None:
        """Check shapes and dtypes."""
        count = len(self.class_ids)
        _require_array("class_ids", self.class_ids, np.int64, (count,))
        _require_array("scores", self.scores, np.float32, (count,))
        _require_array("boxes", self.boxes, np.float32, (count, 4))
        _require_array("masks", self.masks, np.bool_, (count, None, None))
        if self.appearances is not None:
            _require_array("appearances", self.appearances, np.float32, (count, None))

    def __len__(self) -> int:
        """Return the number of detections."""
        return len(self.class_ids)

    @classmethod
    def from_masks(
        cls,
        *,
        class_ids: NDArray[np.int64],
        scores: NDArray[np.float32],
        masks: NDArray[np.bool_],
    ) -> "Detections":
        """Make detections whose boxes are the tight boxes of their masks."""
        boxes = boxes_of_masks(masks)
        return cls(class_ids=class_ids, scores=scores, boxes=boxes, masks=masks)

    def rows(self, numbers: NDArray[np.int64]) -> "Detections":
        """Return some of the detections, by their numbers."""
        return Detections(
            class_ids=self.class_ids[numbers],
            scores=self.scores[numbers],
            boxes=self.boxes[numbers],
            masks=self.masks[numbers],
            appearances=None if self.appearances is None else self.appearances[numbers],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A hint to the tracker for one track on one frame.

    Attributes:
        frame_index: the frame that it belongs to.
        track_id: identity of the object; new ids start new tracks.
        class_id: class of the object.
        reason: why it is given.
        mask: bool[H, W], or None.
        box: float32[4] xyxy in pixels, or None.
        points: float32[P, 3] of x, y in pixels and 1 (on the object) or 0 (off it), or None.
        score: the overseer's confidence, 0..1.

    Raises:
        ValueError: not exactly one of mask, box and points is given, or it has another shape or
            dtype.
    """

    frame_index: int
    track_id: int
    class_id: int
    reason: PromptReason
    mask: NDArray[np.bool_] | None = None
    box: NDArray[np.float32] | None = None
    points: NDArray[np.float32] | None = None
    score: float = 1.0

    __repr__ = describe_record

    def __post_init__(self) -> None:
        """Check that there is exactly one hint, and its shape."""
        given = [hint for hint in (self.mask, self.box, self.points) if hint is not None]
        _require(len(given) == 1, "a prompt needs exactly one of mask, box and points")
        if self.mask is not None:
            # A mask of 0 and 255 would grow as it is made as large as the network's input.
            _require_array("a prompt's mask", self.mask, np.bool_, (None, None))
        if self.box is not None:
            _require_array("a prompt's box", self.box, np.float32, (4,))
        if self.points is not None:
            _require_array("a prompt's points", self.points, np.float32, (None, 3))

    @property
    def kind(self) -> str:
        """Which hint is given: mask, box or points."""
        if self.mask is not None:
            return "mask"
        return "box" if self.box is not None else "points"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedMasks:
    """What the tracker sees in one frame.

    Attributes:
        track_ids: int64[M].
        masks: bool[M, H, W]; they do not overlap, and may be empty.
        quality: float32[M], predicted IoU 0..1.
        presence: float32[M], probability 0..1 that the object is visible.
        claims: float32[M, M], IoU 0..1 of what each two tracks claimed before each pixel went
            to one of them; None where it is not known.
        claims_before: float32[M, M], IoU of what each track (row) claims with what each track
            (column) claimed on the frame before; None where it is not known.
        appearances: float32[M, C], how what lies under the masks looks, at unit length; None where
            it is not known.

    Raises:
        ValueError: the shapes or dtypes do not fit together.
    """

    track_ids: NDArray[np.int64]
    masks: NDArray[np.bool_]
    quality: NDArray[np.float32]
    presence: NDArray[np.float32]
    claims: NDArray[np.float32] | None = None
    claims_before: NDArray[np.float32] | None = None
    appearances: NDArray[np.float32] | None = None

    __repr__ = describe_record

    def __post_init__(self) -> None:
        """Check shapes and dtypes."""
        count = len(self.track_ids)
        _require_array("track_ids", self.track_ids, np.int64, (count,))
        _require_array("masks", self.masks, np.bool_, (count, None, None))
        _require_array("quality", self.quality, np.float32, (count,))
        _require_array("presence", self.presence, np.float32, (count,))
        for claims in (self.claims, self.claims_before):
            if claims is not None:
                _require_array("claims", claims, np.float32, (count, count))
        if self.appearances is not None:
            _require_array("appearances", self.appearances, np.float32, (count, None))

    def __len__(self) -> int:
        """Return the number of tracks."""
        return len(self.track_ids)

    def without(self, track_ids: Collection[int]) -> "TrackedMasks":
        """Return the same record, with some tracks not visible."""
        if not track_ids:
            return self
        hidden = np.isin(self.track_ids, list(track_ids))
        between = hidden[:, None] | hidden[None]
        return replace(
            self,
            masks=self.masks & ~hidden[:, None, None],
            presence=np.where(hidden, np.float32(0), self.presence),
            claims=None if self.claims is None else np.where(between, np.float32(0), self.claims),
        )

    @classmethod
    def empty(cls, height: int, width: int) -> "TrackedMasks":
        """Return the record of a frame without tracks."""
        return cls(
            track_ids=np.zeros(0, np.int64),
            masks=np.zeros((0, height, width), np.bool_),
            quality=np.zeros(0, np.float32),
            presence=np.zeros(0, np.float32),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedFrame:
    """A frame before the current one in which the tracker has changed masks.

    Attributes:
        frame_index: frame index.
        tracked: the masks of all tracks in it, as they are now.
        followed: the tracks that were followed back into it.
    """

    frame_index: int
    tracked: TrackedMasks
    followed: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackAnnotation:
    """What is stored of one track in one frame.

    Attributes:
        track_id: identity of the object.
        class_id: class of the object.
        rle: the mask, run-length encoded.
        quality: predicted IoU 0..1.
        presence: probability of being visible 0..1.
        origin: where the mask comes from.
        prompt_id: the last prompt that the track was given, or -1.
    """

    track_id: int
    class_id: int
    rle: RLE
    quality: float
    presence: float
    origin: Origin
    prompt_id: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptRecord:
    """What is stored of one prompt.

    Attributes:
        prompt_id: counts the prompts of a video from 0.
        track_id: the track that it was given to.
        class_id: class of the object.
        kind: mask, box or points.
        reason: why it was given.
        score: the overseer's confidence, 0..1.
    """

    prompt_id: int
    track_id: int
    class_id: int
    kind: str
    reason: PromptReason
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameAnnotation:
    """What is stored of one frame.

    Attributes:
        index: frame index.
        time_s: presentation time in seconds.
        tracks: the visible tracks, by track id.
        overseer_ran: whether the overseer looked at this frame.
        prompts: the prompts that were given on this frame.
        flags: what is special about the frame: out_of_body, cut, black, blurred, undecodable.
    """

    index: int
    time_s: float
    tracks: tuple[TrackAnnotation, ...]
    overseer_ran: bool = False
    prompts: tuple[PromptRecord, ...] = ()
    flags: tuple[str, ...] = ()


def require_pictures(images: NDArray[np.uint8]) -> None:
    """Check that images are uint8[N, H, W, 3]: a network finds nothing in those of 0 to 1.

    Raises:
        ValueError: they are no array, or of another shape or dtype.
    """
    needed = "images must be uint8[N, H, W, 3], RGB, 0 to 255, not"
    _require(isinstance(images, np.ndarray), f"{needed} a {type(images).__name__}")
    fits = images.ndim == 4 and images.shape[3] == 3 and images.dtype == np.uint8
    _require(fits, f"{needed} {images.dtype}{list(images.shape)}")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _require_array(
    name: str, array: NDArray[Any], dtype: type[np.generic], shape: tuple[int | None, ...]
) -> None:
    """Check an array's dtype and shape, in which None stands for any length."""
    axes = ", ".join("any" if length is None else str(length) for length in shape)
    needed = f"{name} must be {np.dtype(dtype)}[{axes}], not"
    # A list or a tensor is what a caller would try first.
    _require(isinstance(array, np.ndarray), f"{needed} a {type(array).__name__}")
    lengths = zip(array.shape, shape, strict=False)
    fits = array.dtype == dtype and array.ndim == len(shape)
    fits = fits and all(wanted in (None, length) for length, wanted in lengths)
    _require(fits, f"{needed} {array.dtype}{list(array.shape)}")
