"""Masks: run-length encoding, areas, boxes, overlaps; over pycocotools."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

# 35 bits, more than any frame has pixels.
_LONGEST_RUN_DIGITS = 7
# A smaller part of a plain mask is a speck of the annotation, not an instance.
_LEAST_PART_SHARE = 0.0005


@dataclass(frozen=True, slots=True)
class RLE:
    """A mask in COCO's compressed run-length encoding (column by column).

    Attributes:
        size: (height, width) in pixels.
        counts: compressed run lengths, ASCII.
    """

    size: tuple[int, int]
    counts: bytes

    def __repr__(self) -> str:
        """Say how large it is; the runs tell nobody anything."""
        return f"RLE(size={self.size}, counts=<{len(self.counts)} bytes>)"

    def to_coco(self) -> dict[str, object]:
        """Return the dictionary that pycocotools works with."""
        return {"size": list(self.size), "counts": self.counts}

    def to_json(self) -> list[Any]:
        """Return what JSON can hold: height, width, counts."""
        return [*self.size, self.counts.decode("ascii")]

    @classmethod
    def from_json(cls, values: Sequence[Any]) -> "RLE":
        """Return the mask that `to_json` gave the values of."""
        height, width, counts = values
        return cls((height, width), counts.encode("ascii"))


def encode_mask(mask: NDArray[np.bool_]) -> RLE:
    """Encode one mask bool[H, W]."""
    if mask.flags.f_contiguous:
        by_columns = mask.view(np.uint8)
    else:
        # NumPy takes seven times as long to lay it out column by column, OpenCV's limit is 32767.
        by_rows = np.ascontiguousarray(mask).view(np.uint8)
        by_columns = np.asarray(cv2.transpose(by_rows).T, np.uint8)
    encoded = coco_mask.encode(by_columns)
    return RLE((int(mask.shape[0]), int(mask.shape[1])), encoded["counts"])


def decode_mask(rle: RLE) -> NDArray[np.bool_]:
    """Decode to bool[H, W]."""
    decoded: NDArray[np.uint8] = coco_mask.decode(rle.to_coco())
    return decoded.view(np.bool_)


def require_whole(*rles: RLE) -> None:
    """Check that masks' runs fill their frames: pycocotools reads and writes beyond them otherwise.

    Those of a frame are checked together, since each call of NumPy costs more than its few runs.

    Raises:
        ValueError: the runs of one do not, or its frame has no size.
    """
    if not all(rle.counts and min(rle.size) >= 1 for rle in rles):
        raise ValueError("its mask is no run-length encoding")
    runs, first_runs = _run_lengths([rle.counts for rle in rles])
    pixels = [rle.size[0] * rle.size[1] for rle in rles]
    if len(runs) and (runs.min() < 0 or (np.add.reduceat(runs, first_runs) != pixels).any()):
        raise ValueError("the runs of its mask do not fill the frame")


def _run_lengths(counts: Sequence[bytes]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the run lengths of masks one after the other, and the place of each one's first run.

    Raises:
        ValueError: one of the texts is no run-length encoding.
    """
    digits = np.frombuffer(b"".join(counts), np.uint8).astype(np.int64) - 48
    text_ends = np.cumsum([len(text) for text in counts], dtype=np.int64) - 1
    # Each run is a number of 5-bit digits, the lowest first, whose last one has no sixth bit.
    last = digits < 32
    if not (((digits >= 0) & (digits < 64)).all() and last[text_ends].all()):
        raise ValueError("its mask is no run-length encoding")
    ends = np.flatnonzero(last)
    starts = np.concatenate(([0], ends[:-1] + 1))[: len(ends)]
    lengths = ends - starts + 1
    if lengths.max(initial=0) > _LONGEST_RUN_DIGITS:
        raise ValueError("its mask is no run-length encoding")
    places = np.arange(len(digits)) - np.repeat(starts, lengths)
    runs = np.add.reduceat((digits & 31) << 5 * places, starts)
    runs -= np.where(digits[ends] & 16, 1 << 5 * lengths, 0)
    bounds = np.concatenate(([0], np.searchsorted(ends, text_ends) + 1))
    for first, behind in pairwise(bounds.tolist()):
        # From the fourth on, a number says by how much a run is longer than the last but one.
        for place in (first + 1, first + 2):
            np.cumsum(runs[place:behind:2], out=runs[place:behind:2])
    return runs, bounds[:-1]


def rle_of_json(outline: Mapping[str, Any], size: tuple[int, int]) -> RLE:
    """Return a run-length mask of a COCO file, whether its `counts` are compressed or a list.

    Args:
        outline: with `size`, height and width, and `counts`.
        size: height and width that it must have.

    Raises:
        ValueError: it is of another size, or its runs do not fill that.
        TypeError: they are no numbers.
        KeyError: one of both is missing.
    """
    height, width = (int(length) for length in outline["size"])
    if (height, width) != size:
        raise ValueError(f"its mask is {width}x{height}, the picture {size[1]}x{size[0]}")
    counts = outline["counts"]
    if not isinstance(counts, str):
        if sum(counts) != height * width or min(counts) < 0:
            raise ValueError("its runs do not fill the frame")
        counts = coco_mask.frPyObjects(dict(outline), height, width)["counts"].decode("ascii")
    rle = RLE(size, counts.encode("ascii"))
    require_whole(rle)
    return rle


def polygon_rle(polygons: Sequence[NDArray[np.float64]], size: tuple[int, int]) -> RLE:
    """Fill polygons as COCO does.

    Args:
        polygons: float64[P, 2] of x and y in pixels each, three points or more; together they
            are one object.
        size: height and width of the frame.

    Raises:
        ValueError: a polygon has fewer points, or lies far outside the frame.
    """
    if not polygons or any(len(polygon) < 3 for polygon in polygons):
        raise ValueError("a polygon needs three points")
    # Filling takes memory by the length of the outline; a stroke may well leave the frame a bit.
    side = max(size)
    if not all((np.abs(polygon) < 2 * side).all() for polygon in polygons):
        raise ValueError("the polygon lies outside the frame")
    filled = coco_mask.frPyObjects([polygon.ravel().tolist() for polygon in polygons], *size)
    return RLE(size, coco_mask.merge(filled)["counts"])


def decode_shrunk(rle: RLE, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Decode to a smaller bool[h, w]: a pixel is inside if at least half of what it covers is.

    Args:
        rle: the mask.
        size: (h, w).
    """
    # Decoded masks lie column by column; OpenCV would first lay them out anew, row by row.
    by_columns = decode_mask(rle).T.view(np.uint8)
    height, width = size
    covered = cv2.resize(by_columns * np.uint8(255), (height, width), interpolation=cv2.INTER_AREA)
    return np.asarray(covered.T >= 128, np.bool_)


def require_within(left: int, top: int, part: tuple[int, int], size: tuple[int, int]) -> None:
    """Check that a part of a mask lies within the frame, before anything of its size is made.

    Args:
        left: column of the part's first pixel.
        top: row of the part's first pixel.
        part: height and width of the part.
        size: height and width of the frame.

    Raises:
        ValueError: it does not.
    """
    if min(left, top, *part) < 0 or top + part[0] > size[0] or left + part[1] > size[1]:
        raise ValueError("the mask leaves the frame")


def placed_mask(
    part: NDArray[np.bool_], left: int, top: int, size: tuple[int, int]
) -> NDArray[np.bool_]:
    """Return a mask bool[H, W] with a part of it at its place; what leaves the frame is cut off.

    Args:
        part: bool[h, w].
        left: column of the part's first pixel.
        top: row of the part's first pixel.
        size: (H, W).
    """
    height, width = size
    inside = part[max(-top, 0) : max(height - top, 0), max(-left, 0) : max(width - left, 0)]
    row, column = max(top, 0), max(left, 0)
    mask = np.zeros(size, np.bool_)
    mask[row : row + inside.shape[0], column : column + inside.shape[1]] = inside
    return mask


def enlarged_mask(rle: RLE, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Decode to a larger bool[H, W], whose pixels are those of the mask repeated.

    Args:
        rle: the mask.
        size: (H, W).
    """
    mask = decode_mask(rle)
    if mask.shape == size:
        return mask
    enlarged = cv2.resize(mask.view(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(enlarged, np.bool_)


def same_mask(first: RLE, second: RLE) -> bool:
    """Return whether two encoded masks have the same pixels, however they were encoded."""
    return first == second or np.array_equal(decode_mask(first), decode_mask(second))


def rle_area(rle: RLE) -> int:
    """Return the number of pixels of an encoded mask."""
    return int(coco_mask.area(rle.to_coco()))


def rle_box(rle: RLE) -> tuple[int, int, int, int]:
    """Return the tight box (x, y, width, height) of an encoded mask, in pixels."""
    x, y, width, height = coco_mask.toBbox(rle.to_coco())
    return int(x), int(y), int(width), int(height)


def boxes_of_masks(masks: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the tight boxes of masks.

    Args:
        masks: bool[N, H, W].

    Returns:
        float32[N, 4], xyxy in pixels, half-open; all 0 for an empty mask.
    """
    boxes = np.zeros((len(masks), 4), np.float32)
    for number, mask in enumerate(masks):
        columns = np.flatnonzero(mask.any(0))
        rows = np.flatnonzero(mask.any(1))
        if len(columns):
            boxes[number] = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    return boxes


def points_in_mask(mask: NDArray[np.bool_], count: int) -> NDArray[np.float32]:
    """Choose points that are spread over a mask: centres of k-means clusters of its pixels.

    Args:
        mask: bool[H, W], not empty.
        count: how many; fewer where the mask has fewer pixels.

    Returns:
        float32[P, 2] of x, y in pixels, each in the middle of a pixel of the mask.
    """
    pixels = np.argwhere(mask)[:, ::-1].astype(np.float32)
    count = min(count, len(pixels))
    # k-means draws its first centres at random; the same mask shall give the same points.
    cv2.setRNGSeed(0)
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 0.5)
    sample = pixels[:: max(len(pixels) // 2000, 1)]
    labels = np.zeros((len(sample), 1), np.int32)
    _, _, centers = cv2.kmeans(sample, count, labels, criteria, 2, cv2.KMEANS_PP_CENTERS)
    nearest = [int(np.square(pixels - center).sum(1).argmin()) for center in centers]
    return np.asarray(pixels[nearest] + 0.5, np.float32)


def clicks_on(mask: NDArray[np.bool_], count: int) -> NDArray[np.float32]:
    """Choose points that are spread over a mask, as a prompt says that they are on the object.

    Args:
        mask: bool[H, W], not empty.
        count: how many; fewer where the mask has fewer pixels.

    Returns:
        float32[P, 3]: x and y in pixels, and 1.
    """
    points = points_in_mask(mask, count)
    return np.concatenate([points, np.ones((len(points), 1), np.float32)], 1)


def connected_parts(mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Return the connected parts of a plain mask bool[H, W], without specks beside them.

    Where all are small, the largest one is the object.
    """
    count, numbers, measures, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    largest = measures[1:, cv2.CC_STAT_AREA].max(initial=0)
    least_area = min(_LEAST_PART_SHARE * mask.size, largest)
    return [
        np.asarray(numbers == number)
        for number in range(1, count)
        if measures[number, cv2.CC_STAT_AREA] >= least_area
    ]


def intersections(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Count the common pixels of each pair of masks.

    Args:
        first: bool[N, H, W].
        second: bool[M, H, W].

    Returns:
        float64[N, M], in pixels.
    """
    return _common_pixels(_packed(first), _packed(second))


def _common_pixels(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> NDArray[np.float64]:
    common = np.zeros((len(left), len(right)))
    for number, bits in enumerate(left):
        common[number] = np.bitwise_count(bits & right).sum(1)
    return common


def _packed(masks: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Lay out masks bool[N, H, W] as rows of bits uint64[N, W'], padded with zeros.

    At 1080p this counts common pixels about 4 times faster than a product of floats, and exactly.
    """
    flat = masks.reshape(len(masks), masks.shape[1] * masks.shape[2])
    packed = np.packbits(flat, axis=1)
    return np.pad(packed, ((0, 0), (0, -packed.shape[1] % 8))).view(np.uint64)


def _areas(packed: NDArray[np.uint64]) -> NDArray[np.float64]:
    return np.asarray(np.bitwise_count(packed).sum(1), np.float64)


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.divide(part, whole, out=np.zeros_like(part), where=whole > 0), np.float64)


def iou_matrix(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the intersection over union of each pair of masks.

    Args:
        first: bool[N, H, W].
        second: bool[M, H, W].

    Returns:
        float64[N, M], 0..1; 0 where both masks are empty.
    """
    left, right = _packed(first), _packed(second)
    common = _common_pixels(left, right)
    return _share(common, _areas(left)[:, None] + _areas(right)[None, :] - common)


def rle_iou_matrix(first: Sequence[RLE], second: Sequence[RLE]) -> NDArray[np.float64]:
    """Return the intersection over union float64[N, M] of each pair of encoded masks."""
    if not first or not second:
        return np.zeros((len(first), len(second)))
    overlaps = coco_mask.iou(
        [rle.to_coco() for rle in first], [rle.to_coco() for rle in second], [0] * len(second)
    )
    return np.asarray(overlaps, np.float64)


def containment_matrix(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return which share of the smaller mask lies within the larger, for each pair.

    Args:
        first: bool[N, H, W].
        second: bool[M, H, W].

    Returns:
        float64[N, M], 0..1; 0 where a mask is empty.
    """
    left, right = _packed(first), _packed(second)
    smaller = np.minimum(_areas(left)[:, None], _areas(right)[None, :])
    return _share(_common_pixels(left, right), smaller)


def resolve_overlaps(masks: NDArray[np.bool_], priority: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Give each pixel to one mask only: the one with the highest priority.

    Args:
        masks: bool[N, H, W].
        priority: float32[N]; of equal ones the first wins.

    Returns:
        bool[N, H, W], pairwise disjoint, with the same union.
    """
    resolved = np.zeros_like(masks)
    taken = np.zeros(masks.shape[1:], np.bool_)
    for number in np.argsort(-priority, kind="stable"):
        resolved[number] = masks[number] & ~taken
        taken |= masks[number]
    return resolved
