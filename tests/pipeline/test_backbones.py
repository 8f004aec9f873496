"""The trunk that both models stand on: its faster copy computes the same, and is never stale."""

import pytest
import torch
from torch import nn

from flows.models import open_overseer, open_tracker
from pipeline.networks.backbones import EfficientNetLite0, prepare_for_inference


@pytest.fixture
def trunk():
    torch.manual_seed(0)
    trunk = EfficientNetLite0().eval()
    # Freshly made batch norms do nothing, and folding them would prove nothing.
    for module in trunk.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 2)
            module.bias.data.normal_(0, 0.1)
    return trunk


@torch.inference_mode()
def features(trunk, seed=1):
    torch.manual_seed(seed)
    return trunk(torch.randn(2, 3, 64, 96))


def largest_difference(first, second):
    pairs = zip(first, second, strict=True)
    return max(float((a - b).abs().max() / a.abs().max()) for a, b in pairs)


def test_the_faster_copy_computes_the_same(trunk):
    expected = features(trunk)
    names = set(trunk.state_dict())
    prepare_for_inference(nn.Sequential(trunk))
    assert not any(isinstance(m, nn.BatchNorm2d) for m in trunk._faster[0].modules())
    assert largest_difference(expected, features(trunk)) < 1e-4
    assert set(trunk.state_dict()) == names


def test_training_and_new_weights_are_not_hidden_by_it(trunk):
    trunk.keep_faster_copy()
    trunk.train()
    with torch.no_grad():
        trunk.network.conv_stem.weight.mul_(2)
    changed = features(trunk.eval())
    trunk.keep_faster_copy()
    assert largest_difference(changed, features(trunk)) < 1e-4

    other = EfficientNetLite0().eval()
    trunk.load_state_dict(other.state_dict())
    assert largest_difference(features(other), features(trunk)) == 0


def test_models_are_opened_with_it():
    device = torch.device("cpu")
    for network in (
        open_overseer("scopeline", device).network,
        open_tracker("scopeline", device).network,
    ):
        trunks = [module for module in network.modules() if isinstance(module, EfficientNetLite0)]
        assert trunks
        assert all(trunk._faster for trunk in trunks)
