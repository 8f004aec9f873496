"""Fine-tuned trackers on disk: small, loaded with what they were made from, or refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from flows.job_identity import describe_tracker
from flows.models import open_tracker
from pipeline.errors import ModelError
from pipeline.records import Prompt, PromptReason
from tests.conftest import rectangle
from tests.small_data import edited_json
from tracking import adapted_weights
from tracking.adapted_weights import (
    load_first_mask_network,
    load_to_adapt,
    load_tracker,
    save_adaptation,
)
from tracking.adapters import prepare_to_adapt
from tracking.model_folders import Adaptation, describe_base, find_tracker
from tracking.sam2_model import build_network
from tracking.weights import save_network


def write_adaptation(folder, method, base="scopeline"):
    """Save an adaptation that was trained at random; returns its network."""
    network = load_tracker(base)
    adaptation = Adaptation(method=method, rank=4)
    prepare_to_adapt(network, adaptation)
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter), alpha=0.01)
    save_adaptation(network, describe_base(base), adaptation, folder, "# card\n")
    return network.eval()


def write_random_tracker(folder):
    save_network(build_network("scopeline_small"), "scopeline_small", folder, "# card\n")


@pytest.fixture
def base(tmp_path):
    """The folder of a tracker that nobody has trained."""
    torch.manual_seed(0)
    write_random_tracker(tmp_path / "base")
    return tmp_path / "base"


def features(network):
    pictures = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return network.forward_image(pictures)["vision_features"]


@pytest.mark.parametrize("method", ["decoder", "lora", "adapter", "full"])
def test_an_adaptation_is_read_back_over_its_base(tmp_path, method):
    network = write_adaptation(tmp_path / "model", method)
    loaded = load_tracker(str(tmp_path / "model"))
    change = (features(network) - features(load_tracker("scopeline"))).abs().mean()
    # Stored in half precision.
    assert (features(loaded) - features(network)).abs().mean() <= max(0.05 * change, 1e-4)
    assert torch.allclose(loaded.maskmem_tpos_enc, network.maskmem_tpos_enc, atol=1e-2)


def test_its_file_is_small_and_holds_nothing_of_the_base(tmp_path):
    write_adaptation(tmp_path / "model", "lora")
    path = tmp_path / "model/weights.safetensors"
    shipped = find_tracker("scopeline") / "weights.safetensors"
    assert path.stat().st_size < 0.05 * shipped.stat().st_size
    assert not load_file(path).keys() & load_file(shipped).keys()


@pytest.mark.parametrize("method", ["lora", "adapter"])
def test_it_tracks(tmp_path, method):
    write_adaptation(tmp_path / "model", method)
    tracker = open_tracker(str(tmp_path / "model"), torch.device("cpu"))
    mask = rectangle(10, 10, 30, 24)
    prompt = Prompt(frame_index=0, track_id=1, class_id=1, reason=PromptReason.HUMAN, mask=mask)
    for frame in range(2):
        tracker.track(frame, np.full((32, 48, 3), 90, np.uint8))
        if frame == 0:
            tracker.prompt([prompt])
        assert tracker.result().masks.shape == (1, 32, 48)


@pytest.mark.parametrize("methods", [("lora", "adapter"), ("adapter", "adapter")])
def test_an_adaptation_of_an_adaptation(tmp_path, methods):
    write_adaptation(tmp_path / "first", methods[0])
    network = write_adaptation(tmp_path / "second", methods[1], base=str(tmp_path / "first"))
    loaded = load_tracker(str(tmp_path / "second"))
    assert torch.allclose(features(loaded), features(network), atol=0.1)


def test_a_first_mask_network_goes_beside_the_tracker_that_it_was_made_from(tmp_path, base):
    """By itself it names a tracker too, which follows as its base does."""
    assert load_first_mask_network(str(base)) is None
    network = write_adaptation(tmp_path / "alone", "first-mask", base=str(base))
    write_adaptation(base / "first-mask", "first-mask", base=str(base))
    for name in (tmp_path / "alone", base):
        loaded = load_first_mask_network(str(name))
        assert torch.allclose(features(loaded), features(network), atol=0.1)
        following = features(load_tracker(str(name)))
        assert torch.equal(following, features(load_tracker(str(base))))
        assert not torch.equal(following, features(loaded))


def test_fine_tuning_first_masks_goes_on_from_those_that_the_tracker_has(tmp_path, base):
    method = Adaptation(method="first-mask", rank=0)
    own = features(load_tracker(str(base)))
    assert torch.equal(features(load_to_adapt(str(base), method)), own)
    write_adaptation(base / "first-mask", "first-mask", base=str(base))
    first_mask = features(load_first_mask_network(str(base)))
    assert torch.equal(features(load_to_adapt(str(base), method)), first_mask)
    low_rank = Adaptation(method="lora", rank=4)
    assert torch.equal(features(load_to_adapt(str(base), low_rank)), own)


def test_a_tracker_can_be_moved_with_its_first_mask_network(tmp_path, base):
    network = write_adaptation(base / "first-mask", "first-mask", base=str(base))
    base.rename(tmp_path / "moved")
    loaded = load_first_mask_network(str(tmp_path / "moved"))
    assert torch.allclose(features(loaded), features(network), atol=0.1)


def test_models_in_one_folder_can_be_moved_together(tmp_path, monkeypatch):
    models = tmp_path / "models"
    write_random_tracker(models / "base")
    monkeypatch.chdir(tmp_path)
    network = write_adaptation(Path("models/surgery"), "lora", base=str(models / "base"))
    models.rename(tmp_path / "elsewhere")
    loaded = load_tracker(str(tmp_path / "elsewhere/surgery"))
    assert torch.allclose(features(loaded), features(network), atol=0.1)


def test_an_adaptation_can_be_moved_away_from_its_base(tmp_path, base):
    network = write_adaptation(tmp_path / "models/surgery", "lora", base=str(base))
    (tmp_path / "models/surgery").rename(tmp_path / "surgery")
    loaded = load_tracker(str(tmp_path / "surgery"))
    assert torch.allclose(features(loaded), features(network), atol=0.1)


def test_a_tracker_that_was_fine_tuned_otherwise_answers_for_itself(tmp_path):
    write_adaptation(tmp_path / "model", "lora")
    assert load_first_mask_network("scopeline") is not None
    assert load_first_mask_network(str(tmp_path / "model")) is None


@pytest.mark.parametrize("lost", ["model.json", "weights.safetensors"])
def test_a_first_mask_folder_that_lost_a_file_is_not_passed_over(tmp_path, base, lost):
    write_adaptation(base / "first-mask", "first-mask", base=str(base))
    (base / "first-mask" / lost).unlink()
    with pytest.raises(ModelError, match=f"first-mask.*{lost}"):
        load_first_mask_network(str(base))
    with pytest.raises(ModelError, match=f"first-mask.*{lost}"):
        describe_tracker(str(base))


def test_an_unfinished_training_of_first_masks_goes_on_and_is_in_nobodys_way(base):
    """It lies where the finished one is looked for, as the README's command has it."""
    (base / "first-mask/.training").mkdir(parents=True)
    own = features(load_tracker(str(base)))
    assert load_first_mask_network(str(base)) is None
    method = Adaptation(method="first-mask", rank=0)
    assert torch.equal(features(load_to_adapt(str(base), method)), own)
    # So is one that was stopped where the new weights were to take their place.
    write_adaptation(base / "first-mask", "first-mask", base=str(base))
    (base / "first-mask/weights.safetensors").unlink()
    assert load_first_mask_network(str(base)) is None
    assert torch.equal(features(load_to_adapt(str(base), method)), own)
    (base / "first-mask/model.json").unlink()
    (base / "first-mask/weights.safetensors").touch()
    with pytest.raises(ModelError, match="first-mask.*model.json"):
        load_first_mask_network(str(base))


def test_a_first_mask_network_of_another_base_is_refused(tmp_path, base):
    write_adaptation(base / "first-mask", "first-mask", base=str(base))
    write_random_tracker(base)
    with pytest.raises(ModelError, match="first-mask was made from another .*base than the one on"):
        open_tracker(str(base), torch.device("cpu"))


def test_a_base_that_has_changed_is_refused(tmp_path, base):
    write_adaptation(tmp_path / "model", "lora", base=str(base))
    write_random_tracker(base)
    with pytest.raises(ModelError, match=r"model was made from another .*base than the one on"):
        load_tracker(str(tmp_path / "model"))
    (base / "weights.safetensors").unlink()
    with pytest.raises(ModelError, match="give a folder that has weights.safetensors"):
        load_tracker(str(tmp_path / "model"))


def test_an_adaptation_that_is_replaced_while_it_is_read_is_refused(tmp_path, base, monkeypatch):
    """Its tensors have the names and shapes of one that another tracker was made into."""
    write_adaptation(tmp_path / "model", "lora")
    read = adapted_weights.read_checkpoint

    def read_what_comes_next(path):
        if path == tmp_path / "model/weights.safetensors":
            monkeypatch.setattr(adapted_weights, "read_checkpoint", read)
            write_adaptation(tmp_path / "model", "lora", base=str(base))
        return read(path)

    monkeypatch.setattr(adapted_weights, "read_checkpoint", read_what_comes_next)
    with pytest.raises(ModelError, match="model was replaced while it was read; run"):
        load_tracker(str(tmp_path / "model"))


def test_weights_of_another_adaptation_are_refused(tmp_path):
    write_adaptation(tmp_path / "model", "lora")
    path = tmp_path / "model/weights.safetensors"
    weights = load_file(path)
    name = sorted(weights)[0]
    save_file(weights | {name: torch.zeros(3, 3)}, path)
    with pytest.raises(ModelError, match=f"does not fit what it was made from: {name}"):
        load_tracker(str(tmp_path / "model"))


def test_a_damaged_description_is_no_tracker(tmp_path):
    write_adaptation(tmp_path / "model", "lora")
    with edited_json(tmp_path / "model/model.json") as description:
        del description["base"]["sha256"]
    with pytest.raises(ModelError, match="is not a tracker"):
        load_tracker(str(tmp_path / "model"))


def test_the_manifest_tells_an_adaptation_from_its_base(tmp_path):
    write_adaptation(tmp_path / "model", "lora")
    described = describe_tracker(str(tmp_path / "model"))
    assert described["sha256"] != describe_tracker("scopeline")["sha256"]


def test_the_manifest_tells_what_answers_boxes_for_a_tracker(tmp_path, base):
    alone = describe_tracker(str(base))
    write_adaptation(base / "first-mask", "first-mask", base=str(base))
    accompanied = describe_tracker(str(base))
    assert accompanied["sha256"] == alone["sha256"]
    assert "first_mask_sha256" not in alone
    assert len(accompanied["first_mask_sha256"]) == 64
