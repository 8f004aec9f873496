"""Lower precision where it is asked for, and the same masks with it."""

import pytest
import torch

from flows.bench.runtimes import set_agreement
from flows.models import choose_device, choose_precision, open_overseer, open_tracker
from flows.settings import AnnotateSettings
from pipeline.errors import UsageError
from pipeline.frames import open_video
from pipeline.masks import iou_matrix
from pipeline.networks.devices import computing, moved
from tests.conftest import CLIP, annotated_clip

CPU = torch.device("cpu")


def test_products_are_computed_in_the_precision_that_is_asked_for():
    first, second = torch.ones(2, 3), torch.ones(3, 2)
    with computing(CPU, "bfloat16"):
        assert (first @ second).dtype is torch.bfloat16
    with computing(CPU, "float32"):
        assert (first @ second).dtype is torch.float32


def test_a_processor_computes_in_float32_unless_it_is_told_otherwise(monkeypatch):
    assert choose_precision("auto", CPU) == "float32"
    assert choose_precision("bfloat16", CPU) == "bfloat16"
    for supported, chosen in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda _, answer=supported: answer)
        assert choose_precision("auto", torch.device("cuda")) == chosen


def test_a_tensor_that_is_moved_stays_what_it_was():
    assert torch.equal(moved(torch.arange(3), CPU), torch.arange(3))


@pytest.fixture(scope="module")
def images():
    return next(iter(open_video(CLIP).batches(2))).images


def dtypes_within(module):
    """Return a set that receives the dtypes of what convolutions in a module give."""
    found = set()
    for part in module.modules():
        if isinstance(part, torch.nn.Conv2d):
            part.register_forward_hook(lambda _, __, output: found.add(output.dtype))
    return found


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_both_networks_compute_in_the_precision_and_answer_in_float32(images, precision):
    expected = {getattr(torch, precision)}
    overseer = open_overseer("scopeline", CPU, precision=precision)
    within = dtypes_within(overseer.network)
    (detections, _) = overseer.detect(images)
    assert within == expected
    assert detections.scores.dtype == "float32"
    assert len(detections)
    tracker = open_tracker("scopeline", CPU, precision=precision)
    within = dtypes_within(tracker.network)
    tracker.encode_ahead([0, 1], images)
    assert within == expected
    assert tracker._encoded_ahead[0].vision[-1].dtype is torch.float32


def test_nothing_is_seen_twice_in_lower_precision():
    overseer = open_overseer("scopeline", CPU, precision="bfloat16")
    (detections,) = overseer.detect(next(iter(open_video(CLIP).batches(4))).images[3:])
    same = iou_matrix(detections.masks, detections.masks) > 0.8
    assert len(detections) > 5
    assert same.sum() == len(detections)


def test_annotate_finds_the_same_masks(scopeline, tmp_path):
    sets = [
        annotated_clip(scopeline, tmp_path / precision, "--precision", precision)
        for precision in ("float32", "bfloat16")
    ]
    assert sets[0].manifest.settings == sets[1].manifest.settings
    assert set_agreement(*sets) > 0.95


def test_the_precision_is_no_other_job():
    assert AnnotateSettings(precision="bfloat16").identity() == AnnotateSettings().identity()


@pytest.mark.parametrize("name", ["cuda:7", "cuda:", "cpu:", "cpu:1", "gpu", "cuda:-1", ""])
def test_a_device_that_is_not_there_is_wrong_use(monkeypatch, name):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(UsageError, match="device"):
        choose_device(name)
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    assert choose_device("cpu:0") == CPU
