"""Corrections read back from COCO's files, which pycocotools reads too."""

import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from pipeline.errors import InputError
from pipeline.exports import Selection
from pipeline.imports import read_changes
from pipeline.masks import encode_mask
from tests.conftest import rectangle
from tests.corrected_exports import (
    LEFT,
    RIGHT,
    SIZE,
    WIDER,
    annotated,
    assert_changes,
    coco,
    entry_of,
    read,
)

__all__ = ["annotated", "coco"]


def test_corrections_come_from_coco(coco):
    document, read_again = coco
    compressed = coco_mask.encode(np.asfortranarray(WIDER, np.uint8))
    compressed["counts"] = compressed["counts"].decode()
    entry_of(document, 1, 7)["segmentation"] = compressed
    entry_of(document, 3, 7)["category_id"] = 2
    document["annotations"].remove(entry_of(document, 6, 3))
    runs = [40 + 64 * 30 - 0, 20, 44, 20, 64 * 96 - (40 + 64 * 30) - 84]
    thin = np.zeros(SIZE, bool)
    thin[40:60, 30:32] = True
    document["annotations"].append(
        {
            "id": 99,
            "image_id": 5,
            "category_id": 1,
            "iscrowd": 0,
            "segmentation": {"size": list(SIZE), "counts": runs},
        }
    )
    assert_changes(
        read_again(),
        {(1, 7): (1, WIDER), (3, 7): (2, LEFT), (6, 3): None, (5, 9): (1, thin)},
    )


def test_coco_files_that_lost_our_fields_are_read_by_names_and_overlap(coco):
    document, read_again = coco
    for entry in document["annotations"]:
        del entry["track_id"]
        entry["image_id"] += 100
    for image in document["images"]:
        del image["frame_index"]
        image["id"] += 100
        image["file_name"] = f"set/frame_{image['file_name']}"
    assert read_again() == {}


def test_new_objects_without_ids_go_on_with_what_they_overlap_most(coco):
    document, read_again = coco
    places = [(2, 20), (2, 40), (3, 39), (3, 79), (5, 20), (6, 41)]
    for frame, left in places:
        document["annotations"].append(
            {
                "id": 1000 + frame + left,
                "image_id": frame,
                "category_id": 1,
                "segmentation": [[left, 2, left + 20, 2, left + 20, 8, left, 8]],
            }
        )
    found = {key: mask for key, (_, mask) in read_again().items()}
    named = {(frame, track): int(mask.any(0).argmax()) for (frame, track), mask in found.items()}
    # Track 9 is away on frame 3, and another one begins there.
    assert named == {(2, 9): 20, (2, 10): 40, (3, 10): 39, (3, 11): 79, (5, 9): 20, (6, 10): 41}


def test_coco_pictures_of_other_videos_are_told_by_their_names(coco):
    document, read_again = coco
    for image in document["images"]:
        del image["video"], image["frame_index"]
        image["file_name"] = f"small_{image['file_name']}"
    of_others = [
        image | {"id": image["id"] + 500, "file_name": image["file_name"].replace("small", "op_2")}
        for image in document["images"]
    ]
    outline = entry_of(document, 1, 3)["segmentation"]
    other = {"id": 77, "image_id": 501, "category_id": 1, "track_id": 3, "segmentation": outline}
    document["images"] += of_others
    document["annotations"].append(other)
    assert read_again() == {}
    for image in document["images"]:
        image["file_name"] = image["file_name"].removeprefix("small_").removeprefix("op_2_")
    with pytest.raises(InputError, match="two pictures of one frame"):
        read_again()
    document["images"] = [image | {"video": "op_2"} for image in of_others]
    document["annotations"] = []
    with pytest.raises(InputError, match="has no picture of small; give what was made of"):
        read_again()


def test_coco_pictures_with_the_name_of_another_video_are_not_of_this_one(coco):
    """Nor where nothing else says so, since a tool has dropped our fields."""
    document, read_again = coco
    for image in document["images"]:
        del image["video"], image["frame_index"]
        image["file_name"] = f"train/op_2_{image['file_name']}"
    with pytest.raises(InputError, match="has no picture of small; give what was made of"):
        read_again()
    for image in document["images"]:
        image["file_name"] = image["file_name"].replace("op_2_", "")
    assert read_again() == {}
    names = [image["file_name"].removeprefix("train/") for image in document["images"]]
    for prefix in ("frame_0", "IMG_", "image"):
        for image, name in zip(document["images"], names, strict=True):
            image["file_name"] = prefix + name
        assert read_again() == {}, prefix


def test_a_coco_polygon_of_two_parts_is_one_object(coco):
    document, read_again = coco
    entry = entry_of(document, 1, 7)
    entry["segmentation"] = [[4, 4, 14, 4, 14, 30, 4, 30], [20, 40, 30, 40, 30, 50, 20, 50]]
    parts = coco_mask.merge(coco_mask.frPyObjects(entry["segmentation"], *SIZE))
    assert_changes(read_again(), {(1, 7): (1, coco_mask.decode(parts) > 0)})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda d: d.pop("images"), "not a file of COCO"),
        (lambda d: d["annotations"][0].update(category_id=9), "frame 0 .*its category 9 is not"),
        (lambda d: d["annotations"][0].update(segmentation=[]), "frame 0 .*a box without a mask"),
        (lambda d: d["annotations"][0].pop("segmentation"), "frame 0 .*a box without a mask"),
        (lambda d: d["annotations"][0].update(image_id=77), "on image 77, which is not among"),
        (lambda d: d["categories"][0].update(name="Spleen"), "class 'Spleen'"),
        (lambda d: d["annotations"][0]["segmentation"].update(size=[4, 4]), "4x4"),
        (lambda d: d["annotations"][0]["segmentation"].update(counts=[5, 5]), "runs"),
        (lambda d: d["annotations"][0]["segmentation"].update(counts="P" * 40), "frame 0"),
        (lambda d: d["annotations"][0].update(segmentation=[[1, 2, 3, 4]]), "three points"),
        (lambda d: d["images"][0].update(frame_index=900), "frame 900"),
        (lambda d: d["images"][0].update(width=48, height=32), "48x32 pixels, the video has 96x64"),
        (lambda d: d["annotations"][0].update(track_id=d["annotations"][1]["track_id"]), "twice"),
    ],
)
def test_bad_coco_files_are_refused(coco, tmp_path, annotated, change, problem):
    document, _ = coco
    change(document)
    (tmp_path / "bad.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=problem) as raised:
        read(tmp_path / "bad.json", "coco", annotated)
    assert "bad.json" in str(raised.value)


@pytest.mark.parametrize(
    "change",
    [
        {"track_id": 2**63},
        {"track_id": 7.5},
        {"track_id": float("nan")},
        {"segmentation": {"size": list(SIZE), "counts": "1"}},
        {"segmentation": {"size": [float("inf"), 3], "counts": "1"}},
        {"segmentation": [[float("inf"), 1, 5, 1, 3, 3]]},
    ],
)
def test_numbers_that_mean_nothing_are_one_sentence(coco, change):
    document, read_again = coco
    document["annotations"][0] |= change
    with pytest.raises(InputError, match="cannot be read"):
        read_again()


def drawn(document, frame, mask, category_id=1, **fields):
    """Append an object as a tool writes it that knows nothing of tracks."""
    compressed = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    compressed["counts"] = compressed["counts"].decode()
    entry = {"id": 999, "image_id": frame, "category_id": category_id, "iscrowd": 0}
    document["annotations"].append(entry | {"segmentation": compressed} | fields)


def test_a_frame_on_which_everything_was_deleted_is_empty(coco):
    document, read_again = coco
    for track_id in (3, 7):
        document["annotations"].remove(entry_of(document, 6, track_id))
    assert_changes(read_again(), {(6, 3): None, (6, 7): None})


def test_a_new_object_that_moves_stays_one_track(coco):
    document, read_again = coco
    places = {frame: rectangle(20 + 8 * frame, 40, 30 + 8 * frame, 60, SIZE) for frame in range(3)}
    for frame, mask in places.items():
        drawn(document, frame, mask & ~RIGHT)
    expected = {(frame, 9): (1, mask & ~RIGHT) for frame, mask in places.items()}
    assert_changes(read_again(), expected)


def test_what_only_touches_a_track_of_another_class_is_new(coco):
    document, read_again = coco
    touching = rectangle(44, 10, 56, 60, SIZE)
    drawn(document, 5, touching)
    document["annotations"].remove(entry_of(document, 5, 3))
    assert_changes(read_again(), {(5, 9): (1, touching), (5, 3): None})


def test_a_class_that_the_set_does_not_know_may_be_listed_if_nothing_has_it(coco):
    document, read_again = coco
    document["categories"].append({"id": 77, "name": "Spleen"})
    assert read_again() == {}


def test_an_id_below_one_is_none(coco):
    document, read_again = coco
    mask = rectangle(20, 40, 30, 60, SIZE)
    drawn(document, 5, mask, track_id=-1)
    assert_changes(read_again(), {(5, 9): (1, mask)})


def test_a_polygon_takes_the_place_of_a_speck(coco):
    document, read_again = coco
    entry_of(document, 2, 8)["segmentation"] = [[0, 56, 4, 56, 4, 60, 0, 60]]
    assert_changes(read_again(), {(2, 8): (1, rectangle(0, 56, 4, 60, SIZE))})


def test_cvat_keeps_the_track_among_its_attributes(coco):
    document, read_again = coco
    mask = rectangle(20, 40, 30, 60, SIZE)
    document["annotations"].remove(entry_of(document, 1, 7))
    drawn(document, 1, mask, attributes={"occluded": False, "track_id": 7.0})
    drawn(document, 5, mask, attributes=None)
    assert_changes(read_again(), {(1, 7): (1, mask), (5, 9): (1, mask)})


def test_the_same_pixels_in_other_runs_are_no_correction(coco):
    document, read_again = coco
    rows = np.flatnonzero(np.diff(LEFT.ravel("F"), prepend=False, append=False))
    counts = np.diff(rows, prepend=0, append=LEFT.size).tolist()
    entry = entry_of(document, 1, 7)
    # The first run in two, with none between them.
    entry["segmentation"] = {"size": list(SIZE), "counts": [counts[0] - 9, 0, 9, *counts[1:]]}
    assert read_again() == {}
    entry["segmentation"]["counts"][-1:] = [counts[-1] - 1, 1]
    corner = LEFT.copy()
    corner[-1, -1] = True
    assert_changes(read_again(), {(1, 7): (1, corner)})


def test_of_a_folder_the_only_json_file_is_read(coco, annotated, tmp_path):
    _, read_again = coco
    assert read_again() == read(tmp_path / "coco", "coco", annotated) == {}
    (tmp_path / "coco" / "annotations").mkdir()
    (tmp_path / "coco" / "annotations" / "instances.json").write_text("{}")
    with pytest.raises(InputError, match="coco holds 2 JSON files; give the corrected one itself"):
        read(tmp_path / "coco", "coco", annotated)
    (tmp_path / "coco" / "annotations.json").rename(
        tmp_path / "coco" / "annotations" / "instances.json"
    )
    assert read(tmp_path / "coco", "coco", annotated) == {}
    (tmp_path / "coco" / "annotations" / "instances.json").unlink()
    with pytest.raises(InputError, match="holds 0 JSON files"):
        read(tmp_path / "coco", "coco", annotated)


def test_masks_that_nobody_changed_are_not_decoded(coco, monkeypatch):
    """A video has ten thousands of them, and decoding took nine tenths of an import's time."""
    document, read_again = coco
    decoded = []
    decode = coco_mask.decode
    monkeypatch.setattr(coco_mask, "decode", lambda rle: decoded.append(rle) or decode(rle))
    entry_of(document, 3, 7)["category_id"] = 2
    assert [place for place, _ in read_again().items()] == [(3, 7)]
    assert len(decoded) < len(document["annotations"])
    assert len({rle["counts"] for rle in decoded}) == 1


def test_what_was_drawn_is_stored_as_all_other_masks_are(coco, annotated, tmp_path):
    """A run of no pixels says nothing, and others write some."""
    document, read_again = coco
    runs = [40 + 64 * 30, 10, 0, 10, 64 * 96 - (40 + 64 * 30) - 20]
    entry_of(document, 1, 7)["segmentation"] = {"size": list(SIZE), "counts": runs}
    read_again()
    (changed,) = [
        track
        for frame in read_changes(tmp_path / "coco", "coco", Selection(annotation_set=annotated))
        for track in frame.tracks
    ]
    bar = np.zeros(SIZE, bool)
    bar[40:60, 30] = True
    assert changed.rle == encode_mask(bar)
