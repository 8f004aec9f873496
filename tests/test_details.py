"""The branch that reads small parts: no change until it has learned, then it alone changes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from overseer.config import OverseerConfig
from overseer.details import HeadWithDetails, PoolWithDetails, PredictorWithDetails
from overseer.mask_rcnn import MaskRCNNOverseer, copy_weights
from overseer.networks import build_network, training_config
from overseer.train import train_overseer
from pipeline.errors import ModelError
from pipeline.labelled_clip import LabelledClip
from pipeline.labels import CHOLECSEG8K
from pipeline.training import TrainingPlan

CPU = torch.device("cpu")
PLAIN = OverseerConfig(channels=16, image_size=96, score_threshold=0.0)
DETAILED = replace(PLAIN, detail_channels=8)
GRASPER, HOOK = (
    next(label.id for label in CHOLECSEG8K.classes if label.name == name)
    for name in ("Grasper", "L-hook electrocautery")
)


def instruments():
    """Return a clip of two bars, one of which ends in a hook of four pixels."""
    images = np.full((2, 64, 96, 3), 90, np.uint8)
    maps = np.zeros((2, 64, 96), np.uint8)
    for track_id, top in ((1, 12), (2, 44)):
        maps[:, top : top + 6, :60] = track_id
    maps[:, 40:44, 56:60] = 2
    images[maps > 0] = (200, 200, 210)
    return LabelledClip(images=images, track_maps=maps, class_of_track={1: GRASPER, 2: HOOK})


@pytest.fixture
def without_details(tmp_path):
    torch.manual_seed(3)
    network = build_network(PLAIN, len(CHOLECSEG8K.foreground))
    folder = tmp_path / "without"
    MaskRCNNOverseer(network, PLAIN, CHOLECSEG8K, CPU).save(folder, "card")
    return folder


def learned_details(start, folder, config=DETAILED):
    clip = instruments()
    return train_overseer(
        clips=[clip],
        validation_clips=[],
        label_set=CHOLECSEG8K,
        config=config,
        plan=TrainingPlan(steps=3, learning_rate=1e-2),
        batch_size=1,
        folder=folder,
        start_from=start,
        learning="details",
        on_step=lambda step, losses: None,
    )


def test_what_has_learned_without_details_sees_the_same_with_them(without_details):
    networks = [build_network(config, len(CHOLECSEG8K.foreground)) for config in (PLAIN, DETAILED)]
    for network in networks:
        copy_weights(without_details, network)
    overseers = (
        MaskRCNNOverseer(network, config, CHOLECSEG8K, CPU)
        for network, config in zip(networks, (PLAIN, DETAILED), strict=True)
    )
    (plain,), (detailed,) = (overseer.detect(instruments().images[:1]) for overseer in overseers)
    assert len(plain)
    assert np.array_equal(plain.class_ids, detailed.class_ids)
    assert detailed.scores == pytest.approx(plain.scores, abs=1e-6)
    assert np.array_equal(plain.masks, detailed.masks)


def test_details_learn_and_nothing_else_does(without_details, tmp_path):
    network = build_network(DETAILED, len(CHOLECSEG8K.foreground))
    new = set(copy_weights(without_details, network))
    before = network.state_dict()
    after = learned_details(without_details, tmp_path / "run").network.state_dict()
    learned = {name for name in after if not after[name].equal(before[name])}
    assert learned
    assert learned <= new
    assert all("detail" in name or name.endswith("told_apart") for name in new)
    things = {
        number
        for number, label in enumerate(CHOLECSEG8K.foreground, start=1)
        if not CHOLECSEG8K.is_stuff(label.id)
    }
    told_apart = after["roi_heads.box_predictor.told_apart"]
    assert set(torch.nonzero(told_apart)[:, 0].tolist()) == things


def test_a_network_without_the_branch_has_no_details_to_learn(without_details, tmp_path):
    with pytest.raises(ModelError, match="has no details to learn"):
        learned_details(without_details, tmp_path / "run", PLAIN)


def test_details_are_there_to_be_learned_and_stay_when_the_rest_learns(without_details, tmp_path):
    assert training_config("efficientnet_lite0", str(without_details)).detail_channels is None
    assert training_config("efficientnet_lite0", "scopeline", "details").detail_channels
    learned_details(without_details, tmp_path / "run").save(tmp_path / "detailed", "card")
    kept = training_config("efficientnet_lite0", str(tmp_path / "detailed"))
    assert kept.detail_channels == DETAILED.detail_channels


def test_details_are_read_in_lower_precision_too():
    network = build_network(DETAILED, len(CHOLECSEG8K.foreground))
    network.roi_heads.box_predictor.tell_apart([1, 2])
    overseer = MaskRCNNOverseer(network, DETAILED, CHOLECSEG8K, CPU, "bfloat16")
    (detections,) = overseer.detect(instruments().images[:1])
    assert np.isfinite(detections.scores).all()


def test_a_small_part_counts_wherever_in_the_box_it_is():
    torch.manual_seed(0)
    pool, head = PoolWithDetails(), HeadWithDetails(4, 8, 8).eval()
    predictor = PredictorWithDetails(8, 8, 4)
    predictor.tell_apart([1, 3])
    torch.nn.init.ones_(predictor.detail_score.weight[3:])
    sides = (48, 24, 12, 6)
    boxes = [torch.tensor([[0.0, 0.0, 192.0, 96.0]])]
    logits = []
    for column in (None, 8, 32):
        features = {str(level): torch.zeros(1, 4, side, side) for level, side in enumerate(sides)}
        if column is not None:
            features["0"][:, :, 10:13, column : column + 3] = 5.0
        pooled = pool(features, boxes, [(192, 192)])
        logits.append(predictor(head(pooled))[0])
    nowhere, left, right = logits
    assert not torch.allclose(left, nowhere, atol=1e-1)
    assert torch.allclose(left - nowhere, right - nowhere, atol=1e-2)
    # Which thing it is, and not whether it is one.
    shares, before = (logits.detach().softmax(1)[0].numpy() for logits in (left, nowhere))
    assert shares[[0, 2]] == pytest.approx(before[[0, 2]])
    assert shares[3] > before[3]
