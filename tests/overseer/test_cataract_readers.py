"""CaDIS and Cataract-1K, read from small folders that are laid out as theirs are."""

import json
from collections import Counter

import numpy as np
import pytest

from overseer.datasets import read_labelled_frames
from pipeline.errors import InputError
from pipeline.labels import LabelSet, numbered_class
from tests.small_data import edited_json, ignored_pixels, picture, polygon, save


def areas_of(frames):
    """Pixels of each class in the only frame."""
    (clip,) = frames.clips
    areas = Counter()
    for track, mask in clip.masks(0):
        areas[frames.label_set[clip.class_of_track[track]].name] += int(mask.sum())
    return areas


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
    assert areas_of(frames) == expected
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
    assert areas_of(frames) == {
        "Spatula": 100,
        "Pupil": 400 - 25 - 25,
        "Cornea": 1600 - 400 + 25 - 75,
    }
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


CADIS_TISSUES = "Pupil, Surgical tape, Hand, Eye retractors, Iris, Skin, Cornea"
# As the authors number them: each class of an experiment with the raw values that it has.
CADIS_NUMBERS = {
    "cadis-1": (f"{CADIS_TISSUES}, Instrument", {7: range(7, 36)}),
    "cadis": (
        f"{CADIS_TISSUES}, Cannula, Cap. cystotome, Tissue forceps, Primary knife, Ph. handpiece, "
        "Lens injector, I/A handpiece, Secondary knife, Micromanipulator, Cap. forceps",
        {
            7: (7, 8, 10, 20, 27, 32), 8: (9, 22), 9: (11, 33), 10: (12, 28), 11: (13, 21),
            12: (14, 24), 13: (15, 18), 14: (16, 23), 15: (17,), 16: (19,),
        },
    ),
    "cadis-3": (
        f"{CADIS_TISSUES}, Hydro. cannula, Visc. cannula, Cap. cystotome, Rycroft cannula, "
        "Bonn forceps, Primary knife, Ph. handpiece, Lens injector, I/A handpiece, "
        "Secondary knife, Micromanipulator, I/A handle, Cap. forceps, R. cannula handle, "
        "Ph. handle, Cystotome handle, Sec. knife handle, Lens injector handle",
        {number: (number,) for number in range(7, 25)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("layout", CADIS_NUMBERS)
def test_each_raw_value_of_cadis_is_the_class_that_its_experiment_says(tmp_path, layout):
    folder = tmp_path / "deep" / "Video01"
    save(folder / "Images/a.png", picture((24, 24)))
    raw = np.kron(np.arange(36).reshape(6, 6), np.ones((4, 4), int))
    save(folder / "Labels/a.png", raw)
    frames = read_labelled_frames(tmp_path, layout, None, 400)
    names, instruments = CADIS_NUMBERS[layout]
    numbered = dict(enumerate(names.split(", ")))
    values = {number: (number,) for number in range(7)} | instruments
    assert {label.id: label.name for label in frames.label_set.classes} == numbered
    found = {number: set() for number in numbered}
    (clip,) = frames.clips
    for track, mask in clip.masks(0):
        found[clip.class_of_track[track]] |= set(raw[mask].tolist())
    assert found == {number: set(values[number]) for number in numbered}
    assert ignored_pixels(frames) == 16 * (36 - sum(map(len, values.values())))


def test_cadis_takes_no_labels_of_others(tmp_path):
    cadis(tmp_path)
    other = LabelSet(name="other", classes=(numbered_class(1, "Lens"),))
    with pytest.raises(InputError, match="leave out --labels"):
        read_labelled_frames(tmp_path, "cadis", other, 400)


CATARACT1K = [
    "Cornea", "Pupil", "Lens", "Slit Knife", "Gauge", "Capsulorhexis Cystotome", "Spatula",
    "Phacoemulsification Tip", "Irrigation-Aspiration", "Lens Injector", "Incision Knife",
    "Katena Forceps", "Capsulorhexis Forceps",
]  # fmt: skip


def test_the_classes_of_cataract1k_are_numbered_as_its_authors_do(tmp_path):
    places = [(4 * number, 0, 4 * number + 4, 4) for number in range(len(CATARACT1K))]
    outlines = [(name, polygon(*place), []) for name, place in zip(CATARACT1K, places, strict=True)]
    supervisely(tmp_path / "deep" / "case_1", *outlines)
    frames = read_labelled_frames(tmp_path, "cataract1k", None, 400)
    assert {label.id: label.name for label in frames.label_set.classes} == dict(
        enumerate(CATARACT1K, 1)
    )
    assert {label.name for label in frames.label_set.classes if label.kind == "stuff"} == {
        "Cornea",
        "Pupil",
        "Lens",
    }
    assert areas_of(frames) == dict.fromkeys(CATARACT1K, 16)


def test_what_some_cases_of_cataract1k_call_otherwise_is_the_same_class(tmp_path):
    supervisely(
        tmp_path / "case_2",
        ("pupil1", polygon(5, 5, 25, 25), []),
        ("cornea1", polygon(0, 0, 40, 40), []),
        ("Lens", [[10, 10], [21, 10], [10, 21]], []),
    )
    with edited_json(tmp_path / "case_2/ann/f1.png.json") as document:
        for entry in document["objects"]:
            del entry["points"]["interior"]
    frames = read_labelled_frames(tmp_path, "cataract1k", None, 400)
    areas = areas_of(frames)
    assert areas.total() == 1600 and areas["Cornea"] == 1200
    assert areas["Lens"] == pytest.approx(60, abs=8)


def test_cataract1k_is_read_with_labels_of_ones_own(tmp_path):
    own = LabelSet(name="own", classes=(numbered_class(4, "pupil1"), numbered_class(9, "Hook")))
    for case in ("case_1", "case_2", "case_3"):
        outlines = ("Hook", polygon(0, 0, 9, 9), []), ("pupil1", polygon(20, 20, 24, 24), [])
        supervisely(tmp_path / case, *outlines)
    (tmp_path / "case_2/ann/f1.png.json").write_text('{"size": {"height": 40, "width": 60}}')
    (tmp_path / "case_3/ann/f1.png.json").write_text("[]")
    frames = read_labelled_frames(tmp_path, "cataract1k", own, 400)
    assert (frames.videos, areas_of(frames)) == (
        ("case_1",),
        {"Hook": 81, "pupil1": 16},
    )
    assert all("is no Supervisely file" in problem for problem in frames.problems)
