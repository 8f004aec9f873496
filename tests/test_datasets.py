"""Data sets as labelled frames: what is sound is read, what is not is named."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from overseer.datasets import read_labelled_frames
from pipeline.errors import InputError, UsageError
from pipeline.labelled_clip import IGNORED
from pipeline.labels import CHOLECSEG8K
from tests.conftest import SHARED_DATA, assert_left_out


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint8)).save(path)


def picture(size=(40, 60)):
    return np.full((*size, 3), 90, np.uint8)


def two_graspers_on_liver():
    values = np.zeros((40, 60), np.uint8)
    values[20:] = 90
    values[5:15, 5:15] = 255
    values[5:15, 40:50] = 255
    values[0, 59] = 255
    return values


def test_parts_of_a_thing_are_instances_and_stuff_is_one_region(tmp_path, labels):
    save(tmp_path / "images/a.jpg", picture())
    save(tmp_path / "masks/a.png", two_graspers_on_liver())
    frames = read_labelled_frames(tmp_path, "masks", labels, 400)
    (clip,) = frames.clips
    assert sorted(clip.class_of_track.values()) == [1, 1, 2]
    areas = sorted(int(mask.sum()) for _, mask in clip.masks(0))
    assert areas == [100, 100, 1200]
    assert clip.images.shape == (1, 40, 60, 3)


def test_large_pictures_are_shrunk(tmp_path, labels):
    save(tmp_path / "images/a.png", picture((400, 600)))
    save(tmp_path / "masks/a.png", np.kron(two_graspers_on_liver(), np.ones((10, 10))))
    (clip,) = read_labelled_frames(tmp_path, "masks", labels, 60).clips
    assert clip.images.shape == (1, 40, 60, 3)
    assert (clip.track_maps[0] > 0).sum() == pytest.approx(1400, abs=2)


def test_what_is_not_sound_is_left_out_and_named(tmp_path, labels):
    for name in ("good", "no_mask", "small_mask", "unknown", "bad_mask"):
        save(tmp_path / f"images/{name}.png", picture())
    save(tmp_path / "masks/good.png", two_graspers_on_liver())
    save(tmp_path / "masks/small_mask.png", two_graspers_on_liver()[:20])
    save(tmp_path / "masks/unknown.png", two_graspers_on_liver() + 1)
    (tmp_path / "images/bad_picture.png").write_bytes(b"no picture")
    (tmp_path / "masks/bad_mask.png").write_bytes(b"no picture")
    frames = read_labelled_frames(tmp_path, "masks", labels, 400)
    assert len(frames.clips) == 1
    said = {
        "no_mask.png has no mask",
        "small_mask.png is 60x20, its picture is 60x40",
        "unknown.png has the value 1",
        "bad_picture.png is not a readable picture",
        "bad_mask.png is not a readable mask",
    }
    assert_left_out(frames, said)


def test_without_labels_each_value_is_a_class(tmp_path):
    save(tmp_path / "images/a.png", picture())
    save(tmp_path / "masks/a.png", two_graspers_on_liver())
    frames = read_labelled_frames(tmp_path, "masks", None, 400)
    assert [label.id for label in frames.label_set.classes] == [90, 255]


def test_a_folder_without_frames_is_refused(tmp_path, labels):
    with pytest.raises(InputError, match="no folder images"):
        read_labelled_frames(tmp_path, "masks", labels, 400)
    save(tmp_path / "images/a.png", picture())
    save(tmp_path / "masks/b.png", two_graspers_on_liver())
    with pytest.raises(InputError, match="no frame to learn from.*a.png has no mask"):
        read_labelled_frames(tmp_path, "masks", labels, 400)


def test_an_unknown_layout_is_wrong_use(tmp_path):
    with pytest.raises(UsageError, match="unknown layout photos; choose one of annset, .*masks"):
        read_labelled_frames(tmp_path, "photos", None, 400)


def polygon(left, top, right, bottom):
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def labelme(path, *shapes, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = [
        {"label": label, "points": points, "group_id": group, "shape_type": "polygon"}
        for label, points, group in shapes
    ]
    path.write_text(json.dumps({"shapes": entries, "imagePath": f"{path.stem}.png"} | more))


def test_labelme_shapes_of_one_group_are_one_instance(tmp_path):
    save(tmp_path / "video1/a.png", picture())
    labelme(
        tmp_path / "video1/a.json",
        ("hook", polygon(0, 0, 10, 10), 1),
        ("hook", polygon(20, 0, 30, 10), 1),
        ("hook", polygon(40, 0, 50, 10), None),
        ("grasper", polygon(0, 20, 10, 30), 1),
    )
    frames = read_labelled_frames(tmp_path, "labelme", None, 400)
    assert [label.name for label in frames.label_set.classes] == ["grasper", "hook"]
    (clip,) = frames.clips
    areas = {track: (clip.class_of_track[track], int(mask.sum())) for track, mask in clip.masks(0)}
    assert sorted(areas.values()) == [(1, 100), (2, 100), (2, 200)]
    assert frames.videos == ("video1",)


def test_labelme_files_that_do_not_fit_are_named(tmp_path, labels):
    good = polygon(0, 0, 10, 10)
    for name in ("good", "unknown", "small", "line"):
        save(tmp_path / f"{name}.png", picture())
    labelme(tmp_path / "good.json", ("Grasper", good, None))
    labelme(tmp_path / "unknown.json", ("Spleen", good, None))
    labelme(tmp_path / "small.json", ("Grasper", good, None), imageHeight=20, imageWidth=60)
    labelme(tmp_path / "line.json", ("Grasper", good[:2], None))
    labelme(tmp_path / "gone.json", ("Grasper", good, None))
    (tmp_path / "broken.json").write_text("{")
    frames = read_labelled_frames(tmp_path, "labelme", labels, 400)
    assert len(frames.clips) == 1
    said = {
        "unknown.json has the label 'Spleen'",
        "small.json is 60x20, its picture is 60x40",
        "line.json has a shape of fewer than 3 points",
        "gone.png",
        "broken",
    }
    assert_left_out(frames, said)


def test_a_labelme_file_cannot_lead_out_of_its_folder(tmp_path, labels):
    save(tmp_path / "secret.png", picture())
    labelme(tmp_path / "data/a.json", ("Grasper", polygon(0, 0, 9, 9), None),
            imagePath="../secret.png")  # fmt: skip
    with pytest.raises(InputError, match="data/a.png"):
        read_labelled_frames(tmp_path / "data", "labelme", labels, 400)


def test_cholecinstanceseg_has_its_own_classes(tmp_path):
    save(tmp_path / "a.png", picture())
    labelme(tmp_path / "a.json", ("snare", polygon(0, 0, 9, 9), 1))
    frames = read_labelled_frames(tmp_path, "cholecinstanceseg", None, 400)
    assert list(frames.clips[0].class_of_track.values()) == [7]


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
        {"id": 3, "image_id": 2, "category_id": 3, "segmentation": []},
    ]
    coco(tmp_path, annotations)
    frames = read_labelled_frames(tmp_path, "coco", None, 400)
    assert [(label.id, label.kind) for label in frames.label_set.classes] == [
        (3, "thing"), (5, "stuff"),
    ]  # fmt: skip
    first, second = frames.clips
    areas = {first.class_of_track[track]: int(mask.sum()) for track, mask in first.masks(0)}
    assert areas == {3: 100, 5: 300}  # the tool lies on the liver
    assert second.class_of_track == {}
    assert frames.videos == ("op1", "op2")


def test_an_exported_set_is_read_back_as_coco(tmp_path, labels):
    from pipeline.exports import export
    from tests.test_yolo import RING, TWO_PARTS, annotate

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


def test_cholecseg8k_is_read_from_its_own_folders(tmp_path):
    folder = tmp_path / "video01/video01_00080"
    save(folder / "frame_80_endo.png", picture())
    values = np.full((40, 60), 50, np.uint8)
    values[20:] = 21
    values[5:15, 5:15] = values[5:15, 40:50] = 31
    save(folder / "frame_80_endo_watershed_mask.png", np.stack([values] * 3, 2))
    frames = read_labelled_frames(tmp_path, "cholecseg8k", None, 400)
    assert frames.label_set is CHOLECSEG8K
    assert sorted(frames.clips[0].class_of_track.values()) == [2, 5, 5]
    assert frames.videos == ("video01",)


def test_the_real_cholecseg8k_sample_is_read_whole():
    folder = SHARED_DATA / "cholecseg8k_sample"
    if not folder.exists():
        pytest.skip("the sample of CholecSeg8k is not on this machine")
    frames = read_labelled_frames(folder, "cholecseg8k", None, 400)
    assert len(frames.clips) == 4
    assert frames.problems == ()
    assert all(len(clip.class_of_track) >= 4 for clip in frames.clips)


def cadis(folder):
    """Pupil in an iris, a phaco handpiece (13) with its handle (21), and a value that II ignores."""
    values = np.full((40, 60), 4, np.uint8)
    values[10:20, 10:20] = 0
    values[25:30, 10:20] = 13
    values[25:30, 20:30] = 21
    values[32:36, 40:50] = 25
    save(folder / "Video05/Images/Video5_frame000090.png", picture())
    save(folder / "Video05/Labels/Video5_frame000090.png", values)


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("cadis-1", {"Pupil": 100, "Iris": 2160, "Instrument": 140}),
        ("cadis", {"Pupil": 100, "Iris": 2160, "Ph. handpiece": 100}),
        ("cadis-3", {"Pupil": 100, "Iris": 2160, "Ph. handpiece": 50, "Ph. handle": 50}),
    ],
)
def test_cadis_is_read_in_each_experiment(tmp_path, layout, expected):
    cadis(tmp_path)
    frames = read_labelled_frames(tmp_path, layout, None, 400)
    (clip,) = frames.clips
    areas = dict.fromkeys(expected, 0)
    for track, mask in clip.masks(0):
        areas[frames.label_set[clip.class_of_track[track]].name] += int(mask.sum())
    assert areas == expected
    assert frames.videos == ("Video05",)


def test_cadis_values_that_are_none_are_named(tmp_path):
    cadis(tmp_path)
    save(tmp_path / "Video05/Labels/Video5_frame000090.png", np.full((40, 60), 36))
    with pytest.raises(InputError, match=r"has the value 36; CaDIS has 0 to 35"):
        read_labelled_frames(tmp_path, "cadis", None, 400)


def supervisely(folder, *objects, size=(40, 60)):
    entries = [
        {"classTitle": name, "points": {"exterior": outline, "interior": holes}}
        for name, outline, holes in objects
    ]
    document = {"size": {"height": size[0], "width": size[1]}, "objects": entries}
    (folder / "ann").mkdir(parents=True)
    (folder / "ann/f1.png.json").write_text(json.dumps(document))
    save(folder / "img/f1.png", picture())


def test_cataract1k_paints_instruments_over_tissues(tmp_path):
    supervisely(
        tmp_path / "case_7",
        ("Spatula", polygon(0, 0, 10, 10), []),
        ("Pupil", polygon(5, 5, 25, 25), [polygon(15, 15, 20, 20)]),
        ("Cornea", polygon(0, 0, 40, 40), []),
    )
    frames = read_labelled_frames(tmp_path, "cataract1k", None, 400)
    (clip,) = frames.clips
    areas = {
        frames.label_set[clip.class_of_track[track]].name: int(mask.sum())
        for track, mask in clip.masks(0)
    }
    assert areas == {"Spatula": 100, "Pupil": 400 - 25 - 25, "Cornea": 1600 - 400 + 25 - 75}
    assert frames.videos == ("case_7",)


def test_cataract1k_files_that_do_not_fit_are_named(tmp_path):
    supervisely(tmp_path / "case_1", ("Spoon", polygon(0, 0, 9, 9), []))
    supervisely(tmp_path / "case_2", ("Lens", polygon(0, 0, 9, 9)[:2], []))
    supervisely(tmp_path / "case_3", ("Lens", polygon(0, 0, 9, 9), []), size=(20, 60))
    supervisely(tmp_path / "case_4", ("Lens", polygon(0, 0, 9, 9), []))
    frames = read_labelled_frames(tmp_path, "cataract1k", None, 400)
    assert frames.videos == ("case_4",)
    spoon, points, size = frames.problems
    assert "case_1/ann/f1.png.json has the class 'Spoon'" in spoon
    assert "fewer than 3 points" in points
    assert "is 60x20, its picture is 60x40" in size


def test_annotation_sets_are_read_with_their_videos(tmp_path, labels):
    from tests.test_yolo import RING, TWO_PARTS, annotate

    annotate(tmp_path / "sets", "op1", 40, labels)
    annotate(tmp_path / "sets", "op2", 80, labels)
    frames = read_labelled_frames(tmp_path / "sets", "annset", None, 400)
    assert frames.videos == ("op1",) * 3 + ("op2",) * 3
    masks = {frames.clips[0].class_of_track[t]: mask for t, mask in frames.clips[0].masks(0)}
    assert np.array_equal(masks[1], TWO_PARTS)
    assert np.array_equal(masks[2], RING)
    assert abs(int(frames.clips[3].images.mean()) - 80) < 4
    (tmp_path / "sets/op1.mp4").unlink()
    frames = read_labelled_frames(tmp_path / "sets", "annset", None, 400)
    assert set(frames.videos) == {"op2"}
    assert "op1.mp4" in frames.problems[0]


def test_a_folder_without_sets_is_refused(tmp_path, labels):
    with pytest.raises(InputError, match="there is no"):
        read_labelled_frames(tmp_path, "annset", None, 400)
    with pytest.raises(InputError, match="leave out --labels"):
        read_labelled_frames(tmp_path, "annset", labels, 400)


def endovis(folder):
    values = np.zeros((40, 60, 3), np.uint8)
    values[20:] = (255, 55, 0)
    values[5:15, 5:15] = values[5:15, 40:50] = (0, 255, 0)
    save(folder / "seq_1/left_frames/frame000.png", picture())
    save(folder / "seq_1/labels/frame000.png", values)


def names_of(frames):
    (clip,) = frames.clips
    return sorted(frames.label_set[class_id].name for class_id in clip.class_of_track.values())


def test_endovis18_is_read_by_its_colours(tmp_path):
    endovis(tmp_path)
    frames = read_labelled_frames(tmp_path, "endovis18", None, 400)
    assert names_of(frames) == ["instrument-shaft", "instrument-shaft", "kidney-parenchyma"]
    assert frames.videos == ("seq_1",)


def test_endovis18s_own_label_file_comes_first(tmp_path):
    endovis(tmp_path)
    entries = [
        {"name": "nothing", "color": [0, 0, 0], "classid": 0},
        {"name": "kidney", "color": [255, 55, 0], "classid": 2},
        {"name": "tool", "color": [0, 255, 0], "classid": 1},
    ]
    (tmp_path / "labels.json").write_text(json.dumps(entries))
    frames = read_labelled_frames(tmp_path, "endovis18", None, 400)
    assert names_of(frames) == ["kidney", "tool", "tool"]
    (tmp_path / "labels.json").write_text(json.dumps([{"name": "tool"}]))
    with pytest.raises(InputError, match=r"labels.json is not a list of classes"):
        read_labelled_frames(tmp_path, "endovis18", None, 400)


def endovis17(folder):
    """A prograsp forceps of all parts at the left, another at the right, and something else."""
    sequence = folder / "instrument_dataset_1"
    save(sequence / "left_frames/frame000.png", picture())
    values = np.zeros((40, 60), np.uint8)
    values[5:15, 5:10], values[5:15, 10:15], values[5:15, 15:20] = 10, 20, 30
    save(sequence / "ground_truth/Left_Prograsp_Forceps_labels/frame000.png", values)
    save(sequence / "ground_truth/Right_Prograsp_Forceps_labels/frame000.png", values[:, ::-1])
    other = np.zeros((40, 60), np.uint8)
    other[30:35, 30:35] = 40
    save(sequence / "ground_truth/Other_labels/frame000.png", other)
    nothing = np.zeros((40, 60), np.uint8)
    save(sequence / "ground_truth/Maryland_Bipolar_Forceps_labels/frame000.png", nothing)
    return sequence


def test_endovis17_tells_its_instruments_apart(tmp_path):
    endovis17(tmp_path)
    frames = read_labelled_frames(tmp_path, "endovis17", None, 400)
    assert names_of(frames) == ["Other", "Prograsp Forceps", "Prograsp Forceps"]
    assert sorted(int(mask.sum()) for _, mask in frames.clips[0].masks(0)) == [25, 150, 150]
    assert frames.videos == ("instrument_dataset_1",)
    frames = read_labelled_frames(tmp_path, "endovis17-parts", None, 400)
    assert names_of(frames) == ["Claspers"] * 2 + ["Shaft"] * 2 + ["Wrist"] * 2


def test_endovis17_folders_that_do_not_fit_are_named(tmp_path, labels):
    sequence = endovis17(tmp_path)
    strange = sequence / "ground_truth/Spoon_labels/frame000.png"
    save(strange, np.full((40, 60), 10))
    with pytest.raises(InputError, match="Spoon_labels names no instrument of EndoVis 2017"):
        read_labelled_frames(tmp_path, "endovis17", None, 400)
    strange.unlink()
    with pytest.raises(InputError, match="has no mask .*Spoon_labels"):
        read_labelled_frames(tmp_path, "endovis17", None, 400)
    strange.parent.rmdir()
    part = sequence / "ground_truth/Left_Prograsp_Forceps_labels/frame000.png"
    save(part, np.full((40, 60), 15))
    with pytest.raises(InputError, match="has the value 15; parts are 10, 20 and 30"):
        read_labelled_frames(tmp_path, "endovis17-parts", None, 400)
    with pytest.raises(InputError, match="leave out --labels"):
        read_labelled_frames(tmp_path, "endovis17", labels, 400)


def test_autolaparos_values_are_a_setting(tmp_path, labels):
    for name in ("001_01", "001_02", "002_01"):
        save(tmp_path / f"imgs/{name}.jpg", picture())
        save(tmp_path / f"masks/{name}.png", two_graspers_on_liver())
    frames = read_labelled_frames(tmp_path, "autolaparo", labels, 400)
    assert sorted(frames.clips[0].class_of_track.values()) == [1, 1, 2]
    assert frames.videos == ("001", "001", "002")
    with pytest.raises(InputError, match="give --labels with a value for each class"):
        read_labelled_frames(tmp_path, "autolaparo", None, 400)


def ignored_pixels(frames):
    (clip,) = frames.clips
    return int((clip.track_maps[0] == IGNORED).sum())


def test_what_a_mask_leaves_open_is_ignored(tmp_path, labels):
    values = two_graspers_on_liver()
    values[30:, :20] = 7
    save(tmp_path / "images/a.png", picture())
    save(tmp_path / "masks/a.png", values)
    with_open_region = replace(labels, ignored_values=(7,))
    frames = read_labelled_frames(tmp_path, "masks", with_open_region, 400)
    assert ignored_pixels(frames) == 200
    assert sorted(frames.clips[0].class_of_track.values()) == [1, 1, 2]


def test_cadis_ignores_what_its_experiment_leaves_out(tmp_path):
    cadis(tmp_path)
    assert ignored_pixels(read_labelled_frames(tmp_path, "cadis", None, 400)) == 40
    assert ignored_pixels(read_labelled_frames(tmp_path, "cadis-1", None, 400)) == 0


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


def test_folders_of_images_and_masks_are_videos(tmp_path):
    for video, value in (("op1", 90), ("more/op2", 255)):
        save(tmp_path / video / "images/a.png", picture())
        save(tmp_path / video / "masks/a.png", np.full((40, 60), value))
    frames = read_labelled_frames(tmp_path, "masks", None, 400)
    assert frames.videos == ("more/op2", "op1")
    assert [label.value for label in frames.label_set.classes] == [90, 255]


def test_coco_videos_have_their_names(tmp_path):
    annotations = [{"id": 1, "image_id": 1, "category_id": 3, "segmentation": RUNS}]
    image = {"id": 1, "file_name": "op1_00.png", "height": 40, "width": 60, "video_id": 4}
    coco(tmp_path, annotations, images=[image])
    assert read_labelled_frames(tmp_path, "coco", None, 400).videos == ("4",)
    coco(tmp_path, annotations, images=[image], videos=[{"id": 4, "name": "hernia"}])
    assert read_labelled_frames(tmp_path, "coco", None, 400).videos == ("hernia",)
