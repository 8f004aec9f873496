"""Exports to nnU-Net, read back picture by picture."""

import json

import numpy as np
import pytest
from PIL import Image

from pipeline.annotation_set import AnnotationSet
from pipeline.errors import InputError
from pipeline.labels import LabelSet, numbered_class
from tests.conftest import write_set
from tests.pipeline.test_exports import LEFT, RIGHT, SPECK, annotated, export

__all__ = ["annotated"]


def test_nnunet_has_pictures_and_labels_without_gaps(annotated, tmp_path):
    export(annotated, "nnunet", tmp_path / "Dataset501_Small", every=2)
    folder = tmp_path / "Dataset501_Small"
    document = json.loads((folder / "dataset.json").read_text())
    assert document["labels"] == {"background": 0, "Grasper": 1, "Liver": 2}
    assert sorted(document["labels"].values()) == list(range(3))
    labels = sorted((folder / "labelsTr").iterdir())
    assert len(labels) == document["numTraining"] == 6
    for path in labels:
        case = path.name.removesuffix(document["file_ending"])
        with Image.open(folder / "imagesTr" / f"{case}_0000.png") as picture:
            assert (picture.mode, picture.size) == ("RGB", (96, 64))
    with Image.open(folder / "labelsTr" / "small_00002.png") as picture:
        values = np.asarray(picture)
    assert np.array_equal(values == 1, LEFT | SPECK)
    assert np.array_equal(values == 2, RIGHT)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([f"c{number}" for number in range(300)], "has 300 classes, a label map holds at most 255"),
        (["background"], "a class named background, as nnU-Net calls"),
        (["Hook", "ignore"], "a class named ignore, as nnU-Net calls"),
    ],
)
def test_classes_that_cannot_be_told_apart_are_refused(small_video, tmp_path, names, said):
    classes = tuple(numbered_class(number, name) for number, name in enumerate(names, start=1))
    labels = LabelSet(name="x", classes=classes)
    labelled = AnnotationSet(write_set(tmp_path / "a.annset", small_video, labels, ()))
    with pytest.raises(InputError, match=said):
        export(labelled, "nnunet", tmp_path / "out")
    assert not (tmp_path / "out").exists()
