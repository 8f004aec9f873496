"""Checkpoints: the official format, and downloads from a file server on loopback."""

import hashlib
import pickle
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import torch

from pipeline.errors import ModelError
from tracking.sam2_model import OFFICIAL_CONFIGS, build_network
from tracking.weights import (
    CHECKPOINTS,
    Checkpoint,
    find_checkpoint,
    load_network,
    pull_checkpoint,
    save_network,
    verify_checkpoint,
)

CONTENT = bytes(range(256)) * 4096


class FileServer(BaseHTTPRequestHandler):
    """Serves CONTENT with ranges; the path /cut sends half of it and hangs up."""

    requests: list[str | None] = []

    def do_GET(self):
        wanted = self.headers.get("Range")
        FileServer.requests.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        body = CONTENT[start:]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.path == "/cut" else body)

    def log_message(self, *_):
        pass


@pytest.fixture
def checkpoint():
    FileServer.requests.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), FileServer)
    Thread(target=server.serve_forever, daemon=True).start()
    yield Checkpoint(
        name="small",
        url=f"http://127.0.0.1:{server.server_port}/file",
        size_bytes=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )
    server.shutdown()
    server.server_close()


def test_a_download_is_checked_and_shows_progress(tmp_path, checkpoint):
    seen = []
    pull_checkpoint(checkpoint, tmp_path / "small.pt", seen.append)
    assert (tmp_path / "small.pt").read_bytes() == CONTENT
    assert seen[-1] == len(CONTENT)
    verify_checkpoint(checkpoint, tmp_path / "small.pt")


def test_a_download_that_was_cut_off_goes_on(tmp_path, checkpoint):
    cut = replace(checkpoint, url=checkpoint.url.replace("/file", "/cut"))
    path = tmp_path / "small.pt"
    with pytest.raises(ModelError, match="goes on where it stopped"):
        pull_checkpoint(cut, path)
    assert not path.exists()
    there = (tmp_path / "small.pt.part").stat().st_size
    assert 0 < there < len(CONTENT)
    pull_checkpoint(checkpoint, path)
    assert path.read_bytes() == CONTENT
    assert FileServer.requests[-1] == f"bytes={there}-"


def test_another_file_is_refused(tmp_path, checkpoint):
    with pytest.raises(ModelError, match="not small"):
        pull_checkpoint(replace(checkpoint, sha256="0" * 64), tmp_path / "small.pt")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_answer(tmp_path, checkpoint):
    with pytest.raises(ModelError, match="cannot be fetched"):
        pull_checkpoint(replace(checkpoint, url="http://127.0.0.1:9/x"), tmp_path / "small.pt")


def test_verify_names_what_is_wrong(tmp_path, checkpoint):
    path = tmp_path / "small.pt"
    with pytest.raises(ModelError, match="does not exist"):
        verify_checkpoint(checkpoint, path)
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(ModelError, match="bytes"):
        verify_checkpoint(checkpoint, path)
    path.write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(ModelError, match="SHA-256"):
        verify_checkpoint(checkpoint, path)


def test_an_unknown_name_is_refused():
    with pytest.raises(ModelError, match="unknown checkpoint sam9"):
        find_checkpoint("sam9")
    with pytest.raises(ModelError, match="neither"):
        load_network("sam9")
    assert set(CHECKPOINTS) == set(OFFICIAL_CONFIGS)


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
