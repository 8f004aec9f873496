"""Masks: encoding read back by pycocotools, overlaps against set arithmetic."""

import json

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco_mask

from pipeline.masks import (
    RLE,
    boxes_of_masks,
    connected_parts,
    containment_matrix,
    decode_mask,
    decode_shrunk,
    encode_mask,
    enlarged_mask,
    intersections,
    iou_matrix,
    placed_mask,
    points_in_mask,
    polygon_rle,
    require_whole,
    require_within,
    resolve_overlaps,
    rle_area,
    rle_box,
)
from tests.conftest import rectangle

masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=20))
stacks = arrays(bool, st.tuples(st.integers(1, 5), st.just(9), st.just(7)))
stacks_of_any_size = arrays(
    bool, st.tuples(st.integers(2, 5), st.integers(1, 20), st.integers(1, 20))
)


@given(masks)
def test_encoding_is_lossless_and_pycocotools_agrees(mask):
    rle = encode_mask(mask)
    assert np.array_equal(decode_mask(rle), mask)
    assert np.array_equal(coco_mask.decode({"size": list(mask.shape), "counts": rle.counts}), mask)
    assert rle_area(rle) == mask.sum()
    for laid_out in (np.asfortranarray(mask), np.repeat(mask, 2, axis=1)[:, ::2]):
        assert encode_mask(laid_out) == rle


@given(masks, st.integers(1, 4))
def test_a_mask_drawn_larger_shrinks_to_what_it_was(mask, times):
    larger = mask.repeat(times, 0).repeat(times, 1)
    assert np.array_equal(decode_shrunk(encode_mask(larger), mask.shape), mask)


def test_a_shrunk_pixel_is_inside_if_at_least_half_of_it_was():
    mask = np.zeros((4, 12), bool)
    mask[:2, :4] = True
    mask[0, 4:8] = True
    mask[3, 6] = True
    # All of its middle, but a quarter of it.
    mask[1:3, 9:11] = True
    assert decode_shrunk(encode_mask(mask), (1, 3)).tolist() == [[True, False, False]]


@given(masks)
def test_boxes_are_tight(mask):
    x, y, width, height = rle_box(encode_mask(mask))
    left, top, right, bottom = boxes_of_masks(mask[None])[0]
    assert (x, y, x + width, y + height) == (left, top, right, bottom)
    assert mask[y : y + height, x : x + width].sum() == mask.sum()
    if mask.any():
        assert mask[y].any() and mask[y + height - 1].any()
        assert mask[:, x].any() and mask[:, x + width - 1].any()


@given(stacks, st.lists(st.floats(0, 1, width=32), min_size=5, max_size=5))
@settings(deadline=None)
def test_resolving_overlaps_keeps_the_union_and_the_best(stack, priorities):
    priority = np.array(priorities[: len(stack)], np.float32)
    resolved = resolve_overlaps(stack, priority)
    assert resolved.sum(0).max(initial=0) <= 1
    assert np.array_equal(resolved.any(0), stack.any(0))
    best = int(np.argmax(priority))
    assert np.array_equal(resolved[best], stack[best])


def test_of_many_masks_that_claim_a_pixel_alike_the_first_has_it():
    stack = np.zeros((40, 4, 50), bool)
    for number, mask in enumerate(stack):
        mask[:, number : number + 5] = True
    resolved = resolve_overlaps(stack, np.ones(40, np.float32))
    assert np.array_equal(resolved, stack & (stack.cumsum(0) == 1))


@given(stacks)
@settings(deadline=None)
def test_iou_is_symmetric_and_one_with_itself(stack):
    iou = iou_matrix(stack, stack)
    assert np.allclose(iou, iou.T)
    assert np.allclose(np.diag(iou), stack.any((1, 2)))
    assert np.all(containment_matrix(stack, stack) >= iou - 1e-9)


@given(stacks_of_any_size)
@settings(deadline=None)
def test_overlaps_are_counted_to_the_pixel_in_frames_of_any_size(stack):
    left, right = stack, stack[1:]
    pixels = [{*np.flatnonzero(mask).tolist()} for mask in stack]

    def of_pairs(count):
        return np.array([[count(one, other) for other in pixels[1:]] for one in pixels])

    common = of_pairs(lambda a, b: len(a & b))
    assert np.array_equal(intersections(left, right), common)
    union = of_pairs(lambda a, b: max(len(a | b), 1))
    assert np.array_equal(iou_matrix(left, right), common / union)
    smaller = of_pairs(lambda a, b: max(min(len(a), len(b)), 1))
    assert np.array_equal(containment_matrix(left, right), common / smaller)


def test_containment_of_a_part_is_one():
    whole, part = np.zeros((2, 8, 8), bool)
    whole[2:8, 2:8] = True
    part[3:5, 3:5] = True
    assert containment_matrix(whole[None], part[None])[0, 0] == 1.0
    assert iou_matrix(whole[None], part[None])[0, 0] == 4 / 36


@settings(max_examples=40, deadline=None)
@given(arrays(bool, (12, 17)), st.integers(1, 6))
def test_points_lie_in_the_mask_and_are_the_same_each_time(mask, count):
    assume(mask.any())
    points = points_in_mask(mask, count)
    assert len(points) == min(count, mask.sum())
    assert all(mask[int(y), int(x)] for x, y in points)
    assert np.array_equal(points, points_in_mask(mask, count))


@pytest.mark.parametrize("count", [2, 3])
def test_points_are_spread_over_the_parts_of_a_mask(count):
    parts = [rectangle(2, 3, 6, 7), rectangle(40, 2, 45, 6), rectangle(20, 24, 25, 29)][:count]
    points = points_in_mask(np.logical_or.reduce(parts), count).astype(int)
    assert sorted(sum(part[y, x] for x, y in points) for part in parts) == [1] * count
    # In the middle of each, not at its edge.
    for part in parts:
        ys, xs = np.nonzero(part)
        assert min(np.hypot(x - xs.mean(), y - ys.mean()) for x, y in points) < 1.5


@given(masks)
def test_runs_of_any_mask_fill_its_frame(mask):
    require_whole(encode_mask(mask))


NOTHING = encode_mask(np.zeros((32, 48), bool)).counts


@pytest.mark.parametrize(
    "counts",
    [
        b"",
        b"1",
        b"zzzz",
        b"0" * 9,
        bytes([200, 48]),
        b"oooooooooo0",
        b"oo",
        # Runs that would fill the frame, but whose numbers pycocotools reads otherwise, or not to
        # an end.
        NOTHING + b"o",
        b"p0" + NOTHING,
        b"\x10" + NOTHING,
        NOTHING[:-1] + bytes([NOTHING[-1] + 32]) + b"P" * 20 + b"0",
    ],
)
def test_runs_that_do_not_fill_a_frame_are_refused(counts):
    with pytest.raises(ValueError, match="its mask"):
        require_whole(RLE((32, 48), counts))


@given(st.lists(masks, max_size=4))
def test_runs_of_several_masks_fill_their_frames(several):
    require_whole(*map(encode_mask, several))


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    "counts",
    [
        b"",
        b"zzzz",
        # A number without an end, which that of the next mask must not be taken for.
        NOTHING + b"o",
        NOTHING + b"`",
        NOTHING * 2,
        NOTHING[:-1],
    ],
)
def test_one_mask_among_others_that_does_not_fill_its_frame_is_refused(counts, place):
    rles = [RLE((32, 48), NOTHING) for _ in range(3)]
    rles[place] = RLE((32, 48), counts)
    with pytest.raises(ValueError, match="its mask"):
        require_whole(*rles)


def test_masks_that_fill_their_frames_in_sum_alone_are_refused():
    less, more = (encode_mask(np.zeros((32, width), bool)).counts for width in (47, 49))
    with pytest.raises(ValueError, match="do not fill"):
        require_whole(RLE((32, 48), less), RLE((32, 48), more))


@given(arrays(bool, (4, 6)), st.integers(-9, 14), st.integers(-9, 14))
def test_a_part_is_placed_pixel_by_pixel_and_what_leaves_the_frame_is_cut_off(part, left, top):
    expected = np.zeros((9, 12), bool)
    for row, column in np.argwhere(part).tolist():
        if 0 <= row + top < 9 and 0 <= column + left < 12:
            expected[row + top, column + left] = True
    assert np.array_equal(placed_mask(part, left, top, (9, 12)), expected)
    if 0 <= left <= 6 and 0 <= top <= 5:
        require_within(left, top, part.shape, (9, 12))
    else:
        with pytest.raises(ValueError, match="leaves the frame"):
            require_within(left, top, part.shape, (9, 12))


@pytest.mark.parametrize("size", [(0, 5), (5, 0)])
def test_a_frame_without_pixels_has_no_mask(size):
    with pytest.raises(ValueError, match="its mask"):
        require_whole(RLE(size, b"0"))


def test_a_polygon_has_three_points_and_lies_in_the_frame():
    square = np.array([[4, 6], [20, 6], [20, 12], [4, 12]], np.float64)
    filled = polygon_rle([square, square + np.array([20, 10])], (32, 48))
    expected = rectangle(4, 6, 20, 12) | rectangle(24, 16, 40, 22)
    assert np.array_equal(decode_mask(filled), expected)
    assert rle_area(polygon_rle([square[:3]], (32, 48))) == pytest.approx(48, abs=8)
    for polygons in ([], [square[:2]], [square, square[:2]]):
        with pytest.raises(ValueError, match="three points"):
            polygon_rle(polygons, (32, 48))
    for far in (square * 5, -square * 5, square * (1, 10), square * np.inf, square * np.nan):
        with pytest.raises(ValueError, match="outside the frame"):
            polygon_rle([square, far], (32, 48))


def test_parts_of_a_plain_mask_are_its_objects_without_specks():
    left, right, speck = (
        rectangle(2, 2, 9, 9, (100, 100)),
        rectangle(40, 2, 42, 6, (100, 100)),
        rectangle(80, 80, 82, 82, (100, 100)),
    )
    found = connected_parts(left | right | speck)
    assert [part.tolist() for part in found] == [left.tolist(), right.tolist()]
    # Where nothing else is, a speck is the object.
    assert [part.tolist() for part in connected_parts(speck)] == [speck.tolist()]
    assert connected_parts(np.zeros((8, 8), bool)) == []


def test_a_mask_is_enlarged_by_repeating_its_pixels():
    mask = np.array([[True, False, True], [False, True, True]])
    enlarged = enlarged_mask(encode_mask(mask), (4, 9))
    assert np.array_equal(enlarged, mask.repeat(2, 0).repeat(3, 1))
    assert np.array_equal(enlarged_mask(encode_mask(mask), (2, 3)), mask)


def test_a_mask_goes_through_json():
    rle = encode_mask(rectangle(4, 6, 20, 12))
    values = json.loads(json.dumps(rle.to_json()))
    assert values[:2] == [32, 48]
    assert RLE.from_json(values) == rle
