"""COCO's files: polygons and runs are read, crowds are ignored, videos keep their names."""

import json

import numpy as np
import pytest

from overseer.datasets import read_labelled_frames
from pipeline.errors import InputError
from pipeline.masks import encode_mask
from tests.conftest import assert_left_out
from tests.small_data import ignored_pixels, picture, polygon, save


def coco(folder, annotations, **more):
    document = {
        "images": [
            {"id": 1, "file_name": "op1_00.png", "height": 40, "width": 60},
            {"id": 2, "file_name": "op2_07.png", "height": 40, "width": 60},
        ],
        "categories": [
            {"id": 3, "name": "tool"}, {"id": 5, "name": "liver", "supercategory": "stuff"},
        ],
        "annotations": annotations,
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "annotations.json").write_text(json.dumps(document | more))
    for image in document["images"]:
        save(folder / "images" / image["file_name"], picture())


RUNS = {"size": [40, 60], "counts": [0, 400, 2000]}


def test_coco_polygons_and_runs_are_read(tmp_path):
    flat = [value for point in polygon(0, 0, 10, 10) for value in point]
    annotations = [
        {"id": 1, "image_id": 1, "category_id": 3, "segmentation": [flat]},
        {"id": 2, "image_id": 1, "category_id": 5, "segmentation": RUNS},
        {"id": 3, "image_id": 2, "category_id": 3, "segmentation": [flat]},
    ]
    coco(tmp_path, annotations)
    frames = read_labelled_frames(tmp_path, "coco", None, 400)
    assert [(label.id, label.kind) for label in frames.label_set.classes] == [
        (3, "thing"), (5, "stuff"),
    ]  # fmt: skip
    first, second = frames.clips
    areas = {first.class_of_track[track]: int(mask.sum()) for track, mask in first.masks(0)}
    assert areas == {3: 100, 5: 300}  # the tool lies on the liver
    assert list(second.class_of_track.values()) == [3]
    assert frames.videos == ("op1", "op2")


def test_an_exported_set_is_read_back_as_coco(tmp_path, labels):
    from pipeline.exports import export
    from tests.pipeline.test_yolo import RING, TWO_PARTS, annotate

    export(annotate(tmp_path, "op", 40, labels), "coco", tmp_path / "coco")
    frames = read_labelled_frames(tmp_path / "coco", "coco", labels, 400)
    (clip,) = frames.clips
    masks = {clip.class_of_track[track]: mask for track, mask in clip.masks(0)}
    assert np.array_equal(masks[1], TWO_PARTS)
    assert np.array_equal(masks[2], RING)


def test_coco_that_does_not_fit_is_named(tmp_path):
    annotations = [
        {"id": 1, "image_id": 1, "category_id": 9, "segmentation": RUNS},
        {"id": 2, "image_id": 2, "category_id": 3, "segmentation": {"size": [4, 4]}},
    ]
    coco(tmp_path, annotations)
    with pytest.raises(InputError, match=r"annotations.json has category 9 on op1_00.png"):
        read_labelled_frames(tmp_path, "coco", None, 400)
    with pytest.raises(InputError, match="has no COCO file"):
        read_labelled_frames(tmp_path / "images", "coco", None, 400)


@pytest.mark.parametrize(
    "counts",
    [
        *([], [0, 10], [0, 100], [10, 5000], [0, 2400, 1], [0, -1, 2401], [10, -5, 2395]),
        *([10.5, 2389.5], ["a"], 5, None, "", "1", "oo", "zzzz", "0" * 50),
    ],
)
def test_coco_runs_that_do_not_fill_the_picture_are_left_out(tmp_path, counts):
    """What pycocotools makes of them depends on what was in the memory before."""
    damaged = {"size": [40, 60], "counts": counts}
    annotations = [
        {"id": 1, "image_id": 1, "category_id": 3, "segmentation": RUNS},
        {"id": 2, "image_id": 2, "category_id": 3, "segmentation": damaged},
    ]
    coco(tmp_path, annotations)
    frames = read_labelled_frames(tmp_path, "coco", None, 400)
    assert frames.videos == ("op1",)
    assert_left_out(frames, ["annotations.json has a mask that cannot be read in annotation 2"])


def test_coco_files_that_are_damaged_or_contradict_each_other_are_refused(tmp_path):
    coco(tmp_path, [{"id": 1, "image_id": 1, "category_id": 3, "segmentation": RUNS}])
    other = tmp_path / "other.json"
    other.write_text('{"images": [')
    with pytest.raises(
        InputError, match=r"other\.json cannot be read as JSON .*; repair or remove"
    ):
        read_labelled_frames(tmp_path, "coco", None, 400)
    categories = [{"id": 3, "name": "needle"}]
    other.write_text(json.dumps({"images": [], "annotations": [], "categories": categories}))
    with pytest.raises(InputError, match=r"other\.json calls category 3 'needle', another file"):
        read_labelled_frames(tmp_path, "coco", None, 400)


def test_a_coco_picture_that_is_missing_is_named(tmp_path):
    entry = {"category_id": 3, "segmentation": RUNS}
    coco(tmp_path, [{"id": n, "image_id": n} | entry for n in (1, 2)])
    (tmp_path / "images" / "op2_07.png").unlink()
    frames = read_labelled_frames(tmp_path, "coco", None, 400)
    assert frames.videos == ("op1",)
    assert_left_out(frames, [f"{tmp_path / 'op2_07.png'} is not a readable picture"])


def test_coco_runs_may_be_text(tmp_path):
    mask = np.zeros((40, 60), bool)
    mask[5:9, 7:30] = True
    runs = {"size": [40, 60], "counts": encode_mask(mask).counts.decode()}
    coco(tmp_path, [{"id": 1, "image_id": 1, "category_id": 3, "segmentation": runs}])
    (clip,) = read_labelled_frames(tmp_path, "coco", None, 400).clips
    assert [found.tolist() for _, found in clip.masks(0)] == [mask.tolist()]


def test_a_coco_crowd_is_ignored_but_for_the_objects_on_it(tmp_path):
    flat = [value for point in polygon(0, 0, 10, 10) for value in point]
    crowd = {"size": [40, 60], "counts": [0, 2400]}
    annotations = [
        {"id": 1, "image_id": 1, "category_id": 3, "segmentation": [flat], "iscrowd": 0},
        {"id": 2, "image_id": 1, "category_id": 3, "segmentation": crowd, "iscrowd": 1},
    ]
    coco(tmp_path, annotations)
    frames = read_labelled_frames(tmp_path, "coco", None, 400)
    assert list(frames.clips[0].class_of_track.values()) == [3]
    assert ignored_pixels(frames) == 2300


def test_coco_videos_have_their_names(tmp_path):
    annotations = [{"id": 1, "image_id": 1, "category_id": 3, "segmentation": RUNS}]
    image = {"id": 1, "file_name": "op1_00.png", "height": 40, "width": 60, "video_id": 4}
    coco(tmp_path, annotations, images=[image])
    assert read_labelled_frames(tmp_path, "coco", None, 400).videos == ("4",)
    coco(tmp_path, annotations, images=[image], videos=[{"id": 4, "name": "hernia"}])
    assert read_labelled_frames(tmp_path, "coco", None, 400).videos == ("hernia",)


def test_a_video_that_is_null_is_none(tmp_path):
    """Some tools write all of COCO's fields, whether they know them or not."""
    annotations = [{"id": 1, "image_id": 1, "category_id": 3, "segmentation": RUNS}]
    image = {"id": 1, "file_name": "op1_00.png", "video_id": None, "video": None}
    coco(tmp_path, annotations, images=[image])
    assert read_labelled_frames(tmp_path, "coco", None, 400).videos == ("op1",)


def test_names_of_windows_are_read(tmp_path):
    annotations = [{"id": 1, "image_id": 1, "category_id": 3, "segmentation": RUNS}]
    coco(tmp_path, annotations, images=[{"id": 1, "file_name": "images\\op1_00.png"}])
    frames = read_labelled_frames(tmp_path, "coco", None, 400)
    assert frames.paths == (tmp_path / "images" / "op1_00.png",)
    assert frames.videos == ("op1",)


@pytest.mark.parametrize(
    ("names", "videos"),
    [
        (("op1_00.png", "op2_07.png"), ("op1", "op2")),
        (("00.png", "01.png"), ("data", "data")),
        (("op1/00.png", "op2/00.png"), ("op1", "op2")),
        (("train/op1_00.png", "val/op1_07.png"), ("op1", "op1")),
        (("training/op1_00.png", "validation/op1_07.png"), ("op1", "op1")),
        (("./test/op1_00.png", "valid/op1_07.png"), ("op1", "op1")),
        (("a/frame_00.png", "b/frame_00.png"), ("a/frame", "b/frame")),
        # Roboflow's names of pictures, and of frames that it takes from a video itself.
        (("op1_07_jpg.rf.0f3a.png", "op1_08_PNG.rf.9c1d.png"), ("op1", "op1")),
        (("op_mp4-07_jpg.rf.0f3a.png", "op_mp4-08_jpg.rf.9c1d.png"), ("op", "op")),
        # Label Studio's, and dates and a shared part that only look like them.
        (("images/0a1b2c3d-op1_07.png", "images/11111111-op1_08.png"), ("op1", "op1")),
        (("20240131-op_07.png", "20240201-op_07.png"), ("20240131-op", "20240201-op")),
        (("0a1b2c3d-op_07.png", "0a1b2c3d-op_08.png"), ("0a1b2c3d-op", "0a1b2c3d-op")),
    ],
)
def test_frames_of_a_video_stay_together_whatever_their_pictures_are_called(
    tmp_path, names, videos
):
    images = [
        {"id": number, "file_name": name, "height": 40, "width": 60}
        for number, name in enumerate(names, start=1)
    ]
    annotations = [
        {"id": image["id"], "image_id": image["id"], "category_id": 3, "segmentation": RUNS}
        for image in images
    ]
    coco(tmp_path / "data", annotations, images=images)
    for name in names:
        save(tmp_path / "data" / "images" / name, picture())
    assert read_labelled_frames(tmp_path / "data", "coco", None, 400).videos == videos


def test_the_frames_of_an_exported_set_are_of_one_video(tmp_path, labels):
    from pipeline.exports import export
    from tests.pipeline.test_yolo import annotate

    export(annotate(tmp_path, "op.1", 40, labels), "coco", tmp_path / "coco")
    frames = read_labelled_frames(tmp_path / "coco", "coco", labels, 400)
    assert set(frames.videos) == {"op.1"}


@pytest.mark.parametrize("folder", ["{}", "images/{}"])
def test_pictures_are_found_in_the_folder_of_their_part(tmp_path, folder):
    """As COCO is published, and as CVAT exports a project: names are those within the part."""
    annotations = [{"id": 1, "image_id": 1, "category_id": 3, "segmentation": RUNS}]
    images = [{"id": 1, "file_name": "frame_000001.png"}]
    for number, part in enumerate(("train2017", "val2017")):
        coco(tmp_path, annotations, images=images)
        (tmp_path / "annotations").mkdir(exist_ok=True)
        (tmp_path / "annotations.json").rename(tmp_path / f"annotations/instances_{part}.json")
        save(tmp_path / folder.format(part) / "frame_000001.png", picture() + number)
    frames = read_labelled_frames(tmp_path, "coco", None, 400)
    assert [path.parent.name for path in frames.paths] == ["train2017", "val2017"]
    assert [clip.images.max() for clip in frames.clips] == [90, 91]


def test_a_file_that_begins_with_a_byte_order_mark_is_read(tmp_path):
    coco(tmp_path, [{"id": 1, "image_id": 1, "category_id": 3, "segmentation": RUNS}])
    path = tmp_path / "annotations.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(read_labelled_frames(tmp_path, "coco", None, 400).clips) == 1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"images": [{"id": "a", "file_name": "op1_00.png"}]}, "ids that are no numbers"),
        ({"images": [{"file_name": "op1_00.png"}]}, "images without an id"),
        (
            {"categories": [{"id": 3, "name": "tool"}, {"id": 5, "name": "tool"}]},
            "two classes with name tool; give --labels",
        ),
        (
            {"images": [{"id": 1, "file_name": f"op{number}_00.png"} for number in (1, 2)]},
            "the id 1 to two images, 'op1_00.png' and 'op2_00.png'; number them anew",
        ),
    ],
)
def test_a_coco_file_of_another_make_is_refused_in_a_sentence(tmp_path, more, said):
    coco(tmp_path, [{"id": 1, "image_id": 1, "category_id": 3, "segmentation": RUNS}], **more)
    with pytest.raises(InputError, match=said):
        read_labelled_frames(tmp_path, "coco", None, 400)


def test_an_id_of_two_categories_is_refused_with_labels_too(tmp_path, labels):
    categories = [{"id": 3, "name": "Grasper"}, {"id": 3, "name": "Liver"}]
    annotations = [{"id": 1, "image_id": 1, "category_id": 3, "segmentation": RUNS}]
    coco(tmp_path, annotations, categories=categories)
    with pytest.raises(InputError, match="the id 3 to two categories, 'Grasper' and 'Liver'"):
        read_labelled_frames(tmp_path, "coco", labels, 400)


def test_masks_that_cvat_marks_as_crowds_are_objects(tmp_path):
    """It marks each mask of its brush so, and says of everything whether it is occluded."""
    drawn = {"image_id": 1, "category_id": 3, "segmentation": RUNS, "iscrowd": 1}
    crowd = {"image_id": 2, "category_id": 3, "segmentation": RUNS, "iscrowd": 1}
    attributes = {"occluded": False}
    coco(tmp_path, [{"id": 1, **drawn, "attributes": attributes}, {"id": 2, **crowd}])
    frames = read_labelled_frames(tmp_path, "coco", None, 400)
    assert [len(clip.class_of_track) for clip in frames.clips] == [1, 0]
    assert [int((clip.track_maps == 255).sum()) for clip in frames.clips] == [0, 400]


def test_boxes_without_outlines_are_no_labels(tmp_path):
    annotations = [
        {"id": 1, "image_id": 1, "category_id": 5, "segmentation": RUNS},
        {"id": 2, "image_id": 2, "category_id": 3, "segmentation": [], "bbox": [1, 1, 9, 9]},
    ]
    coco(tmp_path, annotations)
    frames = read_labelled_frames(tmp_path, "coco", None, 400)
    assert_left_out(frames, ["in annotation 2 (it is a box without an outline)"])


def test_a_picture_that_two_files_label_is_read_once(tmp_path):
    coco(tmp_path, [{"id": 1, "image_id": 1, "category_id": 5, "segmentation": RUNS}])
    (tmp_path / "twice.json").write_bytes((tmp_path / "annotations.json").read_bytes())
    frames = read_labelled_frames(tmp_path, "coco", None, 400)
    assert len(frames.clips) == 1
    assert_left_out(frames, ["is labelled twice; what comes first is taken"])


def test_endoscapes_masks_are_read_without_its_boxes(tmp_path):
    coco(tmp_path / "train_seg", [
        {"id": 1, "image_id": 1, "category_id": 5, "segmentation": RUNS},
    ])  # fmt: skip
    boxes = {"id": 1, "image_id": 1, "category_id": 5, "bbox": [0, 0, 5, 5]}
    coco(tmp_path / "train", [boxes])
    for folder, name in (("train", ""), ("train_seg", ""), ("train_seg", "_ds"), ("train", "_ds")):
        document = (tmp_path / folder / "annotations.json").read_bytes()
        (tmp_path / folder / f"annotation{name}_coco.json").write_bytes(document)
    frames = read_labelled_frames(tmp_path, "endoscapes", None, 400)
    assert (len(frames.clips), frames.problems) == (1, ())


def test_a_coco_annotation_without_a_category_costs_its_frame_alone(tmp_path):
    outline = [[value for point in polygon(0, 0, 10, 10) for value in point]]
    annotations = [
        {"id": 1, "image_id": 1, "category_id": 3, "segmentation": outline},
        {"id": 2, "image_id": 2, "segmentation": outline},
    ]
    coco(tmp_path, annotations)
    frames = read_labelled_frames(tmp_path, "coco", None, 400)
    assert len(frames.clips) == 1
    assert_left_out(frames, {"annotations.json has category None on"})


def test_coco_categories_without_names_are_refused(tmp_path):
    coco(tmp_path, [], categories=[{"id": 3}])
    with pytest.raises(InputError, match="categories without id or name"):
        read_labelled_frames(tmp_path, "coco", None, 400)


@pytest.mark.parametrize("entry", [{"id": 1, "category_id": 3}, "no annotation"])
def test_coco_entries_that_lack_something_are_named(tmp_path, entry):
    coco(tmp_path, [entry])
    with pytest.raises(InputError, match=r"annotations\.json has images or annotations without"):
        read_labelled_frames(tmp_path, "coco", None, 400)
