"""Which of the masks that are offered for a track is taken: made by hand, on a few pixels."""

import pytest
import torch

from tracking.mask_choice import likely_masks, surest_masks

NOWHERE = torch.full((8, 12), -5.0)


def area(left, right, logit=5.0):
    """Logits of a mask that fills columns."""
    logits = NOWHERE.clone()
    logits[:, left:right] = logit
    return logits


LIVER, DUCT = area(0, 8), area(8, 12)


def choose(offered, quality, before=None, visible=None):
    """Choose among masks offered[track][mask], by default of visible tracks never seen before."""
    tracks = len(offered)
    return likely_masks(
        torch.stack([torch.stack(masks) for masks in offered]),
        torch.tensor(quality),
        torch.ones(tracks, dtype=torch.bool) if visible is None else torch.tensor(visible),
        torch.stack(before or [NOWHERE] * tracks),
    ).tolist()


def test_the_surest_is_taken_of_a_track_that_was_not_seen_before():
    assert choose([[LIVER, DUCT]], [[0.6, 0.7]]) == [1]
    offered, quality = torch.stack([LIVER, DUCT])[None], torch.tensor([[0.6, 0.7]])
    assert surest_masks(offered, quality, torch.tensor([True]), LIVER[None]).tolist() == [1]


def test_a_mask_without_pixels_is_no_surer_for_that():
    assert choose([[NOWHERE, DUCT]], [[0.3, 0.7]]) == [1]
    assert choose([[DUCT, NOWHERE]], [[0.7, 0.3]]) == [0]


def test_tracks_choose_among_more_masks_than_there_are_tracks():
    whole = area(0, 12)
    offered = [[LIVER, DUCT, whole], [whole, area(8, 12, logit=3.0), LIVER]]
    quality = [[0.7, 0.5, 0.6], [0.6, 0.5, 0.6]]
    assert choose(offered, quality, before=[LIVER, DUCT]) == [0, 1]


def test_a_track_stays_where_it_was_unless_the_network_is_far_surer():
    assert choose([[LIVER, DUCT]], [[0.6, 0.7]], before=[LIVER]) == [0]
    assert choose([[LIVER, DUCT]], [[0.01, 0.7]], before=[LIVER]) == [1]
    # What is nowhere near counts a twentieth.
    assert choose([[LIVER, DUCT]], [[0.04, 0.7]], before=[LIVER]) == [0]
    assert choose([[LIVER, DUCT]], [[0.03, 0.7]], before=[LIVER]) == [1]


def test_a_track_of_which_the_network_is_sure_of_nothing_stays_where_it_was():
    assert choose([[LIVER, DUCT]], [[0.0, 0.0]], before=[DUCT]) == [1]


def test_a_mask_half_of_which_is_anothers_is_a_quarter_as_good():
    half, other = area(6, 10, logit=3.0), [DUCT, NOWHERE]
    for quality, chosen in ((0.24, 0), (0.26, 1)):
        offered, sure = [[half, area(2, 6, logit=3.0)], other], [[1.0, quality], [0.9, 0.0]]
        assert choose(offered, sure) == [chosen, 0]


def test_what_another_track_is_likely_to_be_is_not_what_the_network_is_surest_of():
    offered = [[LIVER, DUCT], [area(8, 12, logit=3.0), LIVER]]
    assert choose(offered, [[0.6, 0.7], [0.5, 0.4]], before=[LIVER, NOWHERE]) == [0, 0]


def test_of_three_tracks_one_takes_what_neither_of_the_others_has():
    # One that is hardly sure that something is not its own does not have it for that.
    unsure = area(0, 4).clamp(min=-1)
    offered = [[unsure, NOWHERE], [area(8, 12, logit=3.0), area(4, 8)], [DUCT, NOWHERE]]
    assert choose(offered, [[0.9, 0.0], [0.6, 0.5], [0.9, 0.0]]) == [0, 1, 0]


@pytest.mark.parametrize("order", [1, -1])
def test_a_track_does_not_become_another_that_is_surer_of_its_mask(order):
    offered = [[LIVER, area(8, 12, logit=3.0)], [LIVER, DUCT]][::order]
    assert choose(offered, [[0.6, 0.7], [0.3, 0.9]][::order]) == [0, 1][::order]


def test_two_tracks_share_a_mask_where_nothing_else_is_offered():
    masks = [[NOWHERE, DUCT], [NOWHERE, area(8, 12, logit=3.0)]]
    chosen = choose(masks, [[0.0, 0.9], [0.0, 0.9]], before=[DUCT, DUCT])
    assert chosen[0] == 1


def test_a_track_that_is_out_of_sight_takes_nothing_from_another():
    offered = [[LIVER, DUCT], [LIVER, area(8, 12, logit=3.0)]]
    quality = [[0.3, 0.9], [0.6, 0.7]]
    assert choose(offered, quality)[1] == 0
    assert choose(offered, quality, visible=[False, True])[1] == 1
