"""The pictures that an export refers to: extracted frames, or only their names."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.exports.selection import Selection
from pipeline.records import FrameAnnotation

_JPEG_QUALITY = 95


def frame_name(selection: Selection, index: int, prefix: str = "") -> str:
    """Return the name of a frame's picture: `00000.jpg`, or .png."""
    return f"{prefix}{selection.number(index)}.{'png' if selection.images == 'png' else 'jpg'}"


def frames_with_written_pictures(
    selection: Selection, folder: Path, prefix: str = ""
) -> Iterator[tuple[FrameAnnotation, str]]:
    """Write each exported frame's picture into a folder, if pictures are wanted.

    Undecodable frames are left out.

    Args:
        selection: the frames.
        folder: receives the pictures.
        prefix: what their names begin with.

    Yields:
        Each frame with the name of its picture.

    Raises:
        InputError: the annotated video is gone or has changed.
        OSError: a picture cannot be written.
    """
    if selection.images != "none":
        folder.mkdir(parents=True, exist_ok=True)
    for frame, image in selection.frames_to_learn_from():
        name = frame_name(selection, frame.index, prefix)
        if image is not None:
            _write(folder / name, image)
        yield frame, name


def encoded_picture(image: NDArray[np.uint8], suffix: str, options: Sequence[int] = ()) -> bytes:
    """Return a picture uint8[H, W, 3], RGB, as the content of a `.jpg` or `.png` file.

    Args:
        image: the picture.
        suffix: which of the two.
        options: further ones of `cv2.imencode`.

    Raises:
        OSError: it cannot be encoded.
    """
    # OpenCV complains of a quality where the format has none.
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if suffix == ".jpg" else []
    given = [*quality, *options]
    encoded, content = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), given)
    if not encoded:
        raise OSError(f"a picture cannot be encoded as {suffix}")
    return content.tobytes()


def _write(path: Path, image: NDArray[np.uint8]) -> None:
    path.write_bytes(encoded_picture(image, path.suffix))
