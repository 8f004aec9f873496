"""Data sets as labelled frames: what is sound is read, what is not is named."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from overseer.datasets import LAYOUTS, WITH_OWN_CLASSES, read_labelled_frames
from overseer.datasets.labelled_frames import clip_of_instances
from pipeline.annotation_set.writer import AnnotationSetWriter
from pipeline.corrections.corrected_set import write_corrections
from pipeline.errors import InputError, UsageError
from pipeline.labelled_clip import IGNORED
from pipeline.labels import CHOLECSEG8K, LabelSet, numbered_class
from pipeline.manifest import Counts
from tests.conftest import SHARED_DATA, annotated_frame, assert_left_out
from tests.small_data import ignored_pixels, picture, save, two_graspers_on_liver


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
    save(tmp_path / "images/b.png", picture())
    (tmp_path / "masks/b.png").write_bytes(b"damaged")
    frames = read_labelled_frames(tmp_path, "masks", None, 400)
    assert [label.id for label in frames.label_set.classes] == [90, 255]
    assert [path.name for path in frames.paths] == ["a.png"]
    assert "b.png is not a readable mask PNG" in frames.problems[0]


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
    for number in (100, 9):
        save(folder / f"frame_{number}_endo.png", picture())
        save(folder / f"frame_{number}_endo_watershed_mask.png", np.stack([values] * 3, 2))
    frames = read_labelled_frames(tmp_path, "cholecseg8k", labels_of_organs(), 400)
    assert [path.name.split("_")[1] for path in frames.paths] == ["9", "80", "100"]
    assert sorted(frames.clips[0].class_of_track.values()) == [3, 4, 4]


def labels_of_organs():
    """Labels of one's own for masks of CholecSeg8k."""
    meanings = ((1, "Rest", 50), (3, "Organ", 21), (4, "Instrument", 31))
    rest, organ, instrument = (
        replace(numbered_class(number, name), value=value) for number, name, value in meanings
    )
    classes = (replace(rest, kind="background"), replace(organ, kind="stuff"), instrument)
    return LabelSet(name="organs", classes=classes)


def test_the_real_cholecseg8k_sample_is_read_whole():
    folder = SHARED_DATA / "cholecseg8k_sample"
    if not folder.exists():
        pytest.skip("the sample of CholecSeg8k is not on this machine")
    frames = read_labelled_frames(folder, "cholecseg8k", None, 400)
    assert len(frames.clips) == 4
    assert frames.problems == ()
    assert all(len(clip.class_of_track) >= 4 for clip in frames.clips)


def test_the_masks_of_the_real_cholecseg8k_sample_are_those_that_its_makers_coloured():
    folder = SHARED_DATA / "cholecseg8k_sample"
    if not folder.exists():
        pytest.skip("the sample of CholecSeg8k is not on this machine")
    frames = read_labelled_frames(folder, "cholecseg8k", None, 1000)
    for path, clip in zip(frames.paths, frames.clips, strict=True):
        with Image.open(path.with_name(path.name.replace("_endo", "_endo_color_mask"))) as file:
            colours = np.asarray(file.convert("RGB"))
        for track, mask in clip.masks(0):
            colour = frames.label_set[clip.class_of_track[track]].color
            assert (colours[mask] == colour).all(), (path, colour)


def test_annotation_sets_are_read_with_their_videos(tmp_path, labels):
    from tests.pipeline.test_yolo import RING, TWO_PARTS, annotate

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


def test_sets_of_one_list_of_classes_go_together_whatever_their_colours(tmp_path, labels):
    from tests.pipeline.test_yolo import annotate

    annotate(tmp_path / "sets", "op1", 40, labels)
    classes = tuple(replace(label, color=(1, 2, 3)) for label in labels.classes)
    annotate(tmp_path / "sets", "op2", 80, replace(labels, classes=classes))
    frames = read_labelled_frames(tmp_path / "sets", "annset", None, 400)
    assert (set(frames.videos), frames.problems) == ({"op1", "op2"}, ())


def test_a_set_of_other_classes_than_those_before_it_is_left_out(tmp_path, labels):
    from tests.pipeline.test_yolo import annotate

    annotate(tmp_path / "sets", "op1", 40, labels)
    others = replace(labels, classes=(*labels.classes[:2], replace(labels[2], name="Spleen")))
    annotate(tmp_path / "sets", "op2", 80, others)
    frames = read_labelled_frames(tmp_path / "sets", "annset", None, 400)
    assert set(frames.videos) == {"op1"}
    assert_left_out(frames, {"op2.annset has other classes than the sets before it; read it by"})


def test_sets_whose_frames_nobody_could_outline_are_said_to_be_such(tmp_path, labels):
    from tests.pipeline.test_yolo import annotate

    annotated = annotate(tmp_path, "op1", 40, labels).annotation_set
    manifest = annotated.manifest.model_copy(
        update={"state": "running", "parts": 0, "counts": Counts()}
    )
    with AnnotationSetWriter(tmp_path / "sets" / "op1.annset", manifest) as writer:
        for index, flag in enumerate(("out_of_body", "black", "blurred")):
            writer.add(replace(annotated_frame(index), flags=(flag,)))
    with pytest.raises(InputError, match="no frame of its sets is of the body and could be outl"):
        read_labelled_frames(tmp_path / "sets", "annset", None, 400)


def test_corrections_alone_and_frames_without_a_picture_are_not_learned_from(tmp_path, labels):
    from tests.pipeline.test_yolo import annotate

    annotated = annotate(tmp_path / "sets", "op1", 40, labels).annotation_set
    frames = list(annotated.frames())
    corrections = tmp_path / "sets" / "corrections.annset"
    write_corrections(corrections, frames[:1], annotated, tmp_path / "corrected.xml")
    settings = {"on_bad_frame": "skip"}
    manifest = annotated.manifest.model_copy(
        update={"settings": settings, "state": "running", "parts": 0, "counts": Counts()}
    )
    with AnnotationSetWriter(tmp_path / "sets" / "skipped.annset", manifest) as writer:
        writer.add(frames[0])
        writer.add(replace(frames[1], tracks=(), flags=("undecodable",)))
        writer.add(frames[2])
    found = read_labelled_frames(tmp_path / "sets", "annset", None, 400)
    assert [path.stem for path in found.paths] == ["op1"] * 3 + ["skipped"] * 2
    (problem,) = found.problems
    assert "corrections.annset holds corrections alone" in problem


def test_a_small_object_is_an_instance_and_a_speck_beside_a_large_one_is_ignored(tmp_path, labels):
    values = np.zeros((400, 600), np.uint8)
    value = labels[1].value
    values[10:18, 10:18] = value
    for name, more in (("small", ()), ("large", (slice(100, 200), slice(100, 200)))):
        mask = values.copy()
        if more:
            mask[more] = value
        save(tmp_path / f"images/{name}.png", picture((400, 600)))
        save(tmp_path / f"masks/{name}.png", mask)
    large, small = read_labelled_frames(tmp_path, "masks", labels, 600).clips
    assert [int(mask.sum()) for _, mask in small.masks(0)] == [64]
    assert [int(mask.sum()) for _, mask in large.masks(0)] == [10000]
    assert int((large.track_maps == IGNORED).sum()) == 64


def test_a_folder_without_sets_is_refused(tmp_path, labels):
    with pytest.raises(InputError, match="there is no"):
        read_labelled_frames(tmp_path, "annset", None, 400)
    with pytest.raises(InputError, match="leave out --labels"):
        read_labelled_frames(tmp_path, "annset", labels, 400)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_wrong_folder_or_layout_is_named_as_such(tmp_path, labels, layout):
    given = None if layout in WITH_OWN_CLASSES else labels
    with pytest.raises(InputError, match="/no-such-data does not exist; give the folder of a"):
        read_labelled_frames(tmp_path / "no-such-data", layout, given, 400)
    file = tmp_path / "notes.txt"
    file.write_text("no data set")
    with pytest.raises(InputError, match="notes.txt is a file; give the folder of a data set"):
        read_labelled_frames(file, layout, given, 400)
    with pytest.raises(InputError, match="or (another )?--layout$"):
        read_labelled_frames(tmp_path, layout, given, 400)


def test_layouts_with_classes_of_their_own_are_known(tmp_path, labels):
    refused = set()
    for layout in LAYOUTS:
        with pytest.raises(InputError) as error:
            read_labelled_frames(tmp_path, layout, labels, 400)
        if "leave out --labels" in str(error.value):
            refused.add(layout)
    assert refused == WITH_OWN_CLASSES


def test_autolaparos_values_are_a_setting(tmp_path, labels):
    for name in ("001_01", "001_02", "002_01"):
        save(tmp_path / f"imgs/{name}.jpg", picture())
        save(tmp_path / f"masks/{name}.png", two_graspers_on_liver())
    save(tmp_path / "more/images/003_01.jpg", picture())
    save(tmp_path / "more/masks/003_01.png", two_graspers_on_liver())
    frames = read_labelled_frames(tmp_path, "autolaparo", labels, 400)
    assert sorted(frames.clips[0].class_of_track.values()) == [1, 1, 2]
    assert frames.videos == ("001", "001", "002", "003")
    with pytest.raises(InputError, match="give --labels with a value for each class"):
        read_labelled_frames(tmp_path, "autolaparo", None, 400)


def test_what_a_mask_leaves_open_is_ignored(tmp_path, labels):
    values = two_graspers_on_liver()
    values[30:, :20] = 7
    save(tmp_path / "images/a.png", picture())
    save(tmp_path / "masks/a.png", values)
    with_open_region = replace(labels, ignored_values=(7,))
    frames = read_labelled_frames(tmp_path, "masks", with_open_region, 400)
    # And the speck beside the graspers.
    assert ignored_pixels(frames) == 201
    assert sorted(frames.clips[0].class_of_track.values()) == [1, 1, 2]


def test_the_only_video_has_the_name_of_its_folder(tmp_path, labels, monkeypatch):
    save(tmp_path / "op1/images/a.jpg", picture())
    save(tmp_path / "op1/masks/a.png", two_graspers_on_liver())
    save(tmp_path / "op1/images/more/images/b.jpg", picture())
    monkeypatch.chdir(tmp_path / "op1")
    frames = read_labelled_frames(Path(), "masks", labels, 400)
    assert (frames.videos, len(frames.problems)) == (("op1",), 0)


def test_folders_of_images_and_masks_are_videos(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/images").touch()
    for video, value in (("op1", 90), ("more/op2", 255)):
        save(tmp_path / video / "images/a.png", picture())
        save(tmp_path / video / "masks/a.png", np.full((40, 60), value))
    frames = read_labelled_frames(tmp_path, "masks", None, 400)
    assert frames.videos == ("more/op2", "op1")
    assert [label.value for label in frames.label_set.classes] == [90, 255]


def test_of_more_objects_than_can_be_told_apart_the_last_are_ignored():
    image = np.zeros((16, 20, 3), np.uint8)
    instances = [(1, np.arange(320).reshape(16, 20) == number) for number in range(300)]
    clip = clip_of_instances(image, instances, 400)
    assert len(clip.class_of_track) == 254
    assert (clip.track_maps[0].ravel()[254:300] == IGNORED).all()
    assert not clip.track_maps[0].ravel()[300:].any()


@pytest.mark.parametrize(
    ("layout", "name", "content"),
    [
        ("labelme", "0.json", '{"shapes": [{"label": "a\\u0001b", "points": []}]}'),
        ("labelme", "0.json", '{"shapes": ' + "[" * 5000),
        ("coco", "0.json", '{"images": [{"id": 1, "file_name": 7, "video_id": []}], '
            '"categories": [], "annotations": []}'),
        ("cvat", "0.xml", '<?xml version="1.0" encoding="nonsense"?><annotations/>'),
    ],
)  # fmt: skip
def test_whatever_a_file_of_others_holds_is_one_sentence(tmp_path, layout, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError) as error:
        read_labelled_frames(tmp_path, layout, None, 400)
    assert str(tmp_path) in str(error.value)
