"""Tracker weights: official checkpoints, other makers' and model folders, never unpickled."""

import errno
import pickle
from pathlib import Path

import pytest
import torch

from pipeline.errors import ModelError, OutputError
from pipeline.networks.checkpoints import write_model
from tracking.sam2_model import build_network
from tracking.weights import load_network, save_network


def test_an_unknown_name_is_refused():
    with pytest.raises(ModelError, match="neither"):
        load_network("sam9")


def test_an_official_checkpoint_loads_by_path_and_by_name(tmp_path, monkeypatch):
    torch.manual_seed(0)
    network = build_network("sam2.1_hiera_tiny")
    path = tmp_path / "sam2.1_hiera_tiny.pt"
    torch.save({"model": network.state_dict()}, path)
    monkeypatch.setenv("SCOPELINE_WEIGHTS", str(tmp_path))
    for source in (path, "sam2.1_hiera_tiny"):
        loaded = load_network(source)
        assert loaded.image_size == 1024
        assert torch.equal(loaded.no_mem_embed, network.no_mem_embed)
    with pytest.raises(ModelError, match="weights pull sam2.1_hiera_small"):
        load_network("sam2.1_hiera_small")


def test_a_checkpoint_of_another_shape_is_refused(tmp_path):
    path = tmp_path / "other.pt"
    torch.save({"model": {"weight": torch.zeros(3)}}, path)
    with pytest.raises(ModelError, match=r"fits none of sam2.1_hiera_tiny, .* is missing"):
        load_network(path)


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return build_network("sam2.1_hiera_tiny").state_dict()


@pytest.mark.parametrize(
    ("place", "prefix"),
    [("model", "module."), ("state_dict", "model."), ("model_state_dict", ""), (None, "sam2.")],
)
def test_fine_tuned_checkpoints_load_however_their_makers_wrapped_them(
    tmp_path, tiny, place, prefix
):
    state = {f"{prefix}{name}": value.half() for name, value in tiny.items()}
    content = state if place is None else {place: state, "epoch": 3, "optimizer": {"lr": 0.1}}
    path = tmp_path / "fine_tuned.pth"
    torch.save(content, path)
    loaded = load_network(path).state_dict()
    assert all(torch.allclose(loaded[name], value, atol=1e-2) for name, value in tiny.items())
    assert loaded["no_mem_embed"].dtype == torch.float32


def test_the_tensor_that_does_not_fit_is_named(tmp_path, tiny):
    path = tmp_path / "strange.pt"
    torch.save({"model": tiny | {"no_mem_embed": torch.zeros(1, 1, 7)}}, path)
    said = (
        r"compared with sam2.1_hiera_tiny, tensor no_mem_embed has shape \(1, 1, 7\), the network "
        r"needs \(1, 1, 256\) \(1 such"
    )
    with pytest.raises(ModelError, match=said):
        load_network(path)
    torch.save({"model": tiny | {"adapter.weight": torch.zeros(2)}}, path)
    with pytest.raises(ModelError, match=r"tensor adapter.weight, shape \(2,\), is not in the"):
        load_network(path)


class Attack:
    def __reduce__(self):
        return (print, ("this must never be printed",))


def test_a_pickle_is_never_run(tmp_path, capsys):
    path = tmp_path / "attack.pt"
    path.write_bytes(pickle.dumps({"model": Attack()}))
    with pytest.raises(ModelError, match="not a checkpoint"):
        load_network(path)
    torch.save({"model": Attack()}, path)
    with pytest.raises(ModelError, match="not a checkpoint"):
        load_network(path)
    assert "never" not in capsys.readouterr().out


def test_a_model_folder_is_read_back(tmp_path):
    torch.manual_seed(0)
    network = build_network("scopeline_small")
    save_network(network, "scopeline_small", tmp_path / "model", "# card\n")
    loaded = load_network(tmp_path / "model")
    for name, value in network.state_dict().items():
        assert torch.allclose(loaded.state_dict()[name], value, atol=1e-2, rtol=1e-3)
    assert (tmp_path / "model" / "README.md").read_text() == "# card\n"
    (tmp_path / "model" / "weights.safetensors").write_bytes(b"damaged")
    with pytest.raises(ModelError, match="cannot be read"):
        load_network(tmp_path / "model")
    with pytest.raises(ModelError, match="not a tracker"):
        load_network(tmp_path)


def test_a_full_disk_leaves_the_model_that_was_there(tmp_path, monkeypatch):
    network = build_network("scopeline_small")
    save_network(network, "scopeline_small", tmp_path, "# first\n")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write = Path.write_bytes

    def full(path, content):
        write(path, content[:100])
        if len(content) > 10_000:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match=r"weights.safetensors cannot be written \(No space left"):
        save_network(network, "scopeline_small", tmp_path, "# second\n")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_model_that_takes_anothers_place_is_never_seen_in_parts(tmp_path, monkeypatch):
    """What a reader finds at any moment is also what a kill leaves."""
    names = ("model.json", "README.md", "weights.safetensors", "report.html", "training.svg")
    seen = []

    def look():
        there = {name: (tmp_path / name) for name in names}
        seen.append({name: path.read_bytes() for name, path in there.items() if path.exists()})

    def watch(name):
        change = getattr(Path, name)
        monkeypatch.setattr(Path, name, lambda *given, **more: (change(*given, **more), look())[0])

    def write(number):
        write_model(tmp_path, {"w": torch.full((3,), number)}, {"n": number}, f"# {number}\n")
        look()

    write(1.0)
    for drawn in ("report.html", "training.svg"):
        (tmp_path / drawn).write_text("of the first")
    look()
    old = seen[-1]
    for name in (".weights.safetensors-17.tmp", ".report.html-17.tmp", ".training.svg-18.tmp"):
        (tmp_path / name).write_bytes(b"of a killed process")
    watch("replace")
    watch("unlink")
    write(2.0)
    new = seen[-1]
    assert {path.name for path in tmp_path.iterdir()} == {*names[:3]} == new.keys()
    assert all(model in (old, new) for model in seen[2:] if "weights.safetensors" in model)
    (tmp_path / "report.html").write_text("of the second")
    seen.clear()
    write(2.0)
    assert all(model == new | {"report.html": b"of the second"} for model in seen)
