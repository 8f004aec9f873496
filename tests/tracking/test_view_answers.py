"""What the views of all prompts of a frame agree on: an object's mask is not another's."""

import numpy as np
import pytest

from tests.conftest import place_prompt, rectangle
from tracking.frame_features import OfferedMasks
from tracking.regions import Region, whole_picture
from tracking.view_answers import agreed_logits, agreed_quality, seen_in

SIZE = (120, 200)
DUCT = rectangle(42, 40, 104, 55, SIZE)
ORGAN = rectangle(40, 30, 100, 70, SIZE) & ~DUCT


ORGAN_BOX = place_prompt(box=[40, 30, 100, 70])
DUCT_BOX = place_prompt(box=[42, 40, 104, 55])
DUCT_POINTS = place_prompt(points=[[60, 45, 1], [90, 50, 1]])


def view(hint, *masks, quality, logit=6.0, region=None):
    """See all of the frame or a region of it, where masks bool[H, W] of the frame are offered."""
    region = region or whole_picture(SIZE)
    logits = region.cut_from(np.where(masks, logit, -logit).astype(np.float32))
    return seen_in(region, OfferedMasks(logits=logits, quality=np.array(quality, np.float32)), hint)


def organ_or_duct(hint, logit=6.0):
    """The duct that crosses the organ is easier to see, and fits a box around both a little."""
    return view(hint, DUCT, ORGAN, quality=[0.9, 0.25], logit=logit)


def test_the_best_mask_for_a_box_alone_may_be_what_crosses_it():
    (logits,) = agreed_logits([ORGAN_BOX], [[organ_or_duct(ORGAN_BOX)]], SIZE)
    assert (logits[DUCT & rectangle(40, 30, 100, 70, SIZE)] > 0).all()
    assert not (logits[ORGAN] > 0).any()


@pytest.mark.parametrize("other", [DUCT_BOX, DUCT_POINTS])
@pytest.mark.parametrize("order", [1, -1])
def test_a_box_does_not_mean_the_object_that_another_prompt_means(other, order):
    prompts = [ORGAN_BOX, other][::order]
    views = [[organ_or_duct(ORGAN_BOX, logit=4.0)], [organ_or_duct(other)]][::order]
    organ, duct = agreed_logits(prompts, views, SIZE)[::order]
    assert np.array_equal(organ > 0, ORGAN)
    assert np.array_equal(duct > 0, DUCT)


def test_points_mean_what_they_lie_on_whatever_another_prompt_means():
    on_duct = organ_or_duct(DUCT_POINTS, logit=4.0)
    duct, _ = agreed_logits([DUCT_POINTS, DUCT_BOX], [[on_duct], [organ_or_duct(DUCT_BOX)]], SIZE)
    assert np.array_equal(duct > 0, DUCT)


def test_an_object_keeps_its_mask_where_nothing_else_is_offered():
    views = [[view(hint, DUCT, quality=[0.9])] for hint in (ORGAN_BOX, DUCT_BOX)]
    _, duct = agreed_logits([ORGAN_BOX, DUCT_BOX], views, SIZE)
    assert np.array_equal(duct > 0, DUCT)


def test_views_that_fit_the_box_outvote_as_many_that_do_not():
    fitting = view(DUCT_BOX, DUCT, quality=[0.8])
    astray = view(DUCT_BOX, rectangle(42, 40, 60, 55, SIZE), quality=[0.8])
    (logits,) = agreed_logits([DUCT_BOX], [[astray, fitting]], SIZE)
    assert np.array_equal(logits > 0, DUCT)
    assert agreed_quality([fitting, astray]) == pytest.approx(0.8)


def test_a_view_from_near_says_nothing_of_what_is_beyond_it():
    region = Region(left=30, top=30, right=80, bottom=80)
    hint = place_prompt(box=[12, 10, 74, 25])
    near = view(hint, DUCT, quality=[0.9], region=region)
    nothing = view(DUCT_BOX, np.zeros(SIZE, np.bool_), quality=[0.1], logit=0.1)
    (logits,) = agreed_logits([DUCT_BOX], [[nothing, near]], SIZE)
    assert np.array_equal(logits > 0, DUCT & rectangle(30, 30, 80, 80, SIZE))


def test_one_very_sure_view_does_not_outvote_two_others():
    views = [view(DUCT_POINTS, DUCT | ORGAN, quality=[0.8], logit=100.0)]
    views += [view(DUCT_POINTS, DUCT, quality=[0.8]) for _ in range(2)]
    (logits,) = agreed_logits([DUCT_POINTS], [views], SIZE)
    assert np.array_equal(logits > 0, DUCT)


def test_a_box_that_cuts_off_a_little_of_its_object_does_not_cut_its_mask():
    tight = place_prompt(box=[43, 40, 103, 55])
    (logits,) = agreed_logits([tight], [[view(tight, DUCT, quality=[0.9])]], SIZE)
    assert np.array_equal(logits > 0, DUCT)


def test_views_that_are_little_trusted_are_as_sure_of_a_pixel_as_before():
    """The mean of what they say is weighed, not made smaller, or another prompt would have it."""
    views = [view(DUCT_POINTS, DUCT, quality=[quality]) for quality in (0.3, 0.5)]
    (logits,) = agreed_logits([DUCT_POINTS], [views], SIZE)
    assert logits[DUCT].max() == pytest.approx(6)
