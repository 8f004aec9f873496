"""Boxes and points drawn as a mask."""

import torch

from tracking.drawn_prompts import draw_prompts

SIDE = 64


def drawn(coordinates, labels):
    picture = draw_prompts(torch.tensor([coordinates]), torch.tensor([labels]), SIDE)
    assert picture.shape == (1, 1, SIDE, SIDE)
    return picture[0, 0]


def test_a_box_is_filled():
    picture = drawn([[0.25, 0.5], [0.75, 1.0]], [2, 3])
    assert picture[32:64, 16:48].eq(1).all()
    assert picture.sum() == 32 * 32


def test_points_are_spots_on_and_off_the_object():
    picture = drawn([[0.25, 0.25], [0.75, 0.75]], [1, 0])
    assert picture[16, 16] == 1
    assert picture[48, 48] == -1
    assert picture.sum() == 0
    assert 0 < picture.eq(1).sum() < 40


def test_a_point_off_the_object_shows_within_a_box():
    picture = drawn([[0.0, 0.0], [1.0, 1.0], [0.5, 0.5]], [2, 3, 0])
    assert picture[32, 32] == -1
    assert picture[0, 0] == 1


def test_padding_draws_nothing():
    assert not drawn([[0.5, 0.5]], [-1]).any()


def test_each_row_has_its_own_prompt():
    pictures = draw_prompts(
        torch.tensor([[[0.1, 0.1]], [[0.9, 0.9]]]), torch.tensor([[1], [1]]), SIDE
    )
    assert pictures[0, 0, 6, 6] == 1
    assert pictures[1, 0, 6, 6] == 0
