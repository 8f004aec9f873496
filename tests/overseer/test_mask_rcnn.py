import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from overseer import mask_rcnn
from overseer.mask_rcnn import (
    MaskRCNNOverseer,
    _join_stuff,
    load_overseer,
)
from overseer.model_folders import find_overseer, read_description
from overseer.networks import (
    DETECTRON2_BACKBONES,
    TORCHVISION_BACKBONES,
    OverseerConfig,
    build_network,
)
from pipeline.errors import ModelError
from pipeline.labels import CHOLECSEG8K
from pipeline.networks.checkpoints import read_checkpoint
from tests.conftest import BACKENDS, needs_detectron2, random_overseer
from tests.small_data import edited_json

CPU = torch.device("cpu")


@pytest.fixture(scope="module", params=BACKENDS)
def overseer(request):
    return random_overseer(request.param)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (3, 120, 160, 3)).astype(np.uint8)


def test_detections_fit_the_frames(overseer, images):
    found = overseer.detect(images)
    assert len(found) == 3
    for detections in found:
        assert 0 < len(detections) <= 6
        assert detections.masks.shape[1:] == (120, 160)
        assert set(detections.class_ids) <= set(range(1, 13))
        assert np.all((detections.scores >= 0) & (detections.scores <= 1))


def test_a_batch_gives_what_single_frames_give(overseer, images):
    together = overseer.detect(images)
    for image, batched in zip(images, together, strict=True):
        (alone,) = overseer.detect(image[None])
        assert np.array_equal(alone.class_ids, batched.class_ids)
        assert np.allclose(alone.scores, batched.scores, atol=1e-4)


def test_an_empty_batch_gives_nothing(overseer, images):
    assert overseer.detect(images[:0]) == []
    assert overseer.mirrored.detect(images[:0]) == []


def test_a_view_with_its_channels_turned_round_gives_what_its_copy_gives(overseer, images):
    (of_view,) = overseer.detect(images[:1, ..., ::-1])
    (of_copy,) = overseer.detect(images[:1, ..., ::-1].copy())
    assert np.array_equal(of_view.masks, of_copy.masks)


@pytest.mark.parametrize(
    "change",
    [
        lambda images: images.astype(np.float32) / 255,
        lambda images: images[0],
        lambda images: images[..., 0],
        lambda images: images.transpose(0, 3, 1, 2),
    ],
)
def test_pictures_of_another_kind_are_refused_instead_of_seen_as_black(overseer, images, change):
    with pytest.raises(ValueError, match=r"must be uint8\[N, H, W, 3\], RGB, 0 to 255, not "):
        overseer.detect(change(images))


def test_large_frames_get_masks_of_their_size(overseer):
    (found,) = overseer.detect(np.full((1, 720, 1280, 3), 90, np.uint8))
    assert found.masks.shape[1:] == (720, 1280)


def test_stuff_is_one_detection_and_things_are_not():
    masks = np.zeros((4, 8, 8), bool)
    for number in range(4):
        masks[number, number * 2 : number * 2 + 2] = True
    scores = np.array([0.9, 0.8, 0.7, 0.6], np.float32)
    liver, grasper = 2, 5
    found = _join_stuff(np.array([liver, grasper, liver, grasper]), scores, masks, CHOLECSEG8K)
    assert found.class_ids.tolist() == [liver, grasper, grasper]
    assert np.array_equal(found.masks[0], masks[0] | masks[2])
    assert found.scores.tolist() == pytest.approx([0.9, 0.8, 0.6])


@pytest.mark.parametrize(
    "backbone",
    [
        *TORCHVISION_BACKBONES,
        *(pytest.param(name, marks=needs_detectron2) for name in DETECTRON2_BACKBONES),
    ],
)
def test_every_backbone_builds_and_runs(backbone):
    config = OverseerConfig(backbone=backbone, channels=16, proposals=10, image_size=128)
    network = build_network(config, 2).eval()
    with torch.inference_mode():
        assert len(network([torch.zeros(3, 96, 128)])) == 1


def test_a_model_folder_is_read_back(overseer, images, tmp_path):
    overseer.save(tmp_path / "model", "# card\n")
    loaded = load_overseer(tmp_path / "model", CPU)
    assert loaded.label_set == CHOLECSEG8K
    assert loaded.config == overseer.config
    for before, after in zip(overseer.detect(images), loaded.detect(images), strict=True):
        assert np.allclose(before.scores[:1], after.scores[:1], atol=0.02)


def test_bad_models_are_named(overseer, tmp_path):
    with pytest.raises(ModelError, match="unknown backbone"):
        build_network(OverseerConfig(backbone="vgg"), 2)
    with pytest.raises(ModelError, match="not an overseer"):
        load_overseer(tmp_path, CPU)
    overseer.save(tmp_path / "model", "card")
    with edited_json(tmp_path / "model" / "model.json") as document:
        document["network"]["channels"] = 16
    with pytest.raises(ModelError, match=r"is not what model.json describes: tensor .* has shape"):
        load_overseer(tmp_path / "model", CPU)
    (tmp_path / "model" / "weights.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="cannot be read"):
        load_overseer(tmp_path / "model", CPU)
    (tmp_path / "model" / "model.json").write_text('{"kind": "tracker"}')
    with pytest.raises(ModelError, match="does not describe an overseer"):
        load_overseer(tmp_path / "model", CPU)


def test_an_overseer_that_is_replaced_while_it_is_read_is_refused(tmp_path, monkeypatch):
    """Heads of as many other classes fit as well, and would call everything by a wrong name."""
    config = OverseerConfig(channels=16, image_size=64)
    renamed = tuple(replace(label, name=f"{label.name}!") for label in CHOLECSEG8K.classes)
    first, second = (
        MaskRCNNOverseer(build_network(config, 12), config, label_set, CPU)
        for label_set in (CHOLECSEG8K, replace(CHOLECSEG8K, classes=renamed))
    )
    first.save(tmp_path, "card")

    def read_what_comes_next(path):
        second.save(tmp_path, "card")
        return read_checkpoint(path)

    monkeypatch.setattr(mask_rcnn, "read_checkpoint", read_what_comes_next)
    with pytest.raises(ModelError, match="was replaced while it was read; run the command again"):
        load_overseer(tmp_path, CPU)
    assert load_overseer(tmp_path, CPU).label_set == second.label_set


@pytest.mark.parametrize(
    "change",
    [
        {"score_threshold": float("nan")}, {"score_threshold": 5}, {"detections": 0},
        {"image_size": 0}, {"image_size": "x"}, {"norm": "weird"}, {"aspect": "weird"},
        {"smallest_anchor": -1},
    ],
)  # fmt: skip
def test_a_description_that_no_network_fits_is_named(tmp_path, change):
    description = json.loads((find_overseer("scopeline") / "model.json").read_text())
    description["network"] |= change
    (tmp_path / "model.json").write_text(json.dumps(description))
    with pytest.raises(ModelError, match=r"model\.json does not describe an overseer"):
        read_description(tmp_path)


def test_classes_that_cannot_be_read_are_no_overseer(tmp_path):
    description = json.loads((find_overseer("scopeline") / "model.json").read_text())
    description["labels"] = {"name": "x"}
    (tmp_path / "model.json").write_text(json.dumps(description))
    with pytest.raises(ModelError, match=r"model\.json does not describe an overseer \("):
        read_description(tmp_path)
