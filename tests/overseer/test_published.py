"""SASVi's checkpoints, made here by torchvision as SASVi makes them, with random weights."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import interpolate
from torchvision.models.detection import MaskRCNN, maskrcnn_resnet50_fpn_v2
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.mask_rcnn import MaskRCNNPredictor

from overseer.mask_rcnn import copy_weights, load_published
from overseer.networks import build_network, training_config
from overseer.published import PUBLISHED
from pipeline.annotation_set import AnnotationSet
from pipeline.errors import ModelError

CPU = torch.device("cpu")


def sasvi_network(name, favourite):
    """SASVi's network, which sees nothing but one of its classes, everywhere."""
    classes, hidden = {"cadis": (18, 32), "cataract1k": (14, 32), "cholecseg8k": (13, 64)}[name]
    torch.manual_seed(0)
    if name == "cholecseg8k":
        network = maskrcnn_resnet50_fpn_v2(
            weights=None, weights_backbone=None, num_classes=classes, min_size=299, max_size=299
        )
    else:
        backbone = resnet_fpn_backbone(backbone_name="resnet18", weights=None)
        network = MaskRCNN(backbone, num_classes=classes, min_size=299, max_size=299)
    heads = network.roi_heads
    heads.mask_predictor = MaskRCNNPredictor(256, hidden, classes)
    with torch.no_grad():
        heads.box_predictor.cls_score.bias[favourite] = 999
        heads.mask_predictor.mask_fcn_logits.bias[favourite] = 9
    return network.eval()


@pytest.fixture
def cadis(tmp_path):
    path = tmp_path / "cadis_maskrcnn.pth"
    torch.save(sasvi_network("cadis", 1).state_dict(), path)
    return path


def test_a_published_overseer_sees_what_torchvisions_network_sees(cadis):
    theirs = sasvi_network("cadis", 1)
    theirs.roi_heads.score_thresh = 0.3
    overseer = load_published("sasvi/cadis", cadis, CPU)
    image = np.random.default_rng(0).integers(0, 256, (80, 128, 3)).astype(np.uint8)
    square = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    square = interpolate(square, (299, 299), mode="bilinear", antialias=True)
    with torch.inference_mode():
        (expected,) = theirs([square[0]])
        (found,) = overseer.network([square[0]])
    assert len(found["boxes"]) == len(expected["boxes"]) > 0
    assert torch.allclose(found["boxes"], expected["boxes"], atol=1e-2)
    assert torch.allclose(found["masks"], expected["masks"], atol=1e-4)
    (detections,) = overseer.detect(image[None])
    assert detections.masks.shape[1:] == (80, 128)


@pytest.mark.parametrize(
    ("name", "favourite", "expected"),
    [
        ("cadis", 1, "Pupil"),  # CaDIS counts from 0, SASVi's network from 1
        ("cataract1k", 13, "Capsulorhexis Forceps"),
        ("cholecseg8k", 5, "Grasper"),
    ],
)
def test_annotate_takes_a_published_overseer(
    scopeline, tmp_path, small_video, name, favourite, expected
):
    path = tmp_path / "checkpoint.pth"
    torch.save(sasvi_network(name, favourite).state_dict(), path)
    code, _, err = scopeline(
        "annotate", small_video, "--out", tmp_path / "out", "--overseer", f"sasvi/{name}",
        "--weights", path, "--policy", "framewise", "--max-frames", 1,
    )  # fmt: skip
    assert code == 0, err
    annotated = AnnotationSet(tmp_path / "out/small.annset")
    (frame,) = annotated.frames()
    assert {annotated.label_set[track.class_id].name for track in frame.tracks} == {expected}
    assert annotated.manifest.models["overseer"]["name"] == f"sasvi/{name}"
    assert annotated.label_set == PUBLISHED[f"sasvi/{name}"].label_set


def test_a_tensor_that_does_not_fit_is_named_with_both_shapes(scopeline, tmp_path, small_video):
    path = tmp_path / "checkpoint.pth"
    torch.save(sasvi_network("cadis", 1).state_dict(), path)
    code, _, err = scopeline(
        "annotate", small_video, "--out", tmp_path / "out", "--overseer", "sasvi/cataract1k",
        "--weights", path,
    )  # fmt: skip
    assert code == 1
    assert "checkpoint.pth is not sasvi/cataract1k: tensor roi_heads.box_predictor.cls_score" in err
    assert "has shape (18, 1024), the network needs (14, 1024)" in err
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, cadis):
    with pytest.raises(ModelError, match=r"gone.pth does not exist; download"):
        load_published("sasvi/cadis", tmp_path / "gone.pth", CPU)
    path = tmp_path / "bad.pth"
    path.write_bytes(cadis.read_bytes()[:5000])
    with pytest.raises(ModelError, match=r"bad.pth cannot be read .*; fetch it again"):
        load_published("sasvi/cadis", path, CPU)
    path.write_bytes(b"no checkpoint")
    with pytest.raises(ModelError, match=r"bad.pth is not a checkpoint that can be read safely"):
        load_published("sasvi/cadis", path, CPU)
    torch.save({"epoch": 3}, path)
    with pytest.raises(ModelError, match=r"bad.pth holds no weights"):
        load_published("sasvi/cadis", path, CPU)


def test_weights_and_names_go_together(scopeline, tmp_path, small_video, cadis):
    out = ("annotate", small_video, "--out", tmp_path / "out")
    code, _, err = scopeline(*out, "--overseer", "sasvi/cadis")
    assert code == 2
    assert "give it with --weights FILE" in err
    code, _, err = scopeline(*out, "--weights", cadis)
    assert code == 2
    assert "--weights does not go with the overseer scopeline" in err
    code, _, err = scopeline(*out, "--overseer", "sasvi/liver", "--weights", cadis)
    assert code == 2
    assert "sasvi/cadis, sasvi/cataract1k, sasvi/cholecseg8k" in err


@pytest.mark.parametrize("old_names", [False, True])
def test_a_training_starts_from_torchvisions_checkpoint(tmp_path, old_names):
    """The network of 2019 on COCO; its file has older names for the same tensors."""
    torch.manual_seed(1)
    theirs = MaskRCNN(resnet_fpn_backbone(backbone_name="resnet50", weights=None), 91)
    state = theirs.state_dict()
    if old_names:
        state = {old_name(name): value for name, value in state.items()}
    path = tmp_path / "coco.pth"
    torch.save(state, path)
    network = build_network(training_config("resnet50"), 3)
    before = network.state_dict()["roi_heads.box_predictor.cls_score.weight"].clone()
    copy_weights(path, network)
    copied = network.state_dict()
    for name, value in theirs.state_dict().items():
        if "predictor" not in name:
            assert torch.equal(copied[name], value), name
    assert torch.equal(copied["roi_heads.box_predictor.cls_score.weight"], before)
    with pytest.raises(ModelError, match=r"another backbone: backbone.body.*is not in it"):
        copy_weights(path, build_network(training_config("resnet18"), 3))


def old_name(name):
    for level in range(4):
        for kind in ("inner", "layer"):
            name = name.replace(f"fpn.{kind}_blocks.{level}.0.", f"fpn.{kind}_blocks.{level}.")
        name = name.replace(f"mask_head.{level}.0.", f"mask_head.mask_fcn{level + 1}.")
    return name.replace("rpn.head.conv.0.0.", "rpn.head.conv.")


def test_a_training_starts_from_an_imagenet_classifier(tmp_path):
    from torchvision.models import resnet18

    torch.manual_seed(2)
    classifier = resnet18(weights=None)
    torch.save(classifier.state_dict(), tmp_path / "resnet18.pth")
    network = build_network(training_config("resnet18"), 3)
    copy_weights(tmp_path / "resnet18.pth", network)
    assert torch.equal(
        network.backbone.body.layer4[1].conv2.weight, classifier.layer4[1].conv2.weight
    )


def test_every_published_overseer_has_a_class_for_each_output():
    counts = {name: len(item.label_set.foreground) + 1 for name, item in PUBLISHED.items()}
    assert counts == {"sasvi/cadis": 18, "sasvi/cataract1k": 14, "sasvi/cholecseg8k": 13}


def test_compare_takes_the_same_weights(scopeline, tmp_path, small_video, cadis):
    (tmp_path / "truth").mkdir()
    for number in range(12):
        Image.new("L", (96, 64), 0).save(tmp_path / "truth" / f"{number}.png")
    asked = ("compare", small_video, "--truth", tmp_path / "truth", "--weights", cadis)
    code, _, err = scopeline(*asked, "--policies", "framewise")
    assert code == 2
    assert "--weights does not go with the overseer scopeline" in err
    code, out, err = scopeline(
        *asked, "--overseer", "sasvi/cadis", "--policies", "framewise", "--max-frames", 2, "--json"
    )
    assert code == 0, err
    assert '"framewise"' in out
