"""What lies in a model's folder, found and hashed without loading what loads weights.

Processes that start others, or have nothing to do, thus start in a fraction of the time.
"""

import hashlib
from pathlib import Path

WEIGHTS = "weights.safetensors"


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
