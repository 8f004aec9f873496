"""Fine-tuning's small parts: they change nothing at first, then only what they may."""

import pytest
import torch
from torch.nn.utils.parametrize import is_parametrized

from tracking.adapted_weights import load_tracker
from tracking.adapters import (
    DEFAULT_RANKS,
    Adaptation,
    LowRankChange,
    adapted_weights,
    default_adaptation,
    merge_low_rank,
    prepare_to_adapt,
)
from tracking.sam2_model import build_network

METHODS = ("decoder", "lora", "adapter", "full", "first-mask")
PICTURES = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(1))


def features(network):
    with torch.no_grad():
        return network.forward_image(PICTURES)["vision_features"]


def adapted(method, rank=4):
    network = load_tracker("scopeline")
    prepare_to_adapt(network, Adaptation(method=method, rank=rank))
    return network


def shake(network):
    """Change everything that is trained."""
    torch.manual_seed(2)
    for value in adapted_weights(network).values():
        value.add_(torch.randn_like(value), alpha=0.01)


@pytest.mark.parametrize("method", METHODS)
def test_an_adaptation_changes_nothing_before_it_is_trained(method):
    before = features(load_tracker("scopeline"))
    assert torch.allclose(features(adapted(method)), before, atol=1e-5)


def test_what_is_trained():
    plain = {name for name, _ in load_tracker("scopeline").named_parameters()}
    decoder = adapted_weights(adapted("decoder"))
    assert any(name.startswith("memory_attention.") for name in decoder)
    assert any(name.startswith("sam_mask_decoder.") for name in decoder)
    assert not any(name.startswith(("image_encoder.", "sam_prompt_encoder.")) for name in decoder)
    assert any(name.startswith("memory_encoder.") for name in decoder)
    assert adapted_weights(adapted("full")).keys() == plain
    first_mask = adapted_weights(adapted("first-mask"))
    for part in (
        "image_encoder.neck.",
        "sam_prompt_encoder.",
        "sam_mask_decoder.",
        "no_mem_embed",
    ):
        assert any(name.startswith(part) for name in first_mask), part
    assert not any(name.startswith(("image_encoder.trunk.", "memory_")) for name in first_mask)
    for method in ("lora", "adapter"):
        names = adapted_weights(adapted(method)).keys()
        assert not names & plain
        for part in ("image_encoder.", "memory_attention.", "sam_mask_decoder."):
            assert any(name.startswith(part) for name in names), (method, part)


def test_low_rank_changes_are_of_what_mixes_channels_alone_and_begin_small():
    """A change of a layer that also looks around would have many times the parameters."""
    network = adapted("lora")
    layers = [module for module in network.modules() if is_parametrized(module, "weight")]
    assert {getattr(layer, "kernel_size", (1, 1)) for layer in layers} == {(1, 1)}
    assert {type(layer).__bases__[0].__name__ for layer in layers} == {"Linear", "Conv2d"}
    torch.manual_seed(0)
    change = LowRankChange(torch.zeros(10, 400), 8)
    assert change.down.std().item() == pytest.approx(1 / 20, rel=0.1)


def test_ranks_by_default_are_those_that_the_command_tells():
    assert default_adaptation("lora").rank == 4
    assert default_adaptation("adapter").rank == 24


@pytest.mark.parametrize("method", ["lora", "adapter"])
def test_small_parts_are_under_5_percent_of_the_network_and_reach_its_features(method):
    network = adapted(method, DEFAULT_RANKS[method])
    trained = sum(value.numel() for value in adapted_weights(network).values())
    assert trained < 0.05 * sum(parameter.numel() for parameter in network.parameters())
    before = features(network)
    shake(network)
    assert not torch.allclose(features(network), before, atol=1e-3)


def test_merged_low_rank_changes_compute_the_same_with_the_layers_as_they_were():
    network = adapted("lora")
    shake(network)
    before = features(network)
    merge_low_rank(network)
    assert torch.allclose(features(network), before, atol=1e-4)
    plain = load_tracker("scopeline").state_dict()
    assert network.state_dict().keys() == plain.keys()


@pytest.mark.parametrize("method", ["lora", "adapter"])
def test_an_official_network_is_adapted_too(method):
    network = build_network("sam2.1_hiera_tiny")
    prepare_to_adapt(network, Adaptation(method=method, rank=4))
    names = adapted_weights(network).keys()
    assert any("trunk.blocks" in name for name in names)
    assert any(name.startswith("memory_attention.") for name in names)
