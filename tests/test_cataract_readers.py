"""CaDIS and Cataract-1K, read from small folders that are laid out as theirs are."""

import json

import numpy as np
import pytest

from overseer.datasets import read_labelled_frames
from pipeline.errors import InputError
from tests.small_data import ignored_pixels, picture, polygon, save


def cadis(folder):
    """Pupil in an iris, a phaco handpiece (13) with its handle (21), and a value that II ignores."""
    values = np.full((40, 60), 4, np.uint8)
    values[10:20, 10:20] = 0
    values[25:30, 10:20] = 13
    values[25:30, 20:30] = 21
    values[32:36, 40:50] = 25
    save(folder / "Video05/Images/Video5_frame000090.png", picture())
    save(folder / "Video05/Labels/Video5_frame000090.png", values)


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("cadis-1", {"Pupil": 100, "Iris": 2160, "Instrument": 140}),
        ("cadis", {"Pupil": 100, "Iris": 2160, "Ph. handpiece": 100}),
        ("cadis-3", {"Pupil": 100, "Iris": 2160, "Ph. handpiece": 50, "Ph. handle": 50}),
    ],
)
def test_cadis_is_read_in_each_experiment(tmp_path, layout, expected):
    cadis(tmp_path)
    frames = read_labelled_frames(tmp_path, layout, None, 400)
    (clip,) = frames.clips
    areas = dict.fromkeys(expected, 0)
    for track, mask in clip.masks(0):
        areas[frames.label_set[clip.class_of_track[track]].name] += int(mask.sum())
    assert areas == expected
    assert frames.videos == ("Video05",)


def test_cadis_values_that_are_none_are_named(tmp_path):
    cadis(tmp_path)
    save(tmp_path / "Video05/Labels/Video5_frame000090.png", np.full((40, 60), 36))
    with pytest.raises(InputError, match=r"has the value 36; CaDIS has 0 to 35"):
        read_labelled_frames(tmp_path, "cadis", None, 400)


def supervisely(folder, *objects, size=(40, 60)):
    entries = [
        {"classTitle": name, "points": {"exterior": outline, "interior": holes}}
        for name, outline, holes in objects
    ]
    document = {"size": {"height": size[0], "width": size[1]}, "objects": entries}
    (folder / "ann").mkdir(parents=True)
    (folder / "ann/f1.png.json").write_text(json.dumps(document))
    save(folder / "img/f1.png", picture())


def test_cataract1k_paints_instruments_over_tissues(tmp_path):
    supervisely(
        tmp_path / "case_7",
        ("Spatula", polygon(0, 0, 10, 10), []),
        ("Pupil", polygon(5, 5, 25, 25), [polygon(15, 15, 20, 20)]),
        ("Cornea", polygon(0, 0, 40, 40), []),
    )
    frames = read_labelled_frames(tmp_path, "cataract1k", None, 400)
    (clip,) = frames.clips
    areas = {
        frames.label_set[clip.class_of_track[track]].name: int(mask.sum())
        for track, mask in clip.masks(0)
    }
    assert areas == {"Spatula": 100, "Pupil": 400 - 25 - 25, "Cornea": 1600 - 400 + 25 - 75}
    assert frames.videos == ("case_7",)


def test_cataract1k_files_that_do_not_fit_are_named(tmp_path):
    supervisely(tmp_path / "case_1", ("Spoon", polygon(0, 0, 9, 9), []))
    supervisely(tmp_path / "case_2", ("Lens", polygon(0, 0, 9, 9)[:2], []))
    supervisely(tmp_path / "case_3", ("Lens", polygon(0, 0, 9, 9), []), size=(20, 60))
    supervisely(tmp_path / "case_4", ("Lens", polygon(0, 0, 9, 9), []))
    frames = read_labelled_frames(tmp_path, "cataract1k", None, 400)
    assert frames.videos == ("case_4",)
    spoon, points, size = frames.problems
    assert "case_1/ann/f1.png.json has the class 'Spoon'" in spoon
    assert "fewer than 3 points" in points
    assert "is 60x20, its picture is 60x40" in size


def test_cadis_ignores_what_its_experiment_leaves_out(tmp_path):
    cadis(tmp_path)
    assert ignored_pixels(read_labelled_frames(tmp_path, "cadis", None, 400)) == 40
    assert ignored_pixels(read_labelled_frames(tmp_path, "cadis-1", None, 400)) == 0
