import json

import cv2
import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.labels import (
    CADIS,
    CHOLECSEG8K,
    LabelClass,
    LabelSet,
    default_color,
    joined,
    load_label_set,
    numbered_class,
    unnamed_label_set,
    voc_color,
)


def test_cholecseg8k_has_the_published_watershed_values():
    values = {label.name: label.value for label in CHOLECSEG8K.classes}
    assert len(CHOLECSEG8K.classes) == 13
    assert values["Grasper"] == 31
    assert values["L-hook electrocautery"] == 32
    assert values["Liver ligament"] == 5
    assert [label.id for label in CHOLECSEG8K.foreground] == list(range(1, 13))
    assert not CHOLECSEG8K.is_stuff(5)
    assert CHOLECSEG8K.is_stuff(2)


def test_the_first_colours_are_well_apart():
    """As eyes see them, by CIELAB, whose unit is about what can just be told apart."""
    colors = np.float32([[default_color(number) for number in range(18)]]) / 255
    (seen,) = cv2.cvtColor(colors, cv2.COLOR_RGB2Lab)
    distances = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
    assert distances[np.triu_indices(18, 1)].min() > 49
    assert seen[:, 0].min() > 35
    assert len({default_color(number) for number in range(256)}) == 256


def test_colours_that_others_know_stay():
    by_name = {label.name: label.color for label in (*CHOLECSEG8K.classes, *CADIS.classes)}
    assert by_name["Liver"] == (255, 114, 114)
    assert by_name["Gallbladder"] == (255, 160, 165)
    assert by_name["Pupil"] == (128, 0, 0)
    assert by_name["Instrument"] == (64, 0, 0)
    # Of DAVIS, as its pictures have them.
    assert [voc_color(number) for number in range(4)] == [
        (0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0)
    ]  # fmt: skip


def test_json_keeps_everything(labels):
    assert LabelSet.from_json(json.loads(json.dumps(labels.to_json())), "memory") == labels


def test_a_file_with_the_least_that_is_needed(tmp_path):
    path = tmp_path / "labels.json"
    path.write_text('{"classes": [{"id": 3, "name": "Needle"}]}')
    label = load_label_set(path)[3]
    assert (label.kind, label.value, label.color) == ("thing", 3, default_color(3))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("not json", "cannot be read as JSON"),
        ('{"classes": [{"name": "no id"}]}', "is not a label set"),
        ('{"classes": [{"id": 1, "name": "a", "kind": "odd"}]}', "kind 'odd'"),
        ('{"classes": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}', "two classes with id 1"),
        ("[1, 2]", "is not a label set"),
        ('{"classes": [{"id": -1, "name": "a"}]}', "id below 0"),
        ('{"classes": [{"id": 1, "name": "a", "color": [0, 300, 0]}]}', "beyond 0 to 255"),
    ],
)
def test_a_bad_file_is_named_with_its_problem(tmp_path, text, problem):
    path = tmp_path / "labels.json"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        load_label_set(path)
    assert str(path) in str(caught.value)
    assert problem in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        load_label_set(tmp_path / "none.json")


def test_an_unknown_class_is_a_key_error(labels):
    assert 7 not in labels
    with pytest.raises(KeyError, match="no class 7"):
        labels[7]
    with pytest.raises(KeyError, match="its ids are"):
        labels["Grasper"]


def test_without_labels_each_value_is_a_class():
    found = unnamed_label_set([0, 255, 3, 3])
    assert [label.id for label in found.classes] == [3, 255]
    assert isinstance(found.classes[0], LabelClass)


def test_names_may_have_spaces_of_all_kinds():
    assert numbered_class(1, "Cystic\xa0duct\u200b").name == "Cystic\xa0duct\u200b"


@pytest.mark.parametrize("name", ["a\u0001b", "\ud800", "two\nlines"])
def test_names_that_no_file_could_hold_are_refused(tmp_path, name):
    path = tmp_path / "labels.json"
    path.write_text(json.dumps({"name": "l", "classes": [{"id": 1, "name": name}]}))
    with pytest.raises(InputError, match="cannot be printed"):
        load_label_set(path)


def test_classes_of_another_set_are_added_under_new_ids_and_free_values(labels):
    other = LabelSet(
        name="other",
        classes=(
            LabelClass(id=0, name="Ground", kind="background", color=(0, 0, 0), value=0),
            numbered_class(2, "Grasper"),
            LabelClass(id=7, name="Hook", kind="thing", color=(0, 0, 255), value=90),
            LabelClass(id=8, name="Fat", kind="stuff", color=(9, 9, 9), value=40),
        ),
    )
    both, ids = joined(labels, other)
    assert ids == {2: 1, 7: 3, 8: 4}
    assert [label.name for label in both.classes] == ["Nothing", "Grasper", "Liver", "Hook", "Fat"]
    # 90 is the liver's.
    assert [label.value for label in both.classes] == [0, 255, 90, 1, 40]
    assert joined(labels, labels) == (labels, {0: 0, 1: 1, 2: 2})
