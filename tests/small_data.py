"""Small pictures, masks and outlines, of which tests make data sets."""

import numpy as np
from PIL import Image

from pipeline.labelled_clip import IGNORED


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint8)).save(path)


def picture(size=(40, 60)):
    return np.full((*size, 3), 90, np.uint8)


def two_graspers_on_liver():
    values = np.zeros((40, 60), np.uint8)
    values[20:] = 90
    values[5:15, 5:15] = 255
    values[5:15, 40:50] = 255
    values[0, 59] = 255
    return values


def polygon(left, top, right, bottom):
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def ignored_pixels(frames):
    (clip,) = frames.clips
    return int((clip.track_maps[0] == IGNORED).sum())
