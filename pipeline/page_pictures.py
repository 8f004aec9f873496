"""Pictures inside a page that opens without a network."""

import base64

import cv2
import numpy as np
from numpy.typing import NDArray


def jpeg_url(image: NDArray[np.uint8], width: int, quality: int) -> str:
    """Return a picture as a JPEG in a data URL.

    Args:
        image: uint8[H, W, 3], RGB.
        width: that it is brought to, in pixels; its height goes with it.
        quality: of the JPEG, 0 to 100.
    """
    size = (width, max(round(image.shape[0] * width / image.shape[1]), 1))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    _, content = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), options)
    return "data:image/jpeg;base64," + base64.b64encode(content.tobytes()).decode("ascii")
