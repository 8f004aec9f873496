"""A small set of known masks, exported to be corrected, and read back."""

import json
from contextlib import redirect_stdout
from io import StringIO

import numpy as np
import pytest
from pycocotools.coco import COCO

from pipeline.annotation_set import AnnotationSet
from pipeline.exports import Selection, export
from pipeline.imports import read_changes
from pipeline.masks import decode_mask
from pipeline.records import Origin
from tests.conftest import annotated_frame, rectangle, write_set

SIZE = (64, 96)
LEFT = rectangle(4, 4, 14, 30, SIZE)
RIGHT = rectangle(50, 10, 80, 60, SIZE) & ~rectangle(60, 20, 70, 30, SIZE)
SPECK = rectangle(0, 60, 1, 61, SIZE)
WIDER = rectangle(4, 4, 20, 34, SIZE)
NEW = rectangle(30, 40, 44, 60, SIZE)


@pytest.fixture
def annotated(small_video, labels):
    """Track 3 is a liver, 7 a grasper that is away on frames 4 and 5, 8 a speck on frame 2."""
    frames = [annotated_frame(index, **tracks_of(index)) for index in range(12)]
    return AnnotationSet(
        write_set(small_video.parent / "small.annset", small_video, labels, frames)
    )


def tracks_of(index):
    tracks = {"t3_c2": RIGHT}
    if index not in (4, 5):
        tracks["t7_c1"] = LEFT
    if index == 2:
        tracks["t8_c1"] = SPECK
    return tracks


def read(path, format_name, annotated, **options):
    """Changed tracks by frame and track: (class, mask), or None where deleted."""
    selection = Selection(annotation_set=annotated, **options)
    found = {}
    for frame in read_changes(path, format_name, selection):
        for track in frame.tracks:
            assert track.origin is Origin.HUMAN
            mask = decode_mask(track.rle)
            found[frame.index, track.track_id] = (track.class_id, mask) if mask.any() else None
    return found


def assert_changes(found, expected):
    assert set(found) == set(expected)
    for key, change in expected.items():
        assert (found[key] is None) == (change is None), key
        if change is not None:
            assert found[key][0] == change[0], key
            assert np.array_equal(found[key][1], change[1]), key


@pytest.fixture
def coco(annotated, tmp_path):
    export(Selection(annotation_set=annotated, images="none"), "coco", tmp_path / "coco")
    path = tmp_path / "coco" / "annotations.json"
    document = json.loads(path.read_text())

    def read_again():
        path.write_text(json.dumps(document))
        with redirect_stdout(StringIO()):
            COCO(str(path))
        return read(path, "coco", annotated)

    return document, read_again


def entry_of(document, frame, track_id):
    return next(
        entry
        for entry in document["annotations"]
        if (entry["image_id"], entry["track_id"]) == (frame, track_id)
    )


def submit(path, change=lambda regions, index: regions):
    """Let an annotator accept each prediction after a change, as Label Studio exports it."""
    tasks = json.loads(path.read_text())
    for task in tasks:
        regions = change(task["predictions"][0]["result"], task["data"]["frame_index"])
        for region in regions:
            region["id"] += "#abc"
        task["annotations"] = [
            {"id": 1, "was_cancelled": True, "result": []},
            {"id": 2, "was_cancelled": False, "result": regions},
        ]
    path.write_text(json.dumps(tasks))
    return path
