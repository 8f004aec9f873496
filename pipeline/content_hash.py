"""What tells the content of files apart."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import InputError


def hash_files(files: Sequence[Path]) -> str:
    """Return the SHA-256 of files one after the other, hexadecimal.

    Raises:
        InputError: one cannot be read.
    """
    digest = hashlib.sha256()
    for file in files:
        try:
            with file.open("rb") as content:
                while chunk := content.read(1 << 20):
                    digest.update(chunk)
        except OSError as error:
            raise InputError(
                f"{file} cannot be read ({error.strerror}); replace or remove it"
            ) from error
    return digest.hexdigest()
