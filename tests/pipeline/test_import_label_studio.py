"""Corrections read back from Label Studio's tasks, whose brushes its own SDK packed."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from pipeline.errors import InputError
from pipeline.exports import Selection, export
from pipeline.exports.polygons import outlines
from pipeline.imports.label_studio import unpack_runs
from tests.conftest import rectangle
from tests.corrected_exports import LEFT, NEW, SIZE, WIDER, annotated, assert_changes, read, submit
from tests.pipeline.test_label_studio import brush

__all__ = ["annotated"]


def painted(mask, label, region_id="new1"):
    rgba = np.zeros((*SIZE, 4), int)
    rgba[mask] = (170, 255, 0, 127)
    return {
        "id": region_id,
        "type": "brushlabels",
        "original_width": 96,
        "original_height": 64,
        "value": {"format": "rle", "rle": brush.encode_rle(rgba.ravel()), "brushlabels": [label]},
    }


@pytest.fixture
def tasks(annotated, tmp_path):
    export(Selection(annotation_set=annotated, images="none"), "label-studio", tmp_path / "ls")
    return tmp_path / "ls" / "tasks.json"


def test_accepted_predictions_are_no_corrections(tasks, annotated):
    assert read(submit(tasks), "label-studio", annotated) == {}


def test_tasks_without_annotation_were_not_looked_at(tasks, annotated):
    found = json.loads(tasks.read_text())
    tasks.write_text(json.dumps([task | {"annotations": []} for task in found]))
    assert read(tasks, "label-studio", annotated) == {}


def test_tasks_of_other_videos_are_left_out(tasks, annotated):
    def change(regions, index):
        return [*regions, painted(NEW, "Grasper")] if index == 5 else regions

    other = json.loads(submit(tasks, change).read_text())
    for task in other[1:]:
        task["data"]["video"] = "another operation"
    tasks.write_text(json.dumps(other))
    assert read(tasks, "label-studio", annotated) == {}
    other[0]["data"]["video"] = "another operation"
    tasks.write_text(json.dumps(other))
    with pytest.raises(InputError, match="has no picture of small"):
        read(tasks, "label-studio", annotated)


@pytest.mark.parametrize("kind", ["bitmasklabels", "vectorlabels", "polygon", "rectanglelabels"])
def test_shapes_that_cannot_be_read_are_no_deletions(tasks, annotated, kind):
    def change(regions, index):
        return [region | {"type": kind} for region in regions]

    with pytest.raises(InputError, match=f"a region of type {kind} on frame 0"):
        read(submit(tasks, change), "label-studio", annotated)


@pytest.mark.parametrize(
    "said",
    [
        {"type": "choices", "value": {"choices": ["blurred"]}},
        {"type": "textarea", "value": {"text": ["is it?"]}},
        {"type": "rating", "value": {"rating": 4}},
        {"type": "number", "value": {"number": 4}},
        {"type": "datetime", "value": {"datetime": "2026-11-28"}},
        {"type": "taxonomy", "value": {"taxonomy": [["a", "b"]]}},
        {"type": "relation", "from_id": "track-3", "to_id": "track-7", "direction": "right"},
    ],
)
def test_what_is_said_of_a_picture_is_no_shape(tasks, annotated, said):
    def change(regions, index):
        return [*regions, {"id": "a"} | said]

    assert read(submit(tasks, change), "label-studio", annotated) == {}


def test_what_was_drawn_on_a_turned_picture_is_refused(tasks, annotated):
    def turned_by(degrees):
        def change(regions, index):
            return [region | {"image_rotation": degrees} for region in regions]

        return change

    with pytest.raises(InputError, match="a region of type brushlabels on frame 0 .*is turned"):
        read(submit(tasks, turned_by(180)), "label-studio", annotated)
    assert read(submit(tasks, turned_by(360)), "label-studio", annotated) == {}


def test_corrections_come_from_label_studio(tasks, annotated):
    def change(regions, index):
        liver, *rest = regions
        if index == 1:
            return [liver, painted(WIDER, "Grasper", "track-7")]
        if index == 3:
            rest[0]["value"]["brushlabels"] = ["Liver"]
        if index == 6:
            return rest
        if index == 5:
            return [*regions, painted(NEW, "Grasper")]
        return regions

    assert_changes(
        read(submit(tasks, change), "label-studio", annotated),
        {(1, 7): (1, WIDER), (3, 7): (2, LEFT), (6, 3): None, (5, 9): (1, NEW)},
    )


@pytest.mark.parametrize("named", [{"id": "track-7"}, {"meta": {"text": ["track 7"]}},
                                   {"meta": {"text": "track 7"}}])  # fmt: skip
def test_what_was_drawn_elsewhere_is_of_the_track_that_it_names(tasks, annotated, named):
    def change(regions, index):
        return [regions[0], painted(NEW, "Grasper") | named] if index == 1 else regions

    found = read(submit(tasks, change), "label-studio", annotated)
    assert_changes(found, {(1, 7): (1, NEW)})


def test_a_frame_is_told_by_the_name_of_its_picture_where_nothing_else_does(tasks, annotated):
    def change(regions, index):
        return [regions[0], painted(WIDER, "Grasper", "track-7")] if index == 10 else regions

    submitted = json.loads(submit(tasks, change).read_text())
    for task in submitted:
        del task["data"]["frame_index"]
    tasks.write_text(json.dumps(submitted))
    assert_changes(read(tasks, "label-studio", annotated), {(10, 7): (1, WIDER)})


def test_pixels_that_the_brush_has_hardly_touched_are_painted(tasks, annotated):
    faint = np.zeros((*SIZE, 4), int)
    faint[NEW] = (170, 255, 0, 1)
    region = painted(NEW, "Grasper")
    region["value"]["rle"] = brush.encode_rle(faint.ravel())
    found = read(
        submit(tasks, lambda regions, index: [*regions, region] if index == 5 else regions),
        "label-studio",
        annotated,
    )
    assert_changes(found, {(5, 9): (1, NEW)})


def test_a_mask_that_was_made_a_polygon_is_no_correction(tasks, annotated):
    (ring,) = outlines(LEFT)
    outline = {
        "type": "polygonlabels",
        "value": {
            "points": (ring * 100 / (96, 64)).tolist(),
            "polygonlabels": ["Grasper"],
        },
    }

    def change(regions, index):
        return [regions[0], {"id": "track-7"} | outline] if index == 1 else regions

    assert read(submit(tasks, change), "label-studio", annotated) == {}


def test_a_polygon_in_label_studio_is_in_per_cent(tasks, annotated):
    points = [[25, 25], [75, 25], [75, 75], [25, 75]]
    region = {
        "id": "p",
        "type": "polygonlabels",
        "value": {"points": points, "polygonlabels": ["Grasper"]},
    }
    found = read(
        submit(tasks, lambda regions, index: [*regions, region | {}] if index == 4 else regions),
        "label-studio",
        annotated,
    )
    assert_changes(found, {(4, 9): (1, rectangle(24, 16, 72, 48, SIZE))})


@given(
    arrays(
        np.uint8,
        array_shapes(min_dims=1, max_dims=1, max_side=900),
        elements=st.sampled_from([0, 3, 255]),
    )
)
def test_runs_packed_by_the_sdk_are_unpacked(values):
    packed = brush.encode_rle(values.astype(int))
    assert np.array_equal(unpack_runs(packed, len(values)), values)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"rle": [1, 2, 3], "brushlabels": ["Grasper"]}, "its brush ends too early"),
        ({"rle": [], "brushlabels": ["Grasper"]}, "its brush ends too early"),
        ({"rle": [], "brushlabels": []}, "it needs one label"),
        ({"rle": []}, "it needs one label"),
        ({"rle": [0, 0, 96, 0, 0x38, 0x12], "brushlabels": ["Grasper"]}, "frame 0"),
        ({"rle": "text", "brushlabels": ["Grasper"]}, "frame 0"),
        ({"rle": brush.encode_rle(np.zeros(64 * 96 * 4, int)), "brushlabels": ["Grasper", "Liver"]},
         "it needs one label, and no other"),
        # More runs than there are pixels.
        ({"rle": [0, 0, 96, 0, *brush.encode_rle(np.zeros(64 * 96 * 4 + 9, int))[4:]],
          "brushlabels": ["Grasper"]}, "its brush is damaged"),
        ({"rle": [300], "brushlabels": ["Grasper"]}, "frame 0"),
        ({"rle": brush.encode_rle(np.zeros(64 * 96 * 4, int)), "brushlabels": ["Spleen"]}, "Spleen"),
    ],
)  # fmt: skip
def test_bad_brushes_are_refused(tasks, annotated, value, problem):
    region = {"id": "x", "type": "brushlabels", "value": value}
    submit(tasks, lambda regions, index: [region | {}] if index == 0 else regions)
    with pytest.raises(InputError, match=problem):
        read(tasks, "label-studio", annotated)


@pytest.mark.parametrize("kind", ["brush", "polygon"])
def test_a_region_without_a_label_is_said_to_need_one(tasks, annotated, kind):
    region = {"id": "x", "type": kind, "value": {"rle": []}}
    submit(tasks, lambda regions, index: [region | {}] if index == 0 else regions)
    with pytest.raises(InputError, match=f"{kind} on frame 0 .*it needs one label"):
        read(tasks, "label-studio", annotated)


def test_other_shapes_and_files_of_label_studio_are_refused(tasks, annotated):
    region = {"id": "x", "type": "rectanglelabels", "value": {}}
    with pytest.raises(InputError, match="rectanglelabels on frame"):
        read(submit(tasks, lambda regions, _: [region | {}]), "label-studio", annotated)
    tasks.write_text('[{"image": "a.jpg", "brush": []}]')
    with pytest.raises(InputError, match="JSON export"):
        read(tasks, "label-studio", annotated)


def accepted(tasks, frame, *annotations):
    """Give the task of a frame annotations: (when, regions), later ones in the list."""
    document = json.loads(submit(tasks).read_text())
    (task,) = [task for task in document if task["data"]["frame_index"] == frame]
    task["annotations"] = [
        {"id": number, "result": regions} | ({"updated_at": when} if when else {})
        for number, (when, regions) in enumerate(annotations)
    ]
    tasks.write_text(json.dumps(document))


@pytest.mark.parametrize(
    "times",
    [
        ("2026-11-28T09:00:00.5Z", "2026-11-28T10:00:00.5Z", "2026-11-27T23:00:00.5Z"),
        ("2026-11-28T09:00:00.5Z", "2026-11-28T10:00:00.5Z", None),
        (None, None),
    ],
)
def test_of_several_annotations_the_one_that_was_changed_last_counts(tasks, annotated, times):
    # The second is the last in each case.
    drawn = [painted(mask, "Grasper", "track-7") for mask in (NEW, WIDER, NEW)]
    liver = json.loads(tasks.read_text())[1]["predictions"][0]["result"][0]
    answers = [(when, [liver, mask]) for when, mask in zip(times, drawn, strict=False)]
    accepted(tasks, 1, *answers)
    assert_changes(read(tasks, "label-studio", annotated), {(1, 7): (1, WIDER)})


def test_an_annotation_from_which_everything_was_deleted_is_an_empty_frame(tasks, annotated):
    accepted(tasks, 1, ("2026-11-28T09:00:00.5Z", []))
    assert read(tasks, "label-studio", annotated) == {(1, 3): None, (1, 7): None}


def test_two_annotated_tasks_of_a_frame_are_refused(tasks, annotated):
    """A project into which the tasks were imported twice has them; neither may be lost."""
    document = json.loads(submit(tasks).read_text())
    tasks.write_text(json.dumps([*document, document[3] | {"annotations": []}]))
    assert read(tasks, "label-studio", annotated) == {}
    tasks.write_text(json.dumps([*document, document[3]]))
    with pytest.raises(InputError, match="two annotated tasks of frame 3; delete"):
        read(tasks, "label-studio", annotated)


def test_tasks_that_name_no_video_are_of_this_one(tasks, annotated):
    document = json.loads(
        submit(tasks, lambda regions, index: regions[1:] if index == 1 else regions).read_text()
    )
    for task in document:
        del task["data"]["video"]
    tasks.write_text(json.dumps(document))
    assert read(tasks, "label-studio", annotated) == {(1, 3): None}


@pytest.mark.parametrize(
    "named", [{"id": "track-0"}, {"meta": {"text": ["left of track 3"]}}, {"meta": None}]
)
def test_what_names_no_track_is_new(tasks, annotated, named):
    def change(regions, index):
        return [*regions, painted(NEW, "Grasper") | named] if index == 5 else regions

    assert_changes(read(submit(tasks, change), "label-studio", annotated), {(5, 9): (1, NEW)})


def test_a_polygon_without_end_is_one_sentence(tasks, annotated):
    points = [[1e999, 25], [75, 25], [75, 75]]
    value = {"points": points, "polygonlabels": ["Grasper"]}
    region = {"id": "p", "type": "polygonlabels", "value": value}
    with pytest.raises(InputError, match="is not Label Studio's JSON export .*Infinity"):
        read(submit(tasks, lambda regions, _: [region | {}]), "label-studio", annotated)


def test_tasks_are_read_one_after_the_other(tasks, annotated, monkeypatch):
    submit(tasks)
    # Those of a long video do not fit in memory together.
    monkeypatch.setattr(json, "loads", None)
    monkeypatch.setattr("pipeline.imports.json_entries._PIECE", 100)
    assert read(tasks, "label-studio", annotated) == {}
