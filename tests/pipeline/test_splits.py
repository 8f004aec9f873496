"""Several videos in one data set, divided by video."""

import json
import shutil
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from pipeline.annotation_set import AnnotationSet
from pipeline.errors import UsageError
from pipeline.exports import Selection, Splits, export_several
from pipeline.imports import read_changes
from pipeline.labels import LabelSet
from tests.pipeline.test_yolo import RING, TWO_PARTS, annotate

SHARES = Splits((0.6, 0.2, 0.2))


@pytest.fixture
def sets(tmp_path, labels):
    return [annotate(tmp_path, f"op{n}", 20 * n, labels) for n in range(5)]


def test_shares_are_read_and_checked():
    assert Splits.parse("by-video") == Splits((0.8, 0.2, 0.0))
    assert Splits.parse("by-video:0.7,0.2,0.1") == Splits((0.7, 0.2, 0.1))
    assert Splits.parse("by-video:1") == Splits((1.0, 0.0, 0.0))
    for text in (
        "by-frame",
        "by-video:x",
        "by-video:0.5,0.2",
        "by-video:0.7,0.2,0.15",
        "by-video:1,1,-1",
        "by-video:1,,",
        "by-video:nan",
    ):
        with pytest.raises(UsageError, match="--splits"):
            Splits.parse(text)


def test_each_part_with_a_share_gets_a_video_and_no_other(sets):
    parts = Splits((0.9, 0.05, 0.05)).divide(sets[:3])
    assert [len(parts[name]) for name in ("train", "val", "test")] == [1, 1, 1]
    parts = Splits((0.8, 0.2, 0.0)).divide(sets)
    assert [len(parts[name]) for name in ("train", "val", "test")] == [4, 1, 0]


@pytest.mark.parametrize("format_name", ["coco", "nnunet", "yolo"])
def test_sets_that_do_not_go_together_are_refused(sets, tmp_path, format_name):
    with pytest.raises(UsageError, match="two sets are of a video op0"):
        export_several([sets[0], sets[0]], format_name, tmp_path / "out", Splits())
    renamed = tmp_path / "renamed.annset"
    shutil.copytree(sets[0].annotation_set.path, renamed)
    manifest = json.loads((renamed / "manifest.json").read_text())
    manifest["video"]["name"] = "renamed"
    (renamed / "manifest.json").write_text(json.dumps(manifest))
    again = Selection(annotation_set=AnnotationSet(renamed))
    with pytest.raises(UsageError, match="are of one video"):
        export_several([sets[0], again], format_name, tmp_path / "out", Splits())
    fewer = Selection(annotation_set=sets[1].annotation_set, classes=("Liver",))
    with pytest.raises(UsageError, match="other classes"):
        export_several([sets[0], fewer], format_name, tmp_path / "out", Splits())
    with pytest.raises(UsageError, match="davis holds one video"):
        export_several(sets[:2], "davis", tmp_path / "out", None)
    with pytest.raises(UsageError, match="csv divides no videos"):
        export_several(sets[:1], "csv", tmp_path / "out", Splits())
    assert not (tmp_path / "out").exists()


def test_sets_with_other_ids_of_the_same_classes_have_common_categories(sets, tmp_path, labels):
    turned = LabelSet(
        name="turned",
        classes=tuple(replace(label, id=label.id + 3) for label in labels.classes),
    )
    other = annotate(tmp_path, "turned", 90, turned, class_ids=(4, 5))
    export_several([*sets, other], "coco", tmp_path / "out", SHARES)
    documents = [
        json.loads(path.read_text()) for path in (tmp_path / "out" / "annotations").iterdir()
    ]
    assert len(documents) == 3
    assert all(document["categories"] == documents[0]["categories"] for document in documents)


def test_videos_with_dots_in_their_names_go_together(tmp_path, labels):
    dotted = [annotate(tmp_path, f"case.{n}", 20 * n, labels) for n in (1, 2)]
    export_several(dotted, "coco", tmp_path / "out", Splits())
    pictures = [path.name for path in (tmp_path / "out" / "images").rglob("*.jpg")]
    assert {name.rpartition("_")[0] for name in pictures} == {"case.1", "case.2"}


def read_coco(path):
    with redirect_stdout(StringIO()):
        return COCO(str(path))


def test_coco_has_a_file_for_each_part(sets, tmp_path):
    export_several(sets, "coco", tmp_path / "out", SHARES)
    videos = {}
    for part in ("train", "val", "test"):
        coco = read_coco(tmp_path / "out" / "annotations" / f"instances_{part}.json")
        images = coco.loadImgs(coco.getImgIds())
        for image in images:
            assert image["file_name"].startswith(f"{part}/{image['video']}_")
            picture = cv2.imread(str(tmp_path / "out" / "images" / image["file_name"]))
            assert picture.shape == (64, 96, 3)
            # Each video has a brightness of its own.
            assert abs(picture.mean() - 20 * int(image["video"][2:]) - image["frame_index"]) < 4
            entries = coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]]))
            masks = {entry["category_id"]: coco.annToMask(entry) > 0 for entry in entries}
            assert set(masks) == ({1, 2} if image["frame_index"] == 0 else set())
            if masks:
                assert np.array_equal(masks[1], TWO_PARTS)
                assert np.array_equal(masks[2], RING)
        videos[part] = {image["video"] for image in images}
    assert {part: len(names) for part, names in videos.items()} == {"train": 3, "val": 1, "test": 1}
    assert len(set.union(*videos.values())) == 5


def test_corrections_of_one_video_are_read_from_a_part_with_several(sets, tmp_path):
    export_several(sets, "coco", tmp_path / "out", SHARES)
    path = tmp_path / "out" / "annotations" / "instances_train.json"
    document = json.loads(path.read_text())
    image = document["images"][4]
    document["annotations"] = [
        entry
        for entry in document["annotations"]
        if entry["image_id"] != document["images"][3]["id"]
    ]
    path.write_text(json.dumps(document))
    corrected = next(s for s in sets if s.annotation_set.manifest.video.name == image["video"])
    frames = read_changes(path, "coco", corrected)
    assert [len(frame.tracks) for frame in frames] == [2, 0, 0]


def test_one_coco_video_is_divided_only_on_request(sets, tmp_path):
    export_several(sets[:1], "coco", tmp_path / "whole", None)
    export_several(sets[:1], "coco", tmp_path / "divided", Splits((1, 0, 0)))
    assert (tmp_path / "whole" / "annotations.json").is_file()
    files = [path.name for path in (tmp_path / "divided" / "annotations").iterdir()]
    assert files == ["instances_train.json"]
    with pytest.raises(UsageError, match="a video is never divided"):
        export_several(sets[:1], "coco", tmp_path / "parts", Splits())


def test_nnunet_tests_on_other_videos_than_it_learns_from(sets, tmp_path):
    folder = tmp_path / "Dataset501_Small"
    export_several(sets, "nnunet", folder, SHARES)
    document = json.loads((folder / "dataset.json").read_text())
    (fold,) = json.loads((folder / "splits_final.json").read_text())
    cases = {
        kind: {path.name.removesuffix(".png") for path in (folder / f"labels{kind}").iterdir()}
        for kind in ("Tr", "Ts")
    }
    assert cases["Tr"] == {*fold["train"], *fold["val"]}
    assert document["numTraining"] == len(cases["Tr"]) == 12
    videos = [
        {case.split("_")[0] for case in part} for part in (fold["train"], fold["val"], cases["Ts"])
    ]
    assert [len(part) for part in videos] == [3, 1, 1]
    assert len(set.union(*videos)) == 5
    for kind, names in cases.items():
        for case in names:
            with Image.open(folder / f"images{kind}" / f"{case}_0000.png") as picture:
                assert picture.size == (96, 64)
            with Image.open(folder / f"labels{kind}" / f"{case}.png") as picture:
                values = np.asarray(picture)
            if case.endswith("_00000"):
                assert np.array_equal(values == 1, TWO_PARTS)
                assert np.array_equal(values == 2, RING)


def test_the_command_divides(scopeline, sets, tmp_path):
    paths = [selection.annotation_set.path for selection in sets[:3]]
    for name, file in (("coco", "annotations/instances_val.json"), ("nnunet", "splits_final.json")):
        code, _, err = scopeline(
            "export",
            *paths,
            "--format",
            name,
            "--splits",
            "by-video:0.7,0.3",
            "--out",
            tmp_path / name,
        )
        assert code == 0, err
        assert (tmp_path / name / file).is_file()
    code, _, err = scopeline(
        "export", paths[0], "--format", "mp4", "--splits", "by-video", "--out", tmp_path / "x.mp4"
    )
    assert (code, "leave out --splits" in err) == (2, True)
