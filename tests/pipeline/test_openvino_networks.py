"""OpenVINO as the runtime: the same feature maps and masks, nothing reported to anybody."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from flows.bench.runtimes import set_agreement
from flows.settings import AnnotateSettings
from pipeline.errors import UsageError
from pipeline.networks.backbones import EfficientNetLite0
from pipeline.networks.openvino_networks import use_openvino
from tests.conftest import annotated_clip


class Pyramid(nn.Module):
    """Makes what SAM-2's image encoders make: maps under names, some in lists."""

    def __init__(self):
        super().__init__()
        self.trunk = EfficientNetLite0()

    def forward(self, images):
        maps = self.trunk(images)
        return {"coarse": maps[-1], "levels": maps[:-1]}


@pytest.fixture
def pyramid():
    torch.manual_seed(0)
    return Pyramid().eval()


def flat(maps):
    return [maps["coarse"], *maps["levels"]]


def test_pictures_of_any_number_and_size_have_the_same_feature_maps(pyramid):
    pyramid.trunk.keep_faster_copy()
    pictures = [torch.randn(1, 3, 64, 96), torch.randn(3, 3, 64, 96), torch.randn(2, 3, 96, 96)]
    with torch.inference_mode():
        expected = [flat(pyramid(images)) for images in pictures]
        use_openvino(pyramid)
        found = [flat(pyramid(images)) for images in pictures]
    for ours, theirs in zip(found, expected, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert one.shape == other.shape
            assert torch.allclose(one, other, atol=1e-4 * float(other.abs().max()))
            # What reads them place by place is faster so.
            assert one.is_contiguous(memory_format=torch.channels_last)


def test_the_maps_of_one_picture_outlive_the_next(pyramid):
    use_openvino(pyramid)
    with torch.inference_mode():
        first = pyramid(torch.zeros(1, 3, 64, 64))["coarse"]
        kept = first.clone()
        pyramid(torch.ones(1, 3, 64, 64))
    assert torch.equal(first, kept)


def test_nothing_is_reported_to_its_makers(tmp_path):
    """What the package `openvino_telemetry` does begins with an id in the user's home."""
    program = (
        "from torch import nn; from pipeline.networks.openvino_networks import use_openvino; "
        "import torch; m = nn.Conv2d(3, 3, 1); f = m.forward; "
        "m.forward = lambda x: {'map': f(x)}; use_openvino(m); m(torch.zeros(1, 3, 4, 4))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named(pyramid, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(UsageError, match=r"pip install 'scopeline\[openvino\]'"):
        use_openvino(pyramid)


def test_another_device_is_refused(pyramid):
    with pytest.raises(UsageError, match="--device cpu"):
        use_openvino(pyramid.to("meta"))


def test_annotate_finds_the_same_masks(scopeline, tmp_path):
    sets = [
        annotated_clip(scopeline, tmp_path / runtime, "--runtime", runtime)
        for runtime in ("torch", "openvino")
    ]
    assert len(list(sets[1].frames())) == 12
    assert set_agreement(*sets) > 0.99


def test_the_runtime_is_no_other_job():
    assert AnnotateSettings(runtime="openvino").identity() == AnnotateSettings().identity()
