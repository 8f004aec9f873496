"""`scopeline data check`."""

import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest

from tests.small_data import picture, save, two_graspers_on_liver


@pytest.fixture
def data_set(tmp_path, labels):
    for name in "abcde":
        save(tmp_path / f"data/images/{name}.png", picture())
        save(tmp_path / f"data/masks/{name}.png", two_graspers_on_liver())
    (tmp_path / "labels.json").write_text(json.dumps(labels.to_json()))
    return tmp_path / "data"


def check(scopeline, data_set, *more):
    sheet = data_set.parent / "sheet.png"
    labels = data_set.parent / "labels.json"
    return scopeline("data", "check", data_set, "--labels", labels, "--sheet", sheet, *more)


def test_a_sound_data_set_is_counted_and_shown(scopeline, data_set):
    code, out, err = check(scopeline, data_set, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert (found["frames"], found["videos"], found["instances"]) == (5, 1, 15)
    assert found["classes"]["Grasper"] == {"frames": 5, "instances": 10}
    sheet = cv2.imread(found["sheet"])
    assert sheet.shape == (2 * 213, 4 * 320, 3)
    assert sheet[220:, 330:].max() == 0  # the fifth frame is alone in its row


def test_damaged_frames_are_named_and_the_rest_is_shown(scopeline, data_set):
    (data_set / "masks/c.png").write_bytes(b"no picture")
    code, out, err = check(scopeline, data_set)
    assert code == 1
    assert "frames: 4, videos: 1, instances: " in out
    assert "left out: " in err
    assert "c.png is not a readable mask" in err


def test_a_second_check_replaces_the_sheet(scopeline, data_set):
    check(scopeline, data_set)
    code, _, err = check(scopeline, data_set)
    assert code == 0, err
    assert not list(data_set.parent.glob(".sheet*"))


def test_a_picture_that_is_no_sheet_is_not_written_over(scopeline, data_set):
    for name in ("sheet.png", "notes.txt"):
        other = data_set.parent / name
        save(data_set.parent / "sheet.png", picture())
        (data_set.parent / "notes.txt").write_text("mine")
        before = other.read_bytes()
        code, _, err = check(scopeline, data_set, "--sheet", other)
        assert code == 1
        assert f"{name} exists already and is no sheet of `data check`; remove it" in err
        assert other.read_bytes() == before


def test_a_folder_of_another_layout_is_one_sentence(scopeline, data_set):
    code, _, err = check(scopeline, data_set, "--layout", "coco")
    assert code == 1
    assert "has no COCO file" in err
    code, _, err = check(scopeline, data_set, "--layout", "photos")
    assert code == 2
    assert "unknown layout photos" in err


def test_what_the_labels_leave_open_is_said(scopeline, data_set, labels):
    open_liver = replace(labels, classes=labels.classes[:2], ignored_values=(90,))
    (data_set.parent / "labels.json").write_text(json.dumps(open_liver.to_json()))
    # Half of the picture, and a pixel of 2,400 beside the graspers.
    assert json.loads(check(scopeline, data_set, "--json")[1])["ignored"] == 0.5004
    assert "50.0% of the pixels are ignored" in check(scopeline, data_set)[2]


def test_the_split_that_training_would_make_is_shown(scopeline, data_set):
    code, _, err = check(scopeline, data_set)
    assert code == 0
    assert "no split: " in err
    assert "holds frames of one video only (data)" in err
    for video in ("op1", "op2"):
        for kind in ("images", "masks"):
            (data_set / video / kind).mkdir(parents=True)
            name = {"op1": "a", "op2": "b"}[video]
            (data_set / kind / f"{name}.png").rename(data_set / video / kind / f"{name}.png")
    picture_in_op2 = data_set / "op2/images/b.png"
    save(picture_in_op2, picture() + 1)
    for kind in ("images", "masks"):
        shutil.rmtree(data_set / kind)
    _, out, _ = check(scopeline, data_set, "--json")
    split = json.loads(out)["split"]
    assert sorted([*split["training"], *split["validation"]]) == ["op1", "op2"]
    _, _, err = check(scopeline, data_set)
    assert "training: 1 frames, op" in err
    assert "validation: 1 frames, op" in err


@pytest.fixture
def cadis(tmp_path):
    """A frame of each of CaDIS' videos, laid out as it is published."""
    for number in range(1, 26):
        folder = tmp_path / f"CaDISv2/Video{number:02}"
        name = f"Video{number}_frame000090.png"
        save(folder / "Images" / name, picture() + number)
        save(folder / "Labels" / name, np.full((40, 60), number % 7))
    return tmp_path / "CaDISv2"


CADIS_SPLIT = (
    *("--validation-videos", "Video05,Video07,Video16"),
    *("--leave-out-videos", "Video02,Video12,Video22"),
)


def test_the_published_split_of_cadis_can_be_named(scopeline, cadis, tmp_path):
    command = ("data", "check", cadis, "--layout", "cadis", "--sheet", tmp_path / "sheet.png")
    code, out, err = scopeline(*command, *CADIS_SPLIT, "--json")
    assert code == 0, err
    split = json.loads(out)["split"]
    assert split["validation"] == {"Video05": 1, "Video07": 1, "Video16": 1}
    assert split["left_out"] == {"Video02": 1, "Video12": 1, "Video22": 1}
    assert len(split["training"]) == 19
    _, _, err = scopeline(*command, *CADIS_SPLIT)
    assert "validation: 3 frames, Video05 (1), Video07 (1), Video16 (1)" in err
    assert "left out: 3 frames, Video02 (1), Video12 (1), Video22 (1)" in err


def test_why_the_last_video_that_is_not_left_out_is_not_divided_is_said(scopeline, cadis, tmp_path):
    command = ("data", "check", cadis, "--layout", "cadis", "--sheet", tmp_path / "sheet.png")
    others = ",".join(f"Video{number:02}" for number in range(2, 26))
    _, _, err = scopeline(*command, "--leave-out-videos", others)
    assert "one video only (Video01) beside those that are left out, and a split never" in err


def test_videos_that_are_not_there_are_wrong_use(scopeline, cadis, tmp_path):
    command = ("data", "check", cadis, "--layout", "cadis", "--sheet", tmp_path / "sheet.png")
    code, _, err = scopeline(*command, "--validation-videos", "Video5")
    assert code == 2
    assert "has no video 'Video5'; name some of Video01, Video02, Video03" in err
    code, _, err = scopeline(*command, *CADIS_SPLIT, "--validation-split", 0.2)
    assert code == 2
    assert "only one of --validation-split and --validation-videos" in err
    assert not (tmp_path / "sheet.png").exists()


def test_videos_are_named_where_there_is_no_split(scopeline, data_set):
    code, out, _ = check(scopeline, data_set, "--json")
    assert (code, json.loads(out)["frames_of_videos"]) == (0, {"data": 5})
    assert "videos: 5 frames, data (5)" in check(scopeline, data_set)[2]
