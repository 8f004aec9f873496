"""Exports to CVAT, decoded here as CVAT documents them."""

from xml.etree import ElementTree

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.exports.cvat import row_runs
from pipeline.masks import decode_mask
from tests.pipeline.test_exports import SIZE, annotated, export

__all__ = ["annotated"]


def cvat_mask(entry):
    """Decode a mask as CVAT documents it: runs row by row within its box, outside first."""
    width, height = int(entry.get("width")), int(entry.get("height"))
    runs = [int(run) for run in entry.get("rle").split(",")]
    pixels = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    mask = np.zeros(SIZE, bool)
    left, top = int(entry.get("left")), int(entry.get("top"))
    mask[top : top + height, left : left + width] = pixels
    return mask


def cvat_shapes(path):
    """Read shapes as CVAT does: of a track that begins with a mask, it keeps the first entry."""
    for track in ElementTree.parse(path).getroot().findall("track"):
        entry = next(entry for entry in track if entry.get("keyframe") == "1")
        yield track.get("label"), entry


def test_cvat_gets_every_mask_with_its_track(annotated, tmp_path):
    export(annotated, "cvat", tmp_path / "cvat.xml")
    root = ElementTree.parse(tmp_path / "cvat.xml").getroot()
    assert root.findtext("version") == "1.1"
    assert root.findtext("meta/task/mode") == "interpolation"
    assert [label.findtext("name") for label in root.iter("label")] == ["Grasper", "Liver"]
    assert {label.findtext("attributes/attribute/name") for label in root.iter("label")} == {
        "track_id"
    }
    true = {
        (track.track_id, track.class_id, frame.index): decode_mask(track.rle)
        for frame in annotated.frames()
        for track in frame.tracks
    }
    class_ids = {"Grasper": 1, "Liver": 2}
    for name, entry in cvat_shapes(tmp_path / "cvat.xml"):
        track_id = int(entry.find("attribute[@name='track_id']").text)
        key = (track_id, class_ids[name], int(entry.get("frame")))
        assert np.array_equal(cvat_mask(entry), true.pop(key))
        assert entry.get("outside") == "0"
    assert not true


def test_a_mask_in_cvat_is_outside_on_the_next_exported_frame(annotated, tmp_path):
    export(annotated, "cvat", tmp_path / "cvat.xml", every=4, classes=("Grasper",))
    root = ElementTree.parse(tmp_path / "cvat.xml").getroot()
    frames = [
        [(int(entry.get("frame")), entry.get("outside")) for entry in track.findall("mask")]
        for track in root.findall("track")
    ]
    assert frames == [[(0, "0"), (4, "1")], [(4, "0"), (8, "1")]]


def test_behind_the_last_frame_nothing_is_said(annotated, tmp_path):
    export(annotated, "cvat", tmp_path / "cvat.xml", every=5)
    root = ElementTree.parse(tmp_path / "cvat.xml").getroot()
    frames = [[int(mask.get("frame")) for mask in track] for track in root.findall("track")]
    assert sorted(frames) == [[0, 5], [0, 5], [10], [10]]


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_runs_of_rows_give_the_mask_back(mask):
    runs = row_runs(mask)
    assert sum(runs) == mask.size
    assert np.array_equal(np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(mask.shape), mask)
    assert all(run > 0 for run in runs[1:])
