"""Picture files: the JPEG and PNG files of a folder, read whole or not at all."""

from pathlib import Path

import cv2
import numpy as np
from natsort import natsorted
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import InputError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
_END_OF_JPEG = b"\xff\xd9"


def list_images(folder: Path) -> list[Path]:
    """List a folder's JPEG and PNG files in natural order (2 before 10)."""
    files = [
        file
        for file in folder.iterdir()
        if file.suffix.lower() in IMAGE_SUFFIXES
        and not file.name.startswith(".")
        # A broken link is named when it is read.
        and (file.is_file() or (file.is_symlink() and not file.exists()))
    ]
    return list(natsorted(files, key=lambda file: file.name))


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read a picture as uint8[H, W, 3], RGB.

    Raises:
        InputError: it cannot be decoded.
    """
    try:
        # Not by its path: OpenCV ends the process at one that is not Unicode.
        content = np.fromfile(path, np.uint8)
        image = cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None
        is_whole = image is not None and _is_whole(path, content)
    # Those of OpenCV have no class in common with others.
    except (OSError, ValueError, cv2.error):
        image, is_whole = None, False
    if image is None or not is_whole:
        raise InputError(f"{path} is not a readable picture; replace or remove it")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def _is_whole(path: Path, content: NDArray[np.uint8]) -> bool:
    """Return whether a picture was copied to its end: what a JPEG lacks is decoded as grey."""
    if path.suffix.lower() not in (".jpg", ".jpeg"):
        return True
    if content[-len(_END_OF_JPEG) :].tobytes() == _END_OF_JPEG:
        return True
    # Some cameras write more behind the end.
    try:
        with Image.open(path) as picture:
            picture.load()
    except OSError:
        return False
    return True
