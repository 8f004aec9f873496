"""The branch that reads small parts: no change until it has learned, then it alone changes."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from overseer.config import OverseerConfig
from overseer.detail_training import DetailTrainer
from overseer.mask_rcnn import MaskRCNNOverseer, copy_weights, load_overseer
from overseer.networks import build_network, has_details, training_config
from overseer.train import train_overseer
from pipeline.errors import ModelError
from pipeline.labelled_clip import LabelledClip
from pipeline.labels import CHOLECSEG8K, INSTRUMENTS
from pipeline.training.loop import TrainingPlan

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


def one_instrument():
    """Return the clip with its grasper alone, as an instrument of no kind."""
    clip = instruments()
    maps = np.where(clip.track_maps == 1, clip.track_maps, 0)
    return replace(clip, track_maps=maps, class_of_track={1: INSTRUMENTS.classes[0].id})


def trained(start, folder, clip=None, **options):
    """Train on a few frames from a start; details are there to be learned, unless told otherwise."""
    settings = {
        "label_set": CHOLECSEG8K,
        "config": DETAILED,
        "plan": TrainingPlan(steps=1, learning_rate=1e-2),
        "on_step": lambda step, losses: None,
    }
    return train_overseer(
        clips=[instruments() if clip is None else clip],
        validation_clips=[],
        batch_size=1,
        folder=folder,
        start_from=start,
        **settings | options,
    )


def learned_details(start, folder, config=DETAILED):
    plan = TrainingPlan(steps=3, learning_rate=1e-2)
    return trained(start, folder, config=config, plan=plan, learning="details")


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
    assert all(name.startswith("roi_heads.details.") for name in new)
    things = {
        number
        for number, label in enumerate(CHOLECSEG8K.foreground, start=1)
        if not CHOLECSEG8K.is_stuff(label.id)
    }
    told_apart = after["roi_heads.details.told_apart"]
    assert set(torch.nonzero(told_apart)[:, 0].tolist()) == things


def test_details_learn_with_the_rest_too(without_details, tmp_path):
    detailed = tmp_path / "detailed"
    learned_details(without_details, tmp_path / "run").save(detailed, "card")
    losses = {}
    further = trained(
        detailed, tmp_path / "further", on_step=lambda step, values: losses.update(values)
    )
    assert losses["loss_details"] > 0
    before, after = load_overseer(detailed, CPU).network.state_dict(), further.network.state_dict()
    for part in ("details.score.weight", "box_predictor.cls_score.weight"):
        assert not after[f"roi_heads.{part}"].equal(before[f"roi_heads.{part}"])


def test_a_network_without_the_branch_has_no_details_to_learn(without_details, tmp_path):
    with pytest.raises(ModelError, match="has no details to learn"):
        learned_details(without_details, tmp_path / "run", PLAIN)


def test_one_kind_of_things_has_no_details_to_learn_or_to_pay_for(without_details, tmp_path):
    learn = partial(
        trained, without_details, tmp_path / "run", one_instrument(), label_set=INSTRUMENTS
    )
    with pytest.raises(ModelError, match="instruments has no two things"):
        learn(learning="details")
    overseer = learn()
    assert not has_details(overseer.network)
    overseer.save(tmp_path / "instrument", "card")
    (detections,) = load_overseer(tmp_path / "instrument", CPU).detect(instruments().images[:1])
    assert set(detections.class_ids.tolist()) <= {INSTRUMENTS.classes[0].id}


def test_details_are_there_to_be_learned_and_stay_when_the_rest_learns(without_details, tmp_path):
    assert training_config("efficientnet_lite0", str(without_details)).detail_channels is None
    assert training_config("efficientnet_lite0", "scopeline", "details").detail_channels
    learned_details(without_details, tmp_path / "run").save(tmp_path / "detailed", "card")
    kept = training_config("efficientnet_lite0", str(tmp_path / "detailed"))
    assert kept.detail_channels == DETAILED.detail_channels


def test_details_are_read_in_lower_precision_too():
    network = build_network(DETAILED, len(CHOLECSEG8K.foreground))
    network.roi_heads.details.tell_apart([1, 2])
    overseer = MaskRCNNOverseer(network, DETAILED, CHOLECSEG8K, CPU, "bfloat16")
    (detections,) = overseer.detect(instruments().images[:1])
    assert np.isfinite(detections.scores).all()


def detailed_heads():
    """Return the heads of a network whose details see class 3 wherever anything sticks out."""
    torch.manual_seed(0)
    network = build_network(DETAILED, 3).eval()
    network.roi_heads.details.tell_apart([1, 3])
    torch.nn.init.ones_(network.roi_heads.details.score.weight[3:])
    return network.roi_heads


def features_with_a_spot(column):
    """Return a pyramid of zeros but for a small spot of the finest level, if there is a column."""
    sides = {str(level): 48 // 2**level for level in range(4)}
    features = {level: torch.zeros(1, 16, side, side) for level, side in sides.items()}
    if column is not None:
        features["0"][:, :, 10:13, column : column + 3] = 5.0
    return features


def test_a_small_part_counts_wherever_in_the_box_it_is():
    heads, boxes = detailed_heads(), torch.tensor([[0.0, 0.0, 192.0, 96.0]])
    shares = []
    # Six cells lie between both places, so that the spot lies alike in its cells.
    for column in (None, 8, 35):
        features = features_with_a_spot(column)
        heads.box_roi_pool(features, [boxes], [(192, 192)])
        pooled = heads.pooled(features, torch.tensor([0]), boxes)
        shares.append(heads.details(pooled, torch.zeros(1, 4)).detach().softmax(1)[0].numpy())
    nowhere, left, right = shares
    assert left[3] > nowhere[3] + 0.01
    assert left[3] == pytest.approx(right[3], abs=0.005)
    # Which thing it is, and not whether it is one.
    assert left[[0, 2]] == pytest.approx(nowhere[[0, 2]])


def test_details_are_read_in_the_box_as_it_was_moved():
    heads, size = detailed_heads(), [(192, 192)]
    features = features_with_a_spot(None)
    proposal = torch.tensor([[40.0, 40.0, 80.0, 80.0]])
    with torch.no_grad():
        heads.box_predictor.bbox_pred.weight.zero_()
        heads.box_predictor.bbox_pred.bias.zero_()
        heads.box_predictor.bbox_pred.bias[[4, 12]] = 10.0
        seen = heads.seen(features, [proposal], size)
    assert seen.boxes[0].tolist() == pytest.approx([80.0, 40.0, 120.0, 80.0])


def test_details_learn_from_boxes_that_fit_a_thing():
    heads = detailed_heads()
    with torch.no_grad():
        heads.box_predictor.bbox_pred.weight.zero_()
        heads.box_predictor.bbox_pred.bias.zero_()
    thing, tissue, elsewhere = (
        [10.0, 10.0, 60.0, 60.0],
        [90.0, 90.0, 180.0, 180.0],
        [120.0, 10.0, 160.0, 60.0],
    )
    target = {"boxes": torch.tensor([thing, tissue]), "labels": torch.tensor([3, 2])}
    proposals = [torch.tensor([thing, tissue, elsewhere])]
    examples = heads.examples(features_with_a_spot(None), proposals, [(192, 192)], [target])
    # The box that was proposed, and the thing's own.
    assert examples.classes.tolist() == [3, 3]
    assert len(examples.pooled) == 2


def test_without_an_instrument_details_learn_nothing_and_do_not_fail():
    heads = detailed_heads()
    nothing = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    proposals = [torch.tensor([[10.0, 10.0, 60.0, 60.0]])]
    examples = heads.examples(features_with_a_spot(None), proposals, [(192, 192)], [nothing])
    assert heads.details.loss(examples).item() == 0


def test_a_step_learns_the_same_whatever_was_drawn_before_it():
    torch.manual_seed(0)
    network = build_network(DETAILED, 3)
    network.roi_heads.details.tell_apart([1, 3])
    masks = torch.zeros(2, 96, 96)
    masks[0, 10:60, 10:60] = masks[1, 40:90, 40:90] = 1
    target = {
        "boxes": torch.tensor([[10.0, 10.0, 60.0, 60.0], [40.0, 40.0, 90.0, 90.0]]),
        "labels": torch.tensor([1, 3]),
        "masks": masks,
    }
    batch = [torch.rand(3, 96, 96)], [target]
    trainer = DetailTrainer(network, lambda number: batch, 1, 3, lambda done, total: None)
    losses = []
    for draws in (0, 7):
        torch.rand(draws)
        losses.append(float(trainer.losses_of_step(4)["loss_details"].detach()))
    assert losses[0] > 0
    assert losses[0] == losses[1]
