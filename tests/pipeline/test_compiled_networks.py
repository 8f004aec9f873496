"""Networks that torch compiles: the same feature maps, or one sentence about what is missing."""

import pytest
import torch
from torch import nn

from flows.settings import AnnotateSettings
from pipeline.errors import UsageError
from pipeline.networks.compiled_networks import use_compiled


def test_pictures_of_any_number_have_the_same_feature_maps():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU6(), nn.Conv2d(4, 2, 1)).eval()
    pictures = [torch.randn(count, 3, 16, 24) for count in (1, 2, 5)]
    with torch.inference_mode():
        expected = [module(images) for images in pictures]
        use_compiled(module)
        found = [module(images) for images in pictures]
    assert module._compiled_call_impl is not None
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_what_is_missing_to_compile_is_said(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function: fails)
    with pytest.raises(UsageError, match=r"cannot compile for cpu \(No working C\+\+ compiler"):
        use_compiled(nn.Linear(1, 1))


def fails(values):
    raise RuntimeError("No working C++ compiler found\nand a long trace")


def test_the_runtime_is_no_other_job():
    assert AnnotateSettings(runtime="compiled").identity() == AnnotateSettings().identity()
