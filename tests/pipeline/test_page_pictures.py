"""Pictures inside pages, decoded again."""

import base64

import cv2
import numpy as np

from pipeline.page_pictures import jpeg_url


def test_a_picture_is_shrunk_in_proportion_and_keeps_its_colours():
    image = np.zeros((60, 100, 3), np.uint8)
    image[:, :50] = (220, 30, 40)
    head, content = jpeg_url(image, 50, 90).split(",")
    assert head == "data:image/jpeg;base64"
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == (30, 50, 3)
    assert np.allclose(decoded[15, 10, ::-1], (220, 30, 40), atol=12)


def test_a_picture_of_a_few_rows_keeps_one():
    _, content = jpeg_url(np.full((2, 1920, 3), 90, np.uint8), 320, 90).split(",")
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == (1, 320, 3)
