"""Records refuse arrays that networks would take for something else."""

import numpy as np
import pytest
import torch

from pipeline.records import Detections, FrameBatch, Prompt, PromptReason, TrackedMasks


def prompt(**hint):
    return Prompt(frame_index=0, track_id=1, class_id=1, reason=PromptReason.HUMAN, **hint)


@pytest.mark.parametrize(
    "hint",
    [
        {"mask": np.full((4, 6), 255, np.uint8)},
        {"mask": np.ones((1, 4, 6), np.bool_)},
        {"box": np.zeros((1, 4), np.float32)},
        {"box": np.zeros(4, np.int64)},
        {"points": np.array([[2.0, 3.0]], np.float32)},
        {"points": np.array([2.0, 3.0, 1.0], np.float32)},
    ],
)
def test_a_prompt_of_another_shape_or_dtype_is_refused(hint):
    (name,) = hint
    with pytest.raises(ValueError, match=f"a prompt's {name} must be "):
        prompt(**hint)


def test_a_prompt_has_exactly_one_hint():
    mask, box = np.ones((4, 6), np.bool_), np.array([0, 0, 4, 4], np.float32)
    assert prompt(mask=mask).kind == "mask"
    assert prompt(box=box).kind == "box"
    assert prompt(points=np.array([[2, 3, 1]], np.float32)).kind == "points"
    for hints in ({}, {"mask": mask, "box": box}):
        with pytest.raises(ValueError, match="exactly one"):
            prompt(**hints)


@pytest.mark.parametrize(
    "images", [np.zeros((2, 4, 6, 3), np.float32), np.zeros((3, 4, 6, 3), np.uint8)]
)
def test_a_batch_whose_images_do_not_fit_is_refused(images):
    with pytest.raises(ValueError, match="images must be"):
        FrameBatch(indices=np.arange(2), times=np.arange(2) / 25, images=images)


MASKS = np.zeros((2, 4, 6), np.bool_)
FRAMES = {
    "indices": np.arange(2),
    "times": np.arange(2) / 25,
    "images": np.zeros((2, 4, 6, 3), np.uint8),
}
SEEN = {
    "class_ids": np.ones(2, np.int64),
    "scores": np.ones(2, np.float32),
    "boxes": np.zeros((2, 4), np.float32),
    "masks": MASKS,
    "appearances": np.zeros((2, 5), np.float32),
}
FOLLOWED = {
    "track_ids": np.ones(2, np.int64),
    "masks": MASKS,
    "quality": np.ones(2, np.float32),
    "presence": np.ones(2, np.float32),
    "claims": np.zeros((2, 2), np.float32),
    "claims_before": np.zeros((2, 2), np.float32),
    "appearances": np.zeros((2, 5), np.float32),
}


@pytest.mark.parametrize(
    ("record", "arrays"),
    [(FrameBatch, FRAMES), (Detections, SEEN), (TrackedMasks, FOLLOWED)],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_array_of_a_record_has_its_shape_and_dtype(record, arrays):
    assert len(record(**arrays)) == 2
    for name, array in arrays.items():
        # One too many, an axis too many, and what is not computed with: 0 to 255 for yes and no.
        for wrong in (array[[0, 1, 1]], array[None], array.astype(np.float16)):
            with pytest.raises(ValueError, match="must be "):
                record(**arrays | {name: wrong})


def test_a_record_says_what_it_was_given():
    wrong = SEEN | {"scores": np.ones(2)}
    with pytest.raises(ValueError, match=r"scores must be float32\[2\], not float64\[2\]"):
        Detections(**wrong)


@pytest.mark.parametrize("given", [(0, 0, 4, 4), torch.zeros(4)], ids=["tuple", "tensor"])
def test_what_is_no_array_is_refused_in_the_same_words(given):
    name = type(given).__name__
    with pytest.raises(ValueError, match=rf"box must be float32\[4\], not a {name}$"):
        prompt(box=given)
    with pytest.raises(ValueError, match=f"RGB, 0 to 255, not a {name}$"):
        FrameBatch(**FRAMES | {"images": given})
