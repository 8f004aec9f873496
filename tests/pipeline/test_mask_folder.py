from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.annotation_set import AnnotationSet
from pipeline.errors import InputError
from pipeline.mask_folder import MaskFolder, open_masks, read_mask_values
from pipeline.masks import decode_mask


def save(path, values, mode=None):
    Image.fromarray(np.asarray(values, np.uint8), mode).save(path)


def square(value, channels=None):
    shape = (16, 20) if channels is None else (16, 20, channels)
    values = np.zeros(shape, np.uint8)
    values[4:9, 4:12] = value
    return values


def test_without_labels_each_value_is_a_class(tmp_path):
    save(tmp_path / "0.png", square(255))
    save(tmp_path / "1.png", np.maximum(square(255), square(0)))
    folder = MaskFolder(tmp_path)
    (first, _) = folder.frames()
    assert [track.class_id for track in first.tracks] == [255]
    assert np.array_equal(decode_mask(first.tracks[0].rle), square(255) > 0)
    assert len(folder) == 2


def test_labels_give_values_a_meaning(tmp_path, labels):
    values = square(255)
    values[12:] = 90
    save(tmp_path / "0.png", values)
    (frame,) = MaskFolder(tmp_path, labels).frames()
    assert {track.class_id: track.rle for track in frame.tracks}.keys() == {1, 2}


def test_what_labels_leave_open_is_a_region_of_its_own(tmp_path, labels):
    open_labels = replace(labels, ignored_values=(0, 200))
    save(tmp_path / "0.png", square(255))
    save(tmp_path / "1.png", square(200))
    folder = MaskFolder(tmp_path, open_labels)
    assert folder.ignored_region(0) is None
    assert np.array_equal(folder.ignored_region(1), square(200) > 0)
    assert folder.ignored_region(2) is None
    assert [frame.tracks for frame in folder.frames()][1] == ()


def test_indexed_grey_and_rgb_pictures(tmp_path):
    save(tmp_path / "grey.png", square(7))
    indexed = Image.fromarray(square(7), "P")
    indexed.putpalette([0] * 768)
    indexed.save(tmp_path / "indexed.png")
    save(tmp_path / "rgb_grey.png", square((7, 7, 7), 3))
    save(tmp_path / "rgb.png", square((1, 2, 3), 3))
    for name in ("grey", "indexed", "rgb_grey"):
        assert np.array_equal(read_mask_values(tmp_path / f"{name}.png"), square(7)), name
    assert read_mask_values(tmp_path / "rgb.png").max() == 65536 + 2 * 256 + 3


def test_an_unknown_value_is_named(tmp_path, labels):
    save(tmp_path / "5.png", square(33))
    with pytest.raises(InputError, match=r"5\.png has the value 33"):
        list(MaskFolder(tmp_path, labels).frames())


def test_bad_folders_are_named(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        open_masks(tmp_path / "none")
    (tmp_path / "masks.png").touch()
    with pytest.raises(InputError, match="masks.png is a file; give an annotation set or a folder"):
        MaskFolder(tmp_path / "masks.png")
    (tmp_path / "masks.png").unlink()
    with pytest.raises(InputError, match="holds no mask PNGs"):
        open_masks(tmp_path)
    (tmp_path / "0.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"0\.png is not a readable mask"):
        _ = open_masks(tmp_path).label_set


def test_a_set_is_opened_as_a_set(tmp_path, clip_info, labels):
    from tests.pipeline.test_annotation_set import write

    write(tmp_path / "clip.annset", clip_info, labels, 2)
    assert isinstance(open_masks(tmp_path / "clip.annset"), AnnotationSet)


def test_white_is_one_class_whether_or_not_a_frame_has_colours(tmp_path):
    white = np.zeros((8, 8, 3), np.uint8)
    white[:4] = 255
    colored = white.copy()
    colored[6:] = (0, 200, 0)
    for name, values in (("0", white), ("1", colored)):
        Image.fromarray(values).save(tmp_path / f"{name}.png")
    masks = MaskFolder(tmp_path)
    assert [label.value for label in masks.label_set.classes] == [200 << 8, 0xFFFFFF]
    areas = [
        {track.class_id: int(decode_mask(track.rle).sum()) for track in frame.tracks}
        for frame in masks.frames()
    ]
    assert areas == [{0xFFFFFF: 32}, {200 << 8: 16, 0xFFFFFF: 32}]
    ignoring = replace(
        masks.label_set, classes=masks.label_set.classes[:1], ignored_values=(0xFFFFFF,)
    )
    assert MaskFolder(tmp_path, ignoring).ignored_region(0).sum() == 32


def test_large_values_of_grey_pictures_are_no_colours(tmp_path):
    for name, value in (("0", 5), ("1", 300)):
        Image.fromarray(np.full((8, 8), value, np.uint16)).save(tmp_path / f"{name}.png")
    frames = list(MaskFolder(tmp_path).frames())
    assert [track.class_id for frame in frames for track in frame.tracks] == [5, 300]


def test_masks_of_some_frames_are_of_those_that_their_numbers_name(tmp_path, labels):
    """As an export of each third frame has them; in order they would be of frames 0, 1 and 2."""
    open_labels = replace(labels, ignored_values=(200,))
    for number, value in ((0, 255), (3, 200), (6, 255)):
        save(tmp_path / f"op_{number:05}.png", square(value))
    folder = MaskFolder(tmp_path, open_labels).by_frame(12)
    assert [frame.index for frame in folder.frames()] == [0, 3, 6]
    assert folder.ignored_region(3).sum() == 40
    assert folder.ignored_region(1) is None
    with pytest.raises(InputError, match="one of frame 6, which the video of 5 frames has not"):
        MaskFolder(tmp_path, labels).by_frame(5)


def test_the_only_mask_is_of_the_frame_that_its_number_names(tmp_path, labels):
    save(tmp_path / "00030.png", square(255))
    assert [frame.index for frame in MaskFolder(tmp_path, labels).by_frame(31).frames()] == [30]


def test_masks_of_some_pictures_are_of_those_with_their_numbers(tmp_path, labels):
    """Pictures are often numbered from 1."""
    pictures = [Path(f"frame_{number:04}.jpg") for number in range(1, 13)]
    for name in ("0001", "0004", "0007"):
        save(tmp_path / f"{name}.png", square(255))
    folder = MaskFolder(tmp_path, labels)
    assert [frame.index for frame in folder.by_frame(12, pictures).frames()] == [0, 3, 6]
    assert [frame.index for frame in folder.by_frame(12).frames()] == [1, 4, 7]
    save(tmp_path / "0013.png", square(255))
    with pytest.raises(InputError, match="one of frame 13"):
        MaskFolder(tmp_path, labels).by_frame(12, pictures)


def test_masks_counted_from_one_are_the_first_of_pictures_without_numbers(tmp_path, labels):
    pictures = [Path(f"{letter}.png") for letter in "abcdefghijkl"]
    for name in ("1", "2", "3"):
        save(tmp_path / f"{name}.png", square(255))
    folder = MaskFolder(tmp_path, labels).by_frame(12, pictures)
    assert [frame.index for frame in folder.frames()] == [0, 1, 2]


@pytest.mark.parametrize("first", [0, 4])
def test_a_run_of_masks_is_of_the_pictures_of_its_numbers(tmp_path, labels, first):
    pictures = [Path(f"{number:04}.png") for number in range(first, first + 12)]
    for number in range(first + 1, first + 4):
        save(tmp_path / f"{number:04}.png", square(255))
    folder = MaskFolder(tmp_path, labels).by_frame(12, pictures)
    assert [frame.index for frame in folder.frames()] == [1, 2, 3]


@pytest.mark.parametrize(
    ("names", "count"),
    [
        # As many as frames, however they are numbered.
        (("0000", "0025", "0050"), 3),
        # The beginning of a video, counted from 1.
        (("1", "2", "3"), 12),
        (("17", "18", "19"), 12),
        (("a", "b", "c"), 12),
        (("a1", "b1", "c9"), 12),
    ],
)
def test_other_masks_are_those_of_the_frames_in_order(tmp_path, labels, names, count):
    for name in names:
        save(tmp_path / f"{name}.png", square(255))
    folder = MaskFolder(tmp_path, labels).by_frame(count)
    assert [frame.index for frame in folder.frames()] == [0, 1, 2]
