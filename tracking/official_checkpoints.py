"""The official SAM-2.1 checkpoints: where they come from, and where they lie on this machine."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from pipeline.errors import ModelError
from pipeline.networks.model_folder import sha256_of
from pipeline.remedies import unwritable

_OFFICIAL_FOLDER = "https://dl.fbaipublicfiles.com/segment_anything_2/092824"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """An official SAM-2.1 checkpoint.

    Attributes:
        name: also the name of its configuration.
        url: where Meta publishes it (Apache-2.0).
        size_bytes: of the file.
        sha256: of the file, hexadecimal.
    """

    name: str
    url: str
    size_bytes: int
    sha256: str


def _official(name: str, size_bytes: int, sha256: str) -> Checkpoint:
    url = f"{_OFFICIAL_FOLDER}/{name}.pt"
    return Checkpoint(name=name, url=url, size_bytes=size_bytes, sha256=sha256)


CHECKPOINTS = {
    checkpoint.name: checkpoint
    for checkpoint in (
        _official(
            "sam2.1_hiera_tiny",
            156_008_466,
            "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69",
        ),
        _official(
            "sam2.1_hiera_small",
            184_416_285,
            "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38",
        ),
        _official(
            "sam2.1_hiera_base_plus",
            323_606_802,
            "a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5",
        ),
        _official(
            "sam2.1_hiera_large",
            898_083_611,
            "2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318",
        ),
    )
}


def weights_folder() -> Path:
    """Return where pulled checkpoints are kept: `$SCOPELINE_WEIGHTS` or the user's cache."""
    chosen = os.environ.get("SCOPELINE_WEIGHTS")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "scopeline" / "weights"


def checkpoint_path(checkpoint: Checkpoint) -> Path:
    """Return where a pulled checkpoint lies."""
    return weights_folder() / f"{checkpoint.name}.pt"


def pulled_path(name: str) -> Path:
    """Return where an official checkpoint lies that has been pulled.

    Raises:
        ModelError: it is unknown, or has not been pulled.
    """
    path = checkpoint_path(find_checkpoint(name))
    if not path.is_file():
        raise ModelError(f"{name} is not on this machine; run `scopeline weights pull {name}`")
    return path


def find_checkpoint(name: str) -> Checkpoint:
    """Return the official checkpoint of a name.

    Raises:
        ModelError: there is none.
    """
    if name not in CHECKPOINTS:
        raise ModelError(
            f"unknown checkpoint {name}; `scopeline weights list` shows the known ones"
        )
    return CHECKPOINTS[name]


def verify_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Check size and hash of a checkpoint file.

    Raises:
        ModelError: the file is missing or differs.
    """
    if not path.is_file():
        raise ModelError(f"{path} does not exist; run `scopeline weights pull {checkpoint.name}`")
    size = path.stat().st_size
    if size != checkpoint.size_bytes:
        raise ModelError(
            f"{path} has {size} bytes, not {checkpoint.size_bytes}; remove it and run "
            f"`scopeline weights pull {checkpoint.name}`"
        )
    if sha256_of(path) != checkpoint.sha256:
        raise ModelError(
            f"{path} has another SHA-256 than the published file; remove it and run "
            f"`scopeline weights pull {checkpoint.name}`"
        )


def pull_checkpoint(
    checkpoint: Checkpoint, path: Path, on_progress: Callable[[int], None] | None = None
) -> None:
    """Download a checkpoint, going on where an earlier download was cut off.

    The file gets its name only when size and hash are right.

    Args:
        checkpoint: what to fetch.
        path: where to put it.
        on_progress: is called with the number of bytes that are there.

    Raises:
        ModelError: the server does not answer, or sends something else.
        OutputError: the folder cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _download(checkpoint, part, on_progress)
    except httpx.HTTPError as error:
        raise ModelError(
            f"{checkpoint.url} cannot be fetched ({error}); check the network and run the "
            "command again, it goes on where it stopped"
        ) from error
    except OSError as error:
        raise unwritable(part, error, "set SCOPELINE_WEIGHTS to another folder") from error
    try:
        verify_checkpoint(checkpoint, part)
    except ModelError as error:
        if part.stat().st_size >= checkpoint.size_bytes:
            part.unlink()
        raise ModelError(
            f"{checkpoint.url} sent a file that is not {checkpoint.name}; run the command again"
        ) from error
    part.replace(path)


def _download(
    checkpoint: Checkpoint, part: Path, on_progress: Callable[[int], None] | None
) -> None:
    done = part.stat().st_size if part.exists() else 0
    if done >= checkpoint.size_bytes:
        return
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={done}-"} if done else {})
    with httpx.stream(
        "GET", checkpoint.url, headers=headers, follow_redirects=True, timeout=60
    ) as response:
        response.raise_for_status()
        # A server that does not know ranges sends the file from its beginning.
        resumed = response.status_code == httpx.codes.PARTIAL_CONTENT
        done = done if resumed else 0
        with part.open("ab" if resumed else "wb") as file:
            # In the pieces that arrive: a larger buffer would be lost with the connection.
            for chunk in response.iter_raw():
                file.write(chunk)
                done += len(chunk)
                if on_progress is not None:
                    on_progress(done)
