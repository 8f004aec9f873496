"""What a trained overseer is built from: its own sizes, its start's, or those asked for."""

import torch

from overseer.mask_rcnn import load_overseer
from overseer.model_folders import read_description
from overseer.networks import training_config
from tests.small_training import write_data_set

LITE = "efficientnet_lite0"


def test_a_larger_picture_has_larger_anchors_for_the_same_things():
    usual, large = training_config(LITE), training_config(LITE, image_size=768)
    assert (usual.image_size, usual.smallest_anchor) == (384, 16)
    assert (large.image_size, large.smallest_anchor) == (768, 32)
    assert training_config("resnet50").image_size == 320
    # Smaller ones than those of the shipped network stand for hardly more than a pixel of features.
    assert training_config(LITE, image_size=128).smallest_anchor == 16


def test_a_network_sees_pictures_of_the_size_that_is_asked_for(scopeline, tmp_path):
    write_data_set(tmp_path / "data", 2)
    train = ("train", "overseer", "--data", tmp_path / "data", "--steps", 1, "--batch-size", 1)
    code, _, err = scopeline(*train, "--image-size", 160, "--out", tmp_path / "model")
    assert code == 0, err
    assert "--image-size 160" in (tmp_path / "model/README.md").read_text()
    overseer = load_overseer(tmp_path / "model", torch.device("cpu"))
    assert overseer.input_size(1080, 1920) == (90, 160)

    # A training that goes on from it sees the same, unless it is told otherwise.
    start = str(tmp_path / "model")
    assert training_config(LITE, start).image_size == 160
    assert training_config(LITE, start, image_size=320).image_size == 320
    code, _, err = scopeline(*train, "--start-from", start, "--out", tmp_path / "next")
    assert code == 0, err
    assert read_description(tmp_path / "next")[0] == overseer.config


def test_an_unfinished_training_on_pictures_of_another_size_is_another_one(scopeline, tmp_path):
    write_data_set(tmp_path / "data", 2)
    train = ("train", "overseer", "--data", tmp_path / "data", "--batch-size", 1)
    train += ("--out", tmp_path / "model", "--image-size")
    assert scopeline(*train, 128, "--steps", 1)[0] == 0
    code, _, err = scopeline(*train, 160, "--steps", 1)
    assert code == 2
    assert "model" in err
