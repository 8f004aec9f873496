"""Contact sheets of labelled frames."""

import numpy as np

from pipeline.contact_sheet import contact_sheet
from pipeline.labelled_clip import LabelledClip


def clip(brightness, size=(60, 80)):
    track_map = np.zeros((1, *size), np.uint8)
    track_map[:, 20:50, 20:60] = 1
    image = np.full((1, *size, 3), brightness, np.uint8)
    return LabelledClip(images=image, track_maps=track_map, class_of_track={1: 1})


def test_labels_are_painted_over_each_frame(labels):
    sheet = contact_sheet([clip(100), clip(200)], ["a", "b"], labels)
    assert sheet.shape == (240, 640, 3)
    red, green, _ = sheet[80, 160].astype(int)
    assert green > red + 10
    assert sheet[200, 20].tolist() == [100, 100, 100]
    assert sheet[200, 320 + 20].tolist() == [200, 200, 200]


def test_many_frames_become_a_choice(labels):
    sheet = contact_sheet([clip(10 + n) for n in range(100)], [str(n) for n in range(100)], labels)
    assert sheet.shape == (6 * 240, 4 * 320, 3)
    assert sheet[200, 20, 0] == 10
    assert sheet[5 * 240 + 200, 3 * 320 + 20, 0] == 109
