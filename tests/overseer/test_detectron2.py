"""detectron2's Mask R-CNN, against the real package: it looks, it learns, it takes checkpoints."""

import sys

import pytest
import torch

from overseer.mask_rcnn import copy_weights, load_overseer
from overseer.networks import backbone_of, build_network, training_config
from pipeline.annotation_set import AnnotationSet
from pipeline.errors import ModelError
from pipeline.networks.openvino_networks import use_openvino
from tests.conftest import needs_detectron2
from tests.small_training import write_data_set

CPU = torch.device("cpu")
R50 = "detectron2_resnet50"


def test_where_it_is_absent_the_way_to_install_it_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "detectron2", None)
    with pytest.raises(ModelError, match="run `make detectron2`, or choose another --backbone"):
        build_network(training_config(R50), 1)


@needs_detectron2
def test_an_overseer_is_trained_and_annotates(scopeline, tmp_path, small_video):
    write_data_set(tmp_path / "data", 2)
    code, _, err = scopeline(
        "train", "overseer", "--data", tmp_path / "data", "--backbone", R50, "--steps", 1,
        "--batch-size", 1, "--image-size", 160, "--out", tmp_path / "model",
    )  # fmt: skip
    assert code == 0, err
    assert '"backend": "detectron2"' in (tmp_path / "model/model.json").read_text()
    card = (tmp_path / "model/README.md").read_text()
    assert "backbone: detectron2_resnet50, from random weights" in card
    assert load_overseer(tmp_path / "model", CPU).config.norm == "batch"
    code, _, err = scopeline(
        "annotate", small_video, "--out", tmp_path / "out", "--overseer", tmp_path / "model",
        "--max-frames", 2,
    )  # fmt: skip
    assert code == 0, err
    annotated = AnnotationSet(tmp_path / "out/small.annset")
    assert annotated.manifest.counts.frames == 2
    assert [label.name for label in annotated.label_set.classes] == ["class 255"]


@needs_detectron2
def test_openvino_computes_its_backbone():
    torch.manual_seed(0)
    network = build_network(training_config(R50), 1).eval()
    pictures = torch.rand(2, 3, 64, 96)
    with torch.inference_mode():
        expected = backbone_of(network)(pictures)
        use_openvino(backbone_of(network))
        found = backbone_of(network)(pictures)
    assert list(found) == list(expected)
    for name, level in found.items():
        assert torch.allclose(level, expected[name], atol=1e-4 * float(expected[name].abs().max()))


@needs_detectron2
def test_colours_go_in_as_detectron2_wants_them():
    """Its own call, with BGR of 0 to 255, finds what the overseer's, with RGB of 0 to 1, finds."""
    torch.manual_seed(0)
    network = build_network(training_config(R50), 3).eval()
    predictor = network.detector.roi_heads.box_predictor
    with torch.no_grad():
        predictor.bbox_pred.weight.zero_()
        predictor.cls_score.weight.zero_()
        predictor.cls_score.bias[1] = 9
    picture = torch.rand(3, 240, 320)
    given = {"image": picture.flip(0) * 255, "height": 240, "width": 320}
    with torch.inference_mode():
        expected = network.detector([given])[0]["instances"]
        (found,) = network([picture])
    assert len(found["boxes"]) == len(expected) > 0
    assert torch.allclose(found["boxes"], expected.pred_boxes.tensor, atol=1e-2)
    assert found["labels"].unique().tolist() == [2]
    assert found["masks"].shape[1:] == (1, 240, 320)


@needs_detectron2
def test_a_training_starts_from_detectron2s_checkpoint(tmp_path):
    torch.manual_seed(1)
    path = tmp_path / "model_final.pth"
    path.touch()
    config = training_config(R50, str(path))
    state = build_network(config, 80).detector.state_dict()
    torch.save({"model": state, "__author__": "Detectron2 Model Zoo"}, path)
    network = build_network(config, 3)
    copy_weights(path, network)
    copied = network.detector.state_dict()
    for name, value in state.items():
        fits = copied[name].shape == value.shape
        assert fits == ("predictor" not in name or "deconv" in name), name
        assert not fits or torch.equal(copied[name], value), name
    with pytest.raises(ModelError, match="another backbone"):
        copy_weights(path, build_network(training_config("resnet50"), 3))
