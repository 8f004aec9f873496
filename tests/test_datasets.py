"""Data sets as labelled frames: what is sound is read, what is not is named."""

import numpy as np
import pytest
from PIL import Image

from overseer.datasets import read_labelled_frames
from pipeline.errors import InputError, UsageError


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


def test_parts_of_a_thing_are_instances_and_stuff_is_one_region(tmp_path, labels):
    save(tmp_path / "images/a.jpg", picture())
    save(tmp_path / "masks/a.png", two_graspers_on_liver())
    frames = read_labelled_frames(tmp_path, "masks", labels, 400)
    (clip,) = frames.clips
    assert sorted(clip.class_of_track.values()) == [1, 1, 2]
    areas = sorted(int(mask.sum()) for _, mask in clip.masks(0))
    assert areas == [100, 100, 1200]
    assert clip.images.shape == (1, 40, 60, 3)


def test_large_pictures_are_shrunk(tmp_path, labels):
    save(tmp_path / "images/a.png", picture((400, 600)))
    save(tmp_path / "masks/a.png", np.kron(two_graspers_on_liver(), np.ones((10, 10))))
    (clip,) = read_labelled_frames(tmp_path, "masks", labels, 60).clips
    assert clip.images.shape == (1, 40, 60, 3)
    assert (clip.track_maps[0] > 0).sum() == pytest.approx(1400, abs=2)


def test_what_is_not_sound_is_left_out_and_named(tmp_path, labels):
    for name in ("good", "no_mask", "small_mask", "unknown", "bad_mask"):
        save(tmp_path / f"images/{name}.png", picture())
    save(tmp_path / "masks/good.png", two_graspers_on_liver())
    save(tmp_path / "masks/small_mask.png", two_graspers_on_liver()[:20])
    save(tmp_path / "masks/unknown.png", two_graspers_on_liver() + 1)
    (tmp_path / "images/bad_picture.png").write_bytes(b"no picture")
    (tmp_path / "masks/bad_mask.png").write_bytes(b"no picture")
    frames = read_labelled_frames(tmp_path, "masks", labels, 400)
    assert len(frames.clips) == 1
    said = {
        "no_mask.png has no mask",
        "small_mask.png is 60x20, its picture is 60x40",
        "unknown.png has the value 1",
        "bad_picture.png is not a readable picture",
        "bad_mask.png is not a readable mask",
    }
    assert len(frames.problems) == len(said)
    for part in said:
        assert any(part in problem for problem in frames.problems), part


def test_without_labels_each_value_is_a_class(tmp_path):
    save(tmp_path / "images/a.png", picture())
    save(tmp_path / "masks/a.png", two_graspers_on_liver())
    frames = read_labelled_frames(tmp_path, "masks", None, 400)
    assert [label.id for label in frames.label_set.classes] == [90, 255]


def test_a_folder_without_frames_is_refused(tmp_path, labels):
    with pytest.raises(InputError, match="no folder images"):
        read_labelled_frames(tmp_path, "masks", labels, 400)
    save(tmp_path / "images/a.png", picture())
    save(tmp_path / "masks/b.png", two_graspers_on_liver())
    with pytest.raises(InputError, match="no frame to learn from.*a.png has no mask"):
        read_labelled_frames(tmp_path, "masks", labels, 400)


def test_an_unknown_layout_is_wrong_use(tmp_path):
    with pytest.raises(UsageError, match="unknown layout photos; choose one of masks"):
        read_labelled_frames(tmp_path, "photos", None, 400)
