"""Losses of a Mask R-CNN: torchvision's own, and nothing where the labels leave open what is there."""

import pytest
import torch

from overseer.config import OverseerConfig
from overseer.networks import build_network, training_losses
from pipeline.training.loop import flushed_denormals
from tests.conftest import BACKENDS


@pytest.fixture(scope="module", params=BACKENDS)
def network(request):
    torch.manual_seed(0)
    config = OverseerConfig(backbone=request.param, norm="batch", channels=16, image_size=128)
    return build_network(config, 2).train()


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


@pytest.mark.parametrize("network", ["efficientnet_lite0"], indirect=True)
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


def test_no_anchor_in_an_ignored_region_is_background():
    network = build_network(OverseerConfig(channels=16, image_size=128), 2)
    ignored = torch.zeros(96, 128, dtype=torch.bool)
    ignored[:, 64:] = True
    anchors = [torch.tensor([[80.0, 10, 112, 42], [5.0, 60, 37, 92], [10.0, 20, 50, 60]])]
    (labels,), _ = network.rpn.assign_targets_to_anchors(anchors, [target(ignored)])
    assert labels.tolist() == [-1, 0, 1]
    (labels,), _ = network.rpn.assign_targets_to_anchors(anchors, [target()])
    assert labels.tolist() == [0, 0, 1]


@pytest.mark.parametrize("network", BACKENDS, indirect=True)
def test_the_objectness_learns_no_background_there(network):
    """With all but the object ignored, nothing is taught far from it."""
    everywhere = torch.ones(96, 128, dtype=torch.bool)
    everywhere[20:60, 10:50] = False
    assert taught_at_the_right(network, None) > 0
    assert taught_at_the_right(network, everywhere) == 0


def taught_at_the_right(network, ignored):
    """Count the small anchors right of the middle whose objectness gets a gradient."""
    gradients = []
    hooks = [
        module.register_full_backward_hook(
            lambda _module, _inputs, outputs: gradients.append(outputs[0])
        )
        for name, module in network.named_modules()
        if name.endswith(("cls_logits", "objectness_logits"))
    ]
    sum(losses(network, target(ignored)).values()).backward()
    for hook in hooks:
        hook.remove()
    finest = max(gradients, key=lambda gradient: gradient.shape[-1])
    return int((finest[..., finest.shape[-1] * 5 // 8 :] != 0).sum())


def test_the_classifier_learns_no_background_there(network):
    """Proposals everywhere but on the object are ignored, so only the object is classified."""
    seen = []
    hook = box_predictor(network).register_forward_hook(
        lambda _module, _inputs, output: seen.append(len(output[0]))
    )
    everywhere = torch.ones(96, 128, dtype=torch.bool)
    everywhere[20:60, 10:50] = False
    losses(network, target())
    losses(network, target(everywhere))
    hook.remove()
    assert seen[1] < seen[0]


def box_predictor(network):
    return next(
        module for name, module in network.named_modules() if name.endswith("box_predictor")
    )


@flushed_denormals()
@pytest.mark.parametrize("backbone", BACKENDS)
def test_following_them_the_network_learns_a_picture(backbone):
    torch.manual_seed(0)
    config = OverseerConfig(backbone=backbone, norm="batch", channels=32, image_size=128)
    network = build_network(config, 2).train()
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    totals = []
    for _ in range(12):
        total = sum(training_losses(network, [picture()], [target()]).values())
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        totals.append(total.item())
    assert sum(totals[-3:]) / 3 < totals[0] / 2
