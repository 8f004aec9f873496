"""Exports to COCO and YouTube-VIS, read back by pycocotools."""

import io
import json
from contextlib import redirect_stdout

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from pipeline.annotation_set import AnnotationSet
from pipeline.frames import open_video
from pipeline.masks import decode_mask
from tests.conftest import annotated_frame, write_set
from tests.pipeline.test_exports import SIZE, annotated, export

__all__ = ["annotated"]


def load_coco(path):
    with redirect_stdout(io.StringIO()):
        return COCO(str(path))


def test_coco_masks_are_equal_pixel_by_pixel(annotated, tmp_path):
    export(annotated, "coco", tmp_path / "coco")
    coco = load_coco(tmp_path / "coco" / "annotations.json")
    assert {category["name"] for category in coco.loadCats(coco.getCatIds())} == {
        "Grasper",
        "Liver",
    }
    assert len(coco.getImgIds()) == 12
    for frame in annotated.frames():
        entries = coco.loadAnns(coco.getAnnIds(imgIds=[frame.index]))
        assert {entry["track_id"] for entry in entries} == {t.track_id for t in frame.tracks}
        masks = {track.track_id: decode_mask(track.rle) for track in frame.tracks}
        for entry in entries:
            mask = coco.annToMask(entry).astype(bool)
            assert np.array_equal(mask, masks[entry["track_id"]])
            assert entry["area"] == mask.sum()
            x, y, width, height = entry["bbox"]
            assert mask[y : y + height, x : x + width].sum() == mask.sum()
    picture = cv2.imread(str(tmp_path / "coco" / "images" / coco.loadImgs([3])[0]["file_name"]))
    assert picture.shape == (*SIZE, 3)
    assert abs(float(picture.mean()) - 60) < 4


def test_frames_classes_and_sizes_can_be_chosen(annotated, tmp_path):
    export(
        annotated, "coco", tmp_path / "coco", every=2, classes=("Grasper",), min_area=2,
        images="none",
    )  # fmt: skip
    coco = load_coco(tmp_path / "coco" / "annotations.json")
    assert sorted(coco.getImgIds()) == [0, 2, 4, 6, 8, 10]
    assert {entry["track_id"] for entry in coco.dataset["annotations"]} == {7}
    assert [category["name"] for category in coco.dataset["categories"]] == ["Grasper"]
    assert not (tmp_path / "coco" / "images").exists()


def test_pngs_are_exact_and_nobody_complains(annotated, tmp_path, capfd):
    export(annotated, "coco", tmp_path / "coco", every=6, images="png")
    assert capfd.readouterr().err == ""
    (first, *_) = next(open_video(annotated.path.parent / "small.mp4").batches(1)).images
    with Image.open(tmp_path / "coco" / "images" / "00000.png") as picture:
        assert np.array_equal(np.asarray(picture), first)


def test_youtube_vis_has_a_track_with_a_mask_or_null_for_each_frame(annotated, tmp_path):
    export(annotated, "youtube-vis", tmp_path / "vis")
    document = json.loads((tmp_path / "vis" / "instances.json").read_text())
    (video,) = document["videos"]
    assert (video["length"], video["width"], video["height"]) == (12, 96, 64)
    for name in video["file_names"]:
        assert (tmp_path / "vis" / "JPEGImages" / name).is_file()
    frames = list(annotated.frames())
    assert [entry["track_id"] for entry in document["annotations"]] == [3, 7, 8]
    assert {entry["video_id"] for entry in document["annotations"]} == {video["id"]}
    # Crowds are not measured.
    assert {entry["iscrowd"] for entry in document["annotations"]} == {0}
    for entry in document["annotations"]:
        assert len(entry["segmentations"]) == len(entry["bboxes"]) == len(entry["areas"]) == 12
        for frame, segmentation in zip(frames, entry["segmentations"], strict=True):
            true = [t for t in frame.tracks if t.track_id == entry["track_id"]]
            assert (segmentation is None) == (not true)
            if true:
                assert np.array_equal(coco_mask.decode(segmentation) > 0, decode_mask(true[0].rle))
    assert {path.name for path in (tmp_path / "vis").iterdir()} == {"instances.json", "JPEGImages"}


@pytest.mark.parametrize(
    ("name", "file"),
    [("coco", "annotations.json"), ("youtube-vis", "instances.json")],
)
def test_a_video_without_objects_has_an_empty_list_of_them(
    tmp_path, small_video, labels, name, file
):
    frames = [annotated_frame(index) for index in range(12)]
    path = write_set(tmp_path / "empty.annset", small_video, labels, frames)
    export(AnnotationSet(path), name, tmp_path / "out", images="none")
    assert json.loads((tmp_path / "out" / file).read_text())["annotations"] == []
