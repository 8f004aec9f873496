"""Losses of a Mask R-CNN: torchvision's own, and nothing where the labels leave open what is there."""

import pytest
import torch

from overseer.losses import training_losses
from overseer.networks import OverseerConfig, build_network


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build_network(OverseerConfig(channels=16, image_size=128), 2).train()


def target(ignored=None):
    """A square object at the left, and whatever is ignored, in a picture of 128 x 96."""
    masks = torch.zeros(1, 96, 128, dtype=torch.uint8)
    masks[0, 20:60, 10:50] = 1
    nothing = torch.zeros(96, 128, dtype=torch.bool)
    return {
        "boxes": torch.tensor([[10.0, 20, 50, 60]]),
        "labels": torch.tensor([1]),
        "masks": masks,
        "ignored": nothing if ignored is None else ignored,
    }


def picture():
    return torch.rand(3, 96, 128, generator=torch.Generator().manual_seed(1))


def losses(network, of_target):
    torch.manual_seed(5)  # proposals are sampled
    return training_losses(network, [picture()], [of_target])


def test_where_nothing_is_ignored_they_are_torchvisions(network):
    own = losses(network, target())
    torch.manual_seed(5)
    theirs = network([picture()], [target()])
    assert own.keys() == theirs.keys()
    for name, value in own.items():
        assert value.item() == pytest.approx(theirs[name].item(), rel=1e-4), name


def test_what_a_mask_says_of_ignored_pixels_does_not_matter(network):
    ignored = torch.zeros(96, 128, dtype=torch.bool)
    ignored[40:60, 10:50] = True
    with_part, without_part = target(ignored), target(ignored)
    without_part["masks"] = with_part["masks"] * ~ignored
    assert losses(network, with_part)["loss_mask"] == losses(network, without_part)["loss_mask"]
    whole, half = target(), target()
    half["masks"] = without_part["masks"]
    assert losses(network, whole)["loss_mask"] != losses(network, half)["loss_mask"]


def test_no_anchor_in_an_ignored_region_is_background(network):
    ignored = torch.zeros(96, 128, dtype=torch.bool)
    ignored[:, 64:] = True
    anchors = [torch.tensor([[80.0, 10, 112, 42], [5.0, 60, 37, 92], [10.0, 20, 50, 60]])]
    (labels,), _ = network.rpn.assign_targets_to_anchors(anchors, [target(ignored)])
    assert labels.tolist() == [-1, 0, 1]
    (labels,), _ = network.rpn.assign_targets_to_anchors(anchors, [target()])
    assert labels.tolist() == [0, 0, 1]


def test_the_classifier_learns_no_background_there(network):
    """Proposals everywhere but on the object are ignored, so only the object is classified."""
    seen = []
    hook = network.roi_heads.box_predictor.register_forward_hook(
        lambda _module, _inputs, output: seen.append(len(output[0]))
    )
    everywhere = torch.ones(96, 128, dtype=torch.bool)
    everywhere[20:60, 10:50] = False
    losses(network, target())
    losses(network, target(everywhere))
    hook.remove()
    assert seen[1] < seen[0]
