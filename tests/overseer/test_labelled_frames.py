"""How pictures and their instances become frames, and what becomes of those that do not."""

import json
from pathlib import Path

import numpy as np
import pytest

from overseer.datasets import read_labelled_frames
from overseer.datasets.labelled_frames import FrameReading, clip_of_instances, gather_readings
from pipeline.errors import InputError
from pipeline.labelled_clip import IGNORED
from pipeline.labels import LabelClass, LabelSet, numbered_class
from tests.conftest import assert_left_out, rectangle
from tests.small_data import picture, save

SIZE = (80, 120)
WHOLE = rectangle(0, 0, 120, 80, SIZE)


def clip(*instances, longest_side=30):
    return clip_of_instances(np.zeros((*SIZE, 3), np.uint8), instances, longest_side)


def test_a_shrunk_pixel_is_of_an_instance_that_covers_half_of_it():
    left = rectangle(0, 0, 42, 80, SIZE)
    # The middle of each pixel of the smaller picture, and a quarter of it.
    dots = np.zeros(SIZE, bool)
    for row, column in np.ndindex(2, 2):
        dots[1 + row :: 4, 1 + column :: 4] = True
    small = clip((1, left), (2, dots))
    assert small.images.shape == (1, 20, 30, 3)
    assert small.class_of_track == {1: 1}
    assert np.array_equal(small.track_maps[0] == 1, rectangle(0, 0, 11, 20, (20, 30)))


def test_pictures_that_are_small_enough_stay_as_they_are():
    mask = rectangle(3, 5, 8, 9, SIZE)
    same = clip((4, mask), longest_side=120)
    assert same.images.shape == (1, *SIZE, 3)
    assert same.class_of_track == {1: 4}
    assert np.array_equal(same.track_maps[0] == 1, mask)


def test_what_comes_later_lies_over_what_came_before():
    upper = rectangle(0, 0, 120, 40, SIZE)
    right = rectangle(60, 0, 120, 80, SIZE)
    both = clip((1, WHOLE), (None, upper), (2, right))
    assert both.class_of_track == {1: 1, 2: 2}
    (found,) = both.track_maps
    assert (found[:10, :15] == IGNORED).all()
    assert (found[:, 15:] == 2).all()
    assert (found[10:, :15] == 1).all()


def test_what_is_wholly_hidden_is_no_instance():
    """Such as an outline that a file has twice."""
    twice = clip((1, rectangle(0, 0, 40, 40, SIZE)), (1, rectangle(0, 0, 40, 40, SIZE)))
    assert list(twice.class_of_track.values()) == [1]
    assert len(list(twice.masks(0))) == 1


def test_what_is_too_thin_for_the_smaller_picture_is_ignored_and_no_background():
    thread = rectangle(0, 41, 120, 42, SIZE)
    (found,) = clip((2, rectangle(0, 0, 60, 80, SIZE)), (1, thread)).track_maps
    assert (found[:, :15] == 1).all()
    assert (found[10, 15:] == IGNORED).all()
    assert np.count_nonzero(found[:, 15:]) == 15


def reading(name, result):
    def read():
        if isinstance(result, Exception):
            raise result
        return result

    return FrameReading(path=Path(name), video="op", read=read)


def test_what_is_outlined_as_background_is_no_instance():
    """As tools for outlines have it, that want every pixel to be of something."""
    background = LabelClass(id=0, name="none", kind="background", color=(0, 0, 0), value=0)
    label_set = LabelSet(name="tools", classes=(background, numbered_class(1, "tool")))
    tool, hole = rectangle(0, 0, 60, 80, SIZE), rectangle(20, 20, 40, 40, SIZE)
    instances = ((0, WHOLE), (1, tool), (0, hole))
    readings = [reading("a.png", clip(*instances)), reading("b.png", clip(*instances[:1]))]
    some, none = gather_readings(Path("data"), readings, label_set, wanted="picture").clips
    assert list(some.class_of_track.values()) == [1]
    ((_, mask),) = some.masks(0)
    assert mask.sum() == 15 * 20 - 5 * 5
    assert none.class_of_track == {}
    assert not none.track_maps.any()


@pytest.mark.parametrize("error", [IndexError("out of\n range"), ZeroDivisionError(), OSError("?")])
def test_whatever_is_wrong_with_a_frame_costs_that_frame_alone(labels, error):
    readings = [
        reading("a.png", clip((1, WHOLE))),
        reading("b.png", error),
        reading("c.png", InputError("c.png is no picture; remove it")),
        reading("d.png", clip((2, WHOLE))),
    ]
    frames = gather_readings(Path("data"), readings, labels, wanted="picture")
    assert [path.name for path in frames.paths] == ["a.png", "d.png"]
    reason = " ".join(str(error).split()) or "ZeroDivisionError"
    said = f"b.png has labels that cannot be read ({reason}); repair them"
    assert_left_out(frames, [said, "c.png is no picture; remove it"])
    with pytest.raises(InputError, match=r"data has no frame to learn from: b\.png has labels"):
        gather_readings(Path("data"), readings[1:3], labels, wanted="picture")
    with pytest.raises(InputError, match="^data holds no picture; check the folder, or --layout$"):
        gather_readings(Path("data"), [], labels, wanted="picture")


def test_an_outline_whose_last_point_lacks_a_coordinate_is_left_out(tmp_path):
    outlines = [[0, 0, 10, 0, 10, 10], [0, 0, 10, 0, 10, 10, 5]]
    for number in range(2):
        save(tmp_path / f"op_{number}.png", picture())
    document = {
        "images": [{"id": n, "file_name": f"op_{n}.png"} for n in range(2)],
        "categories": [{"id": 1, "name": "tool"}],
        "annotations": [
            {"id": n, "image_id": n, "category_id": 1, "segmentation": [outline]}
            for n, outline in enumerate(outlines)
        ],
    }
    (tmp_path / "coco.json").write_text(json.dumps(document))
    frames = read_labelled_frames(tmp_path, "coco", None, 400)
    assert [path.name for path in frames.paths] == ["op_0.png"]
    assert_left_out(frames, ["coco.json has a mask that cannot be read in annotation 1"])
