"""Label Studio's tasks, whose masks its own SDK reads back."""

import importlib.util
import json
from importlib.metadata import files
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from pipeline.exports import export
from pipeline.exports.label_studio import pack_runs
from pipeline.masks import decode_mask
from tests.pipeline.test_yolo import annotate


def load_sdk_decoder():
    """Load the one module that reads brushes; the package itself wants an old OpenCV."""
    (module,) = [
        path
        for path in files("label-studio-sdk")
        if path.match("label_studio_sdk/converter/brush.py")
    ]
    spec = importlib.util.spec_from_file_location("brush", module.locate())
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


brush = load_sdk_decoder()


def opacity(runs, size):
    return brush.decode_rle(runs).reshape(*size, 4)[..., 3]


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40)))
def test_packed_runs_are_read_back(mask):
    assert np.array_equal(opacity(pack_runs(mask), mask.shape), 255 * mask)


@given(st.integers(1, 140), st.integers(1, 140), st.booleans())
def test_runs_longer_than_the_code_are_read_back(height, width, value):
    mask = np.full((height, width), value)
    assert np.array_equal(opacity(pack_runs(mask), mask.shape), 255 * mask)


@pytest.fixture
def exported(tmp_path, labels):
    selection = annotate(tmp_path, "op", 40, labels)
    export(selection, "label-studio", tmp_path / "to correct")
    return selection, tmp_path / "to correct"


def test_every_frame_is_a_task_with_its_masks(exported):
    selection, folder = exported
    tasks = json.loads((folder / "tasks.json").read_text())
    frames = list(selection.frames())
    assert [task["data"]["frame_index"] for task in tasks] == [frame.index for frame in frames]
    for task, frame in zip(tasks, frames, strict=True):
        regions = task["predictions"][0]["result"]
        found = brush.decode_from_annotation("brush", [r | r["value"] for r in regions])
        assert len(found) == len(frame.tracks)
        for mask, track, region in zip(found.values(), frame.tracks, regions, strict=True):
            assert np.array_equal(mask > 0, decode_mask(track.rle))
            assert region["meta"] == {"text": [f"track {track.track_id}"]}
            assert region["score"] == track.quality
            assert region["value"]["format"] == "rle"
            assert region["image_rotation"] == 0
    assert {task["predictions"][0]["model_version"] for task in tasks} == {"scopeline"}
    assert [task["data"]["time_s"] for task in tasks] == [frame.time_s for frame in frames]


def test_tasks_refer_to_pictures_and_labels_that_are_there(exported):
    _, folder = exported
    view = ElementTree.parse(folder / "label_config.xml").getroot()
    labels = {label.get("value") for label in view.iter("Label")}
    assert labels == {"Grasper", "Liver"}
    # An annotator's brush has the colours that the overlay has.
    assert {label.get("value"): label.get("background") for label in view.iter("Label")} == {
        "Grasper": "#00ff00",
        "Liver": "#c83c3c",
    }
    picture, brushes = view.find("Image"), view.find("BrushLabels")
    assert picture.get("value") == "$image"
    assert brushes.get("toName") == picture.get("name")
    for task in json.loads((folder / "tasks.json").read_text()):
        place = task["data"]["image"].removeprefix("/data/local-files/?d=to%20correct/")
        assert cv2.imread(str(folder / place)).shape == (64, 96, 3)
        regions = task["predictions"][0]["result"]
        for region in regions:
            assert region["from_name"] == brushes.get("name")
            assert region["to_name"] == picture.get("name")
        assert {label for r in regions for label in r["value"]["brushlabels"]} <= labels
