"""What the overseer makes of a region, from all of it and from parts wherever they lie."""

import pytest
import torch
from torchvision.models.detection.faster_rcnn import TwoMLPHead

from overseer.box_heads import WholeAndParts
from overseer.mask_rcnn import MaskRCNNOverseer, copy_weights
from overseer.networks import OverseerConfig, build_network
from pipeline.labels import CHOLECSEG8K

CHANNELS, SIDE, HIDDEN = 8, 7, 16


@pytest.fixture
def regions():
    return torch.rand(5, CHANNELS, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def test_it_starts_as_torchvisions_head_with_the_same_weights(regions):
    known = TwoMLPHead(CHANNELS * SIDE**2, HIDDEN)
    head = WholeAndParts(CHANNELS, SIDE, HIDDEN)
    left = head.load_state_dict(known.state_dict(), strict=False)
    assert not left.unexpected_keys
    assert all(name.startswith("parts.") for name in left.missing_keys)
    assert torch.allclose(head(regions), known(regions))


def test_parts_learn_what_may_lie_anywhere():
    torch.manual_seed(0)
    head = WholeAndParts(CHANNELS, SIDE, HIDDEN)
    for layer in (head.fc6, head.fc7):
        layer.requires_grad_(False)
    classes = torch.nn.Linear(HIDDEN, 2)
    places = [(row, column) for row in range(SIDE) for column in range(SIDE)]
    tips = torch.zeros(len(places), CHANNELS, SIDE, SIDE)
    for number, (row, column) in enumerate(places):
        tips[number, number % 2, row, column] = 1.0
    labels = torch.arange(len(places)) % 2
    learned, others = slice(0, 24), slice(24, None)
    optimizer = torch.optim.Adam([*head.parts.parameters(), *classes.parameters()], 0.01)
    for _ in range(150):
        optimizer.zero_grad()
        said = classes(head(tips[learned]))
        torch.nn.functional.cross_entropy(said, labels[learned]).backward()
        optimizer.step()
    assert (classes(head(tips[others])).argmax(1) == labels[others]).all()


def test_a_network_without_parts_can_be_trained_further_with_them(tmp_path):
    plain = OverseerConfig(channels=16, image_size=128)
    before = build_network(plain, 12)
    MaskRCNNOverseer(before, plain, CHOLECSEG8K, torch.device("cpu")).save(tmp_path, "card")
    after = build_network(
        OverseerConfig(channels=16, image_size=128, box_head="whole_and_parts"), 12
    )
    fresh = copy_weights(tmp_path, after)
    assert fresh
    assert all(name.startswith("roi_heads.box_head.parts.") for name in fresh)
