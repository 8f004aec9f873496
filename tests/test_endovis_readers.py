"""EndoVis 2017 and 2018, read from small folders that are laid out as theirs are."""

import json

import numpy as np
import pytest

from overseer.datasets import read_labelled_frames
from pipeline.errors import InputError
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
