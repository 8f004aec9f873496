"""Varied frames: picture and track map move together, and look like what a camera sees."""

import numpy as np
import pytest
import torch
from torchvision import tv_tensors

from overseer.augmentation import MotionBlur, Patch, Repaint, Smoke, vary_frame


def bright_square():
    image = np.zeros((60, 80, 3), np.uint8)
    track_map = np.zeros((60, 80), np.uint8)
    track_map[20:40, 30:60] = 9
    image[track_map > 0] = 255
    return image, track_map


def test_frames_are_varied_together_with_their_track_maps():
    for seed in range(40):
        picture, varied = vary_frame("usual", seed, *bright_square())
        assert (picture.dtype, picture.shape) == (torch.float32, (3, 60, 80))
        assert 0 <= picture.min() <= picture.max() <= 1
        assert set(np.unique(varied)) <= {0, 9}
        inside, outside = picture[:, varied == 9].mean(), picture[:, varied == 0].mean()
        assert inside > outside + 0.2, seed


def test_the_same_seed_gives_the_same_frame_and_leaves_other_randomness_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    first, second, other = (vary_frame("usual", seed, *bright_square())[0] for seed in (7, 7, 8))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(torch.rand(1), expected)


def test_frames_become_of_many_kinds():
    varied = [vary_frame("usual", seed, *bright_square()) for seed in range(60)]
    areas = {int((tracks == 9).sum()) for _, tracks in varied}
    assert min(areas) < 500 < 700 < max(areas)
    assert len({round(picture.mean().item(), 2) for picture, _ in varied}) > 10


def test_hard_frames_keep_their_track_maps_and_differ_more():
    image, track_map = bright_square()
    textured = image + np.random.default_rng(0).integers(0, 60, image.shape, np.uint8) // 2
    easy, hard = ([], [])
    for seed in range(40):
        picture, tracks = vary_frame("usual", seed, textured, track_map)
        harder, hard_tracks = vary_frame("hard", seed, textured, track_map)
        # The same seed moves both alike; only what they look like differs.
        assert np.array_equal(tracks, hard_tracks)
        assert 0 <= harder.min() <= harder.max() <= 1
        easy.append(picture.mean().item())
        hard.append(harder.mean().item())
    assert np.std(hard) > np.std(easy)


@pytest.mark.parametrize(("less", "more"), [("usual", "wide"), ("wide", "wider")])
def test_wide_variation_moves_frames_alike_and_changes_what_they_look_like_more(less, more):
    image, track_map = bright_square()
    image[track_map > 0] = (150, 110, 110)
    usual, wide = [], []
    for seed in range(60):
        picture, tracks = vary_frame(less, seed, image, track_map)
        wider, wide_tracks = vary_frame(more, seed, image, track_map)
        assert np.array_equal(tracks, wide_tracks)
        assert 0 <= wider.min() <= wider.max() <= 1
        usual.append(greenness(picture, tracks))
        wide.append(greenness(wider, tracks))
    assert np.std(wide) > 1.5 * np.std(usual)


def greenness(picture, tracks):
    inside = picture[:, tracks == 9]
    return float(inside[1].mean() / inside[1:].mean())


def test_tracks_are_repainted_each_in_its_own_colour():
    torch.manual_seed(4)
    picture = tv_tensors.Image(torch.full((3, 40, 60), 0.4))
    tracks = torch.zeros(40, 60)
    tracks[:, 20:40], tracks[:, 40:] = 1, 2
    repainted, kept = Repaint(share=1.0, tint=0.3, roughest=0.0)(picture, tv_tensors.Mask(tracks))
    colours = {tuple(pixel.tolist()) for pixel in repainted.flatten(1).T}
    assert len(colours) == 3
    assert torch.equal(kept, tv_tensors.Mask(tracks))
    left = Repaint(share=0.0, tint=0.3, roughest=0.5)(picture, tv_tensors.Mask(tracks))[0]
    assert torch.equal(left, picture)


def test_a_track_may_be_repainted_in_several_colours_side_by_side():
    torch.manual_seed(4)
    picture = tv_tensors.Image(torch.full((3, 40, 60), 0.4))
    tracks = tv_tensors.Mask(torch.ones(40, 60))
    repaint = Repaint(share=1.0, tint=0.3, roughest=0.0, most_colours=3)
    counts = {len(repaint(picture, tracks)[0].flatten(1).T.unique(dim=0)) for _ in range(40)}
    assert counts <= {1, 2, 3, 4, 6, 9}
    assert max(counts) > 3


def test_repainted_textures_are_as_rough_as_they_may_be():
    torch.manual_seed(0)
    picture = tv_tensors.Image(torch.full((3, 40, 60), 0.5))
    tracks = tv_tensors.Mask(torch.ones(40, 60))
    for _ in range(10):
        rough = Repaint(share=1.0, tint=0.0, roughest=0.4)(picture, tracks)[0]
        assert 0.3 - 1e-6 <= rough.min() < rough.max() <= 0.7 + 1e-6


def test_a_patch_hides_a_part_of_the_picture_and_none_of_the_track_map():
    torch.manual_seed(1)
    picture = tv_tensors.Image(torch.full((3, 60, 80), 0.5))
    tracks = tv_tensors.Mask(torch.ones(60, 80))
    hidden, kept = Patch(largest=0.5)(picture, tracks)
    changed = (hidden != 0.5).any(0)
    assert 0 < changed.sum() <= 30 * 40
    rows, columns = changed.any(1), changed.any(0)
    assert changed.sum() == rows.sum() * columns.sum()
    assert torch.equal(kept, tracks)


def test_smoke_brightens_the_dark_and_veils_the_bright():
    torch.manual_seed(0)
    dark = tv_tensors.Image(torch.full((3, 60, 80), 0.1))
    dark[:, :, 60:] = 0
    smoked, tracks = Smoke(densest=0.6)(dark, tv_tensors.Mask(torch.ones(60, 80)))
    assert 0.3 < smoked.max() <= 0.7
    assert smoked[:, :, 65:].max() == 0  # beside the scope's picture
    steps = (smoked[0, :, 1:60] - smoked[0, :, :59]).abs()
    assert steps.max() < 0.1  # it has no edges
    assert tracks.min() == 1
    veiled = Smoke(densest=0.6)(tv_tensors.Image(torch.ones(3, 60, 80)))
    assert veiled.min() < 1


def test_motion_blur_smears_along_a_line_and_keeps_the_light():
    torch.manual_seed(0)
    point = torch.zeros(3, 61, 61)
    point[:, 30, 30] = 1
    smeared = MotionBlur(longest=13)(tv_tensors.Image(point))
    assert torch.allclose(smeared.sum((1, 2)), torch.ones(3), atol=1e-4)
    rows, columns = (smeared[0] > 0).nonzero(as_tuple=True)
    spread = torch.linalg.svdvals(torch.stack([rows, columns], 1).float() - 30)
    assert 3 <= len(rows) <= 26
    assert spread[1] < 0.35 * spread[0]
