"""Masks: encoding read back by pycocotools, overlaps against set arithmetic."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco_mask

from pipeline.masks import (
    RLE,
    boxes_of_masks,
    containment_matrix,
    decode_mask,
    decode_shrunk,
    encode_mask,
    iou_matrix,
    placed_mask,
    points_in_mask,
    require_whole,
    require_within,
    resolve_overlaps,
    rle_area,
    rle_box,
)

masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=20))
stacks = arrays(bool, st.tuples(st.integers(1, 5), st.just(9), st.just(7)))


@given(masks)
def test_encoding_is_lossless_and_pycocotools_agrees(mask):
    rle = encode_mask(mask)
    assert np.array_equal(decode_mask(rle), mask)
    assert np.array_equal(coco_mask.decode({"size": list(mask.shape), "counts": rle.counts}), mask)
    assert rle_area(rle) == mask.sum()


@given(masks, st.integers(1, 4))
def test_a_mask_drawn_larger_shrinks_to_what_it_was(mask, times):
    larger = mask.repeat(times, 0).repeat(times, 1)
    assert np.array_equal(decode_shrunk(encode_mask(larger), mask.shape), mask)


def test_a_shrunk_pixel_is_inside_if_at_least_half_of_it_was():
    mask = np.zeros((4, 8), bool)
    mask[:2, :4] = True
    mask[0, 4:] = True
    mask[3, 6] = True
    assert decode_shrunk(encode_mask(mask), (1, 2)).tolist() == [[True, False]]


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


@given(stacks)
@settings(deadline=None)
def test_iou_is_symmetric_and_one_with_itself(stack):
    iou = iou_matrix(stack, stack)
    assert np.allclose(iou, iou.T)
    assert np.allclose(np.diag(iou), stack.any((1, 2)))
    assert np.all(containment_matrix(stack, stack) >= iou - 1e-9)


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


@given(masks)
def test_runs_of_any_mask_fill_its_frame(mask):
    require_whole(encode_mask(mask))


@pytest.mark.parametrize("counts", [b"", b"1", b"zzzz", b"0" * 9, bytes([200, 48]), b"oooooooooo0"])
def test_runs_that_do_not_fill_a_frame_are_refused(counts):
    with pytest.raises(ValueError, match="its mask"):
        require_whole(RLE((32, 48), counts))


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
