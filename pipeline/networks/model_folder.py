"""What lies in a model's folder, found and hashed without loading what loads weights.

Processes that start others, or have nothing to do, thus start in a fraction of the time.
"""

import hashlib
from functools import lru_cache
from pathlib import Path

WEIGHTS = "weights.safetensors"
DESCRIPTION = "model.json"
# What is drawn and measured of it once it is there.
CURVES, REPORT = "training.svg", "report.html"
# What a model's folder keeps of the training that makes it.
TRAINING = ".training"


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal; a file that has not changed is read once."""
    status = path.stat()
    return _sha256_of(path, (status.st_ino, status.st_size, status.st_mtime_ns))


@lru_cache(maxsize=64)
def _sha256_of(path: Path, stamp: tuple[int, ...]) -> str:
    del stamp
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
