"""Pictures as they are read from their files."""

import os
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.errors import InputError
from pipeline.picture_files import read_image


def test_read_image_is_rgb(tmp_path):
    blue_in_bgr = np.zeros((2, 2, 3), np.uint8)
    blue_in_bgr[..., 0] = 200
    cv2.imwrite(str(tmp_path / "blue.png"), blue_in_bgr)
    assert read_image(tmp_path / "blue.png")[0, 0].tolist() == [0, 0, 200]


def test_half_a_jpeg_is_no_picture(tmp_path):
    path = tmp_path / "0.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)).save(path)
    whole = path.read_bytes()
    picture = read_image(path)
    path.write_bytes(whole + b"what some cameras write behind it")
    assert np.array_equal(read_image(path), picture)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"0\.jpg is not a readable picture"):
        read_image(path)


def test_a_picture_whose_name_is_not_unicode_is_read_and_one_that_is_too_large_is_named(tmp_path):
    odd = tmp_path / os.fsdecode(b"\xff.png")
    cv2.imwrite(str(tmp_path / "0.png"), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "0.png").rename(odd)
    assert read_image(odd).shape == (8, 8, 3)
    large = bytearray(odd.read_bytes())
    large[16:24] = (60_000).to_bytes(4, "big") * 2
    large[29:33] = zlib.crc32(large[12:29]).to_bytes(4, "big")
    (tmp_path / "large.png").write_bytes(large)
    with pytest.raises(InputError, match=r"large\.png is not a readable picture"):
        read_image(tmp_path / "large.png")
