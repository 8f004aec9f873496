"""YOLO segmentation data, read as its documented rules say."""

import json
import tracemalloc

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.annotation_set import AnnotationSet
from pipeline.errors import UsageError
from pipeline.exports import Selection, Splits, export_several
from pipeline.exports.polygons import filled, one_polygon, outlines
from pipeline.labels import LabelSet, numbered_class
from pipeline.masks import decode_mask
from pipeline.video_writer import VideoWriter
from tests.conftest import annotated_frame, rectangle, write_set

SIZE = (64, 96)
RING = rectangle(50, 10, 80, 60, SIZE) & ~rectangle(60, 20, 70, 30, SIZE)
TWO_PARTS = rectangle(4, 4, 14, 30, SIZE) | rectangle(20, 40, 40, 60, SIZE)


def annotate(folder, name, brightness, labels, frames=3, class_ids=(1, 2)):
    folder.mkdir(exist_ok=True)
    first, second = class_ids
    with VideoWriter(folder / f"{name}.mp4", rate=25, width=96, height=64) as writer:
        for index in range(frames):
            writer.add(np.full((64, 96, 3), brightness + index, np.uint8))
    masks = {f"t1_c{first}": TWO_PARTS, f"t2_c{second}": RING}
    annotated = [annotated_frame(0, **masks)]
    annotated += [annotated_frame(index) for index in range(1, frames)]
    path = write_set(folder / f"{name}.annset", folder / f"{name}.mp4", labels, annotated)
    return Selection(annotation_set=AnnotationSet(path))


@pytest.fixture
def sets(tmp_path, labels):
    return [annotate(tmp_path, f"op{n}", 20 * n, labels) for n in range(5)]


def read_labels(path):
    """Read a label file as training code does: masks by class number."""
    found = []
    for line in path.read_text().splitlines():
        number, *values = line.split()
        assert len(values) >= 6
        shares = np.array(values, np.float32).reshape(-1, 2)
        assert (shares >= 0).all()
        assert (shares <= 1).all()
        canvas = np.zeros(SIZE, np.uint8)
        cv2.fillPoly(canvas, [(shares * SIZE[::-1]).astype(np.int32)], 1)
        found.append((int(number), canvas > 0))
    return found


def iou(first, second):
    return (first & second).sum() / (first | second).sum()


def test_labels_hold_the_masks_with_their_holes_and_parts(sets, tmp_path):
    export_several(sets[:1], "yolo", tmp_path / "out", None)
    (parts_number, parts), (ring_number, ring) = read_labels(
        tmp_path / "out" / "labels" / "train" / "op0_00000.txt"
    )
    assert (parts_number, ring_number) == (0, 1)
    assert np.array_equal(ring, RING)
    assert iou(parts, TWO_PARTS) > 0.97
    losses = json.loads((tmp_path / "out" / "losses.json").read_text())
    assert losses["objects"] == losses["objects_with_holes_or_parts"] == 2
    assert losses["least_iou"] == pytest.approx(iou(parts, TWO_PARTS))


@pytest.mark.parametrize(("name", "is_poor"), [("ring", False), ("specks", True)])
def test_the_command_tells_what_polygons_have_cost(scopeline, sets, tmp_path, name, is_poor):
    """A cut between two parts is a line of pixels, which is much of specks."""
    specks = rectangle(4, 4, 6, 6, SIZE) | rectangle(20, 20, 22, 22, SIZE)
    frames = [annotated_frame(0, t1_c1={"ring": RING, "specks": specks}[name])]
    first = sets[0].annotation_set
    path = write_set(
        tmp_path / f"{name}.annset", first.path.with_suffix(".mp4"), first.label_set, frames
    )
    code, _, err = scopeline("export", path, "--format", "yolo", "--out", tmp_path / name)
    assert code == 0
    ((_, again),) = read_labels(tmp_path / name / "labels" / "train" / "op0_00000.txt")
    expected = f"{iou(again, decode_mask(frames[0].tracks[0].rle)):.3f}"
    assert "1 objects are a polygon each, 1 of them with parts or holes tied to it" in err
    assert f"IoU with their masks {expected} on average, {expected} at least" in err
    assert ("warning" in err) == is_poor


def test_a_yolo_export_without_objects_has_lost_none(scopeline, sets, tmp_path):
    first = sets[0].annotation_set
    path = write_set(
        tmp_path / "none.annset",
        first.path.with_suffix(".mp4"),
        first.label_set,
        [annotated_frame(0)],
    )
    _, _, err = scopeline("export", path, "--format", "yolo", "--out", tmp_path / "none")
    assert "0 objects are a polygon each" in err
    assert "warning" not in err


def test_pictures_and_labels_go_together(sets, tmp_path):
    export_several(sets, "yolo", tmp_path / "out", Splits((0.6, 0.2, 0.2)))
    description = yaml.safe_load((tmp_path / "out" / "data.yaml").read_text())
    assert description["names"] == {0: "Grasper", 1: "Liver"}
    # With one, Ultralytics looks below the folder that it is started in.
    assert "path" not in description
    videos = {}
    for part in ("train", "val", "test"):
        pictures = sorted((tmp_path / "out" / description[part]).iterdir())
        texts = sorted((tmp_path / "out" / "labels" / part).iterdir())
        assert [p.stem for p in pictures] == [t.stem for t in texts]
        assert all(cv2.imread(str(picture)).shape == (64, 96, 3) for picture in pictures)
        videos[part] = {picture.stem.split("_")[0] for picture in pictures}
    assert {part: len(names) for part, names in videos.items()} == {"train": 3, "val": 1, "test": 1}
    assert len(set.union(*videos.values())) == 5


def test_training_code_finds_a_validation_part_in_any_case(sets, tmp_path):
    export_several(sets[:2], "yolo", tmp_path / "out", Splits((1.0, 0.0, 0.0)))
    data = yaml.safe_load((tmp_path / "out" / "data.yaml").read_text())
    assert (data["train"], data["val"]) == ("images/train", "images/train")
    assert "test" not in data


def test_what_the_polygons_lose_is_told(sets, tmp_path):
    export_several(sets[:2], "yolo", tmp_path / "out", Splits())
    losses = json.loads((tmp_path / "out" / "losses.json").read_text())
    assert (losses["objects"], losses["objects_with_holes_or_parts"]) == (4, 4)
    assert 0.9 < losses["least_iou"] < 1
    # The ring comes back whole, the two parts do not.
    assert losses["mean_iou"] == pytest.approx((1 + losses["least_iou"]) / 2)


def test_a_frame_without_objects_has_an_empty_file(sets, tmp_path):
    export_several(sets[:1], "yolo", tmp_path / "out", None)
    assert (tmp_path / "out" / "labels" / "train" / "op0_00001.txt").read_text() == ""


def test_the_order_of_the_sets_does_not_change_the_splits(sets, tmp_path):
    export_several(sets, "yolo", tmp_path / "a", Splits())
    export_several(sets[::-1], "yolo", tmp_path / "b", Splits())
    names = [sorted(p.name for p in (tmp_path / x / "labels/val").iterdir()) for x in "ab"]
    assert names[0] == names[1] != []


@given(arrays(np.bool_, (12, 15)).filter(np.any))
def test_a_polygon_holds_at_least_the_mask(mask):
    polygon = one_polygon(outlines(mask))
    again = filled(polygon, mask.shape)
    assert len(polygon) >= 3
    assert again[polygon[:, 1], polygon[:, 0]].all()
    assert again[mask].all()


@given(st.integers(3, 8), st.integers(3, 8), st.integers(0, 30))
def test_a_mask_with_a_hole_comes_back_exactly(width, height, left):
    mask = rectangle(left, 2, left + width + 8, height + 12, SIZE)
    mask &= ~rectangle(left + 4, 6, left + 4 + width, 6 + height, SIZE)
    assert np.array_equal(filled(one_polygon(outlines(mask)), SIZE), mask)


def test_masks_of_a_set_come_back(sets):
    for frame in sets[0].frames():
        for track in frame.tracks:
            mask = decode_mask(track.rle)
            assert iou(filled(one_polygon(outlines(mask)), SIZE), mask) > 0.97


def test_names_of_classes_may_have_any_characters(tmp_path):
    labels = LabelSet(name="x", classes=(numbered_class(1, "\U0001f600 'Hook': \"é\""),))
    selection = annotate(tmp_path, "op", 0, labels, class_ids=(1, 1))
    export_several([selection], "yolo", tmp_path / "out", None)
    description = yaml.safe_load((tmp_path / "out" / "data.yaml").read_text(encoding="utf-8"))
    assert description["names"] == {0: "\U0001f600 'Hook': \"é\""}


def test_long_outlines_are_tied_in_little_memory():
    ring = np.ones((2160, 3840), bool)
    ring[40:-40, 40:-40] = False
    tracemalloc.start()
    one_polygon(outlines(ring))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1e8


def test_one_video_cannot_be_divided(tmp_path, labels):
    sets = [annotate(tmp_path, "op", 0, labels)]
    with pytest.raises(UsageError, match="a video is never divided: give 2 sets or more"):
        export_several(sets, "yolo", tmp_path / "out", Splits())
