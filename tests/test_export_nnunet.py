"""nnU-Net's raw data set: which classes it can be given."""

import pytest

from pipeline.annotation_set import AnnotationSet
from pipeline.errors import InputError
from pipeline.exports import Selection, export
from pipeline.labels import LabelSet, numbered_class
from tests.conftest import write_set


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
    annotated = AnnotationSet(write_set(tmp_path / "a.annset", small_video, labels, ()))
    with pytest.raises(InputError, match=said):
        export(Selection(annotation_set=annotated), "nnunet", tmp_path / "out")
    assert not (tmp_path / "out").exists()
