"""Features of a trunk in training: those that are kept, and those of pictures in other light."""

import numpy as np
import pytest
import torch

from pipeline.labelled_clip import LabelledClip
from tracking.training.trunk_features import FeatureCache, VariedFeatures

FRAMES = 5


@pytest.fixture
def clip():
    """The same picture in all frames, so that only the light can differ."""
    picture = np.random.default_rng(0).integers(60, 200, (1, 48, 64, 3)).astype(np.uint8)
    return LabelledClip(
        images=np.repeat(picture, FRAMES, 0),
        track_maps=np.ones((FRAMES, 48, 64), np.uint8),
        class_of_track={1: 1},
    )


def distances_from_the_first(levels):
    finest = levels[0]
    return [float((frame - finest[0]).norm()) for frame in finest]


@torch.no_grad()
def test_light_changes_steadily_from_the_first_frame_of_a_run_to_the_last(trained, clip):
    torch.manual_seed(3)
    varied = VariedFeatures(trained, [clip]).features(0, range(FRAMES))
    distances = distances_from_the_first(varied)
    assert distances[1] > 0
    assert distances == sorted(distances)
    again = VariedFeatures(trained, [clip]).features(0, range(FRAMES))
    assert not torch.allclose(varied[0], again[0])


@torch.no_grad()
def test_features_that_are_kept_are_those_of_the_pictures_as_they_are(trained, clip, tmp_path):
    cache = FeatureCache(trained, [clip], tmp_path)
    first = cache.features(0, [0, 3])
    assert distances_from_the_first(first) == [0, 0]
    kept = FeatureCache(trained, [clip], tmp_path).features(0, [0, 3])
    assert all(torch.equal(a, b) for a, b in zip(first, kept, strict=True))


@torch.no_grad()
def test_a_stop_while_room_is_made_for_features_is_no_hindrance(
    trained, clip, tmp_path, monkeypatch
):
    def stopped(path, *_, **__):
        path.write_bytes(b"\x93NUMPY cut off")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("numpy.lib.format.open_memmap", stopped)
        with pytest.raises(KeyboardInterrupt):
            FeatureCache(trained, [clip], tmp_path)
    assert FeatureCache(trained, [clip], tmp_path).features(0, [0])
