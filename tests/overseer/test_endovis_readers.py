"""EndoVis 2017 and 2018, read from small folders that are laid out as theirs are."""

import json
from dataclasses import replace

import numpy as np
import pytest

from overseer.datasets import read_labelled_frames
from pipeline.errors import InputError
from pipeline.labels import LabelSet, numbered_class
from tests.small_data import picture, save


def endovis(folder):
    values = np.zeros((40, 60, 3), np.uint8)
    values[20:] = (255, 55, 0)
    values[5:15, 5:15] = values[5:15, 40:50] = (0, 255, 0)
    save(folder / "seq_1/left_frames/frame000.png", picture())
    save(folder / "seq_1/labels/frame000.png", values)


def names_of(frames):
    (clip,) = frames.clips
    return sorted(frames.label_set[class_id].name for class_id in clip.class_of_track.values())


def test_endovis18_is_read_by_its_colours(tmp_path):
    endovis(tmp_path)
    frames = read_labelled_frames(tmp_path, "endovis18", None, 400)
    assert names_of(frames) == ["instrument-shaft", "instrument-shaft", "kidney-parenchyma"]
    assert frames.videos == (f"{tmp_path.name}/seq_1",)
    endovis(tmp_path / "train")
    endovis(tmp_path / "test")
    both = read_labelled_frames(tmp_path, "endovis18", None, 400)
    assert {"train/seq_1", "test/seq_1"} <= set(both.videos)


# As the challenge has them; its `labels.json` says the same.
ENDOVIS18 = {
    "background-tissue": (0, 0, 0),
    "instrument-shaft": (0, 255, 0),
    "instrument-clasper": (0, 255, 255),
    "instrument-wrist": (125, 255, 12),
    "kidney-parenchyma": (255, 55, 0),
    "covered-kidney": (24, 55, 125),
    "thread": (187, 155, 25),
    "clamps": (0, 255, 125),
    "suturing-needle": (255, 255, 125),
    "suction-instrument": (123, 15, 175),
    "small-intestine": (124, 155, 5),
    "ultrasound-probe": (12, 255, 141),
}


def test_each_colour_of_endovis18_is_its_class(tmp_path):
    colours = np.array([*ENDOVIS18.values()], np.uint8).reshape(3, 4, 3)
    save(tmp_path / "seq_1/left_frames/frame000.png", picture((24, 32)))
    save(tmp_path / "seq_1/labels/frame000.png", colours.repeat(8, 0).repeat(8, 1))
    frames = read_labelled_frames(tmp_path, "endovis18", None, 400)
    assert {label.id: label.name for label in frames.label_set.classes} == dict(
        enumerate(ENDOVIS18)
    )
    seen = {}
    for track, mask in frames.clips[0].masks(0):
        row, column = np.argwhere(mask).mean(0).astype(int) // 8
        seen[frames.label_set[frames.clips[0].class_of_track[track]].name] = colours[row, column]
    assert {name: tuple(map(int, colour)) for name, colour in seen.items()} == {
        name: colour for name, colour in ENDOVIS18.items() if any(colour)
    }
    stuff = {label.name for label in frames.label_set.classes if label.kind == "stuff"}
    assert stuff == {"kidney-parenchyma", "covered-kidney", "small-intestine"}


def test_endovis18_is_read_with_labels_of_ones_own(tmp_path):
    endovis(tmp_path)
    green = replace(numbered_class(3, "tool"), value=0x00FF00)
    orange = replace(numbered_class(5, "kidney"), value=0xFF3700)
    own = LabelSet(name="own", classes=(green, orange))
    assert names_of(read_labelled_frames(tmp_path, "endovis18", own, 400)) == [
        "kidney",
        "tool",
        "tool",
    ]


def test_endovis18s_own_label_file_comes_first(tmp_path):
    endovis(tmp_path)
    entries = [
        {"name": "nothing", "color": [0, 0, 0], "classid": 0},
        {"name": "kidney", "color": [255, 55, 0], "classid": 2},
        {"name": "tool", "color": [0, 255, 0], "classid": 1},
    ]
    (tmp_path / "labels.json").write_text(json.dumps(entries))
    frames = read_labelled_frames(tmp_path, "endovis18", None, 400)
    assert names_of(frames) == ["kidney", "tool", "tool"]
    assert {label.id: label.kind for label in frames.label_set.classes}[0] == "background"
    (tmp_path / "seq_1/labels.json").write_text("not the first one")
    assert names_of(read_labelled_frames(tmp_path, "endovis18", None, 400)) == names_of(frames)
    (tmp_path / "labels.json").rename(tmp_path / "seq_1/labels.json")
    assert names_of(read_labelled_frames(tmp_path, "endovis18", None, 400)) == names_of(frames)
    (tmp_path / "labels.json").write_text(json.dumps([{"name": "tool"}]))
    with pytest.raises(InputError, match=r"labels.json is not a list of classes"):
        read_labelled_frames(tmp_path, "endovis18", None, 400)


def endovis17(folder):
    """A prograsp forceps of all parts at the left, another at the right, and something else."""
    sequence = folder / "instrument_dataset_1"
    save(sequence / "left_frames/frame000.png", picture())
    values = np.zeros((40, 60), np.uint8)
    values[5:15, 5:10], values[5:15, 10:15], values[5:15, 15:20] = 10, 20, 30
    save(sequence / "ground_truth/Left_Prograsp_Forceps_labels/frame000.png", values)
    save(sequence / "ground_truth/Right_Prograsp_Forceps_labels/frame000.png", values[:, ::-1])
    other = np.zeros((40, 60), np.uint8)
    other[30:35, 30:35] = 40
    save(sequence / "ground_truth/Other_labels/frame000.png", other)
    nothing = np.zeros((40, 60), np.uint8)
    save(sequence / "ground_truth/Maryland_Bipolar_Forceps_labels/frame000.png", nothing)
    return sequence


def test_endovis17_tells_its_instruments_apart(tmp_path):
    endovis17(tmp_path)
    frames = read_labelled_frames(tmp_path, "endovis17", None, 400)
    assert names_of(frames) == ["Other", "Prograsp Forceps", "Prograsp Forceps"]
    assert sorted(int(mask.sum()) for _, mask in frames.clips[0].masks(0)) == [25, 150, 150]
    assert frames.videos == ("instrument_dataset_1",)
    frames = read_labelled_frames(tmp_path, "endovis17-parts", None, 400)
    assert names_of(frames) == ["Claspers"] * 2 + ["Shaft"] * 2 + ["Wrist"] * 2
    clip = frames.clips[0]
    places = {
        (frames.label_set[clip.class_of_track[track]].name, int(mask.any(0).argmax()))
        for track, mask in clip.masks(0)
    }
    assert places == {("Shaft", 5), ("Wrist", 10), ("Claspers", 15)} | {
        ("Shaft", 50),
        ("Wrist", 45),
        ("Claspers", 40),
    }


# The folders of the challenge's eight videos, each with the number of its kind.
ENDOVIS17_FOLDERS = {
    "Maryland_Bipolar_Forceps_labels": 1,
    "Bipolar_Forceps_labels": 1,
    "Right_Prograsp_Forceps_labels": 2,
    "Prograsp_Forceps": 2,
    "Large_Needle_Driver_Left_labels": 3,
    "Left_Large_Needle_Driver_labels": 3,
    "Right_Vessel_Sealer": 4,
    "Grasping_Retractor_labels": 5,
    "Monopolar_Curved_Scissors_labels": 6,
    "Other_labels": 7,
}


def test_each_folder_of_endovis17_is_its_kind_of_instrument(tmp_path):
    sequence = tmp_path / "deep" / "instrument_dataset_5"
    save(sequence / "left_frames/frame000.png", picture())
    for number, folder in enumerate(ENDOVIS17_FOLDERS):
        values = np.zeros((40, 60), np.uint8)
        values[4:10, 6 * number : 6 * number + 4] = 10
        save(sequence / "ground_truth" / folder / "frame000.png", values)
    (sequence / "ground_truth/notes.txt").touch()
    frames = read_labelled_frames(tmp_path, "endovis17", None, 400)
    (clip,) = frames.clips
    found = {int(mask.any(0).argmax()) // 6: clip.class_of_track[t] for t, mask in clip.masks(0)}
    assert [found[number] for number in range(10)] == [*ENDOVIS17_FOLDERS.values()]
    assert [label.name for label in frames.label_set.classes] == [
        "Bipolar Forceps", "Prograsp Forceps", "Large Needle Driver", "Vessel Sealer",
        "Grasping Retractor", "Monopolar Curved Scissors", "Other",
    ]  # fmt: skip


def test_endovis17_without_its_masks_is_said_to_lack_them(tmp_path):
    """As the challenge's test part was given out at first."""
    save(tmp_path / "instrument_dataset_1/left_frames/frame000.png", picture())
    with pytest.raises(InputError, match="has no folder ground_truth with masks beside left_frame"):
        read_labelled_frames(tmp_path, "endovis17", None, 400)


def test_endovis17_folders_that_do_not_fit_are_named(tmp_path, labels):
    sequence = endovis17(tmp_path)
    strange = sequence / "ground_truth/Spoon_labels/frame000.png"
    save(strange, np.full((40, 60), 10))
    with pytest.raises(InputError, match="Spoon_labels names no instrument of EndoVis 2017"):
        read_labelled_frames(tmp_path, "endovis17", None, 400)
    strange.unlink()
    with pytest.raises(InputError, match="has no mask .*Spoon_labels"):
        read_labelled_frames(tmp_path, "endovis17", None, 400)
    strange.parent.rmdir()
    part = sequence / "ground_truth/Left_Prograsp_Forceps_labels/frame000.png"
    save(part, np.full((40, 60), 15))
    with pytest.raises(InputError, match="has the value 15; parts are 10, 20 and 30"):
        read_labelled_frames(tmp_path, "endovis17-parts", None, 400)
    with pytest.raises(InputError, match="leave out --labels"):
        read_labelled_frames(tmp_path, "endovis17", labels, 400)


@pytest.mark.parametrize("layout", ["endovis17", "endovis17-parts"])
def test_endovis17_has_instruments_in_folders_without_labels_in_their_names(tmp_path, layout):
    endovis17(tmp_path)
    whole = read_labelled_frames(tmp_path, layout, None, 400)
    truth = tmp_path / "instrument_dataset_1/ground_truth"
    (truth / "Left_Prograsp_Forceps_labels").rename(truth / "Prograsp_Forceps")
    (truth / ".ds").mkdir()
    frames = read_labelled_frames(tmp_path, layout, None, 400)
    assert names_of(frames) == names_of(whole)
