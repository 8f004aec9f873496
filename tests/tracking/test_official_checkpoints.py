"""The official checkpoints: downloads from a file server on loopback, checked and gone on with."""

import hashlib
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from pipeline.errors import ModelError
from tracking.official_checkpoints import (
    CHECKPOINTS,
    Checkpoint,
    find_checkpoint,
    pull_checkpoint,
    verify_checkpoint,
)
from tracking.sam2_model import OFFICIAL_CONFIGS

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


def test_what_lies_in_a_checkpoints_place_is_checked_too(tmp_path, monkeypatch, scopeline):
    monkeypatch.setenv("SCOPELINE_WEIGHTS", str(tmp_path))
    (tmp_path / "sam2.1_hiera_tiny.pt").write_bytes(b"junk")
    code, _, err = scopeline("weights", "pull", "sam2.1_hiera_tiny")
    assert code == 1
    assert "has 4 bytes, not 156008466; remove it" in err


def test_each_official_network_has_a_checkpoint():
    assert set(CHECKPOINTS) == set(OFFICIAL_CONFIGS)
    with pytest.raises(ModelError, match="unknown checkpoint sam9"):
        find_checkpoint("sam9")
