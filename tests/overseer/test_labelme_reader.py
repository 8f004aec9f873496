"""LabelMe's files, one for each picture: shapes of one group are one instance."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from overseer.datasets import read_labelled_frames
from pipeline.errors import InputError
from tests.conftest import assert_left_out
from tests.small_data import picture, polygon, save


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
    for name in (
        "good", "unknown", "small", "narrow", "line", "text", "nan", "far", "flat", "none", "odd",
        "bare",
    ):  # fmt: skip
        save(tmp_path / f"{name}.png", picture())
    labelme(tmp_path / "good.json", ("Grasper", good, None))
    labelme(tmp_path / "unknown.json", ("Spleen", good, None))
    labelme(tmp_path / "small.json", ("Grasper", good, None), imageHeight=20, imageWidth=60)
    labelme(tmp_path / "narrow.json", ("Grasper", good, None), imageHeight=40, imageWidth=30)
    labelme(tmp_path / "bare.json", shapes=[{"label": "Grasper"}])
    labelme(tmp_path / "line.json", ("Grasper", good[:2], None))
    labelme(tmp_path / "text.json", ("Grasper", [["x", 1], *good], None))
    labelme(tmp_path / "nan.json", ("Grasper", [[float("nan"), 1], *good], None))
    labelme(tmp_path / "far.json", ("Grasper", [[3e7, 1], *good], None))
    labelme(tmp_path / "flat.json", ("Grasper", [1, 2, 3, 4, 5, 6], None))
    labelme(tmp_path / "none.json", ("Grasper", None, None))
    labelme(tmp_path / "odd.json", ("Grasper", good, None), imageHeight="high")
    labelme(tmp_path / "gone.json", ("Grasper", good, None))
    (tmp_path / "broken.json").write_text("{")
    frames = read_labelled_frames(tmp_path, "labelme", labels, 400)
    assert len(frames.clips) == 1
    said = {
        "unknown.json has the label 'Spleen'",
        "small.json is 60x20, its picture is 60x40",
        "narrow.json is 30x40, its picture is 60x40",
        "bare.json is not a LabelMe file (a shape has no label or no points)",
        "line.json has a shape of fewer than 3 points",
        "text.json has a shape that cannot be read",
        "nan.json has a shape that cannot be read (the polygon lies outside",
        "far.json has a shape that cannot be read (the polygon lies outside",
        "flat.json has a shape that cannot be read",
        "none.json has a shape that cannot be read",
        "odd.json has a shape that cannot be read",
        "gone.png",
        "broken",
    }
    assert_left_out(frames, said)


def test_a_damaged_file_has_no_say_in_what_the_labels_are(tmp_path):
    for name in ("good", "broken"):
        save(tmp_path / f"{name}.png", picture())
    labelme(tmp_path / "good.json", ("hook", polygon(0, 0, 10, 10), None))
    (tmp_path / "broken.json").write_text("{")
    frames = read_labelled_frames(tmp_path, "labelme", None, 400)
    assert [label.name for label in frames.label_set.classes] == ["hook"]
    assert_left_out(frames, {"broken.json is not a LabelMe file"})


def shape_of(kind, points):
    return {"label": "Grasper", "points": points, "group_id": None, "shape_type": kind}


def test_rectangles_and_circles_are_filled(tmp_path, labels):
    save(tmp_path / "a.png", picture())
    shapes = [shape_of("rectangle", [[20, 30], [2, 25]]), shape_of("circle", [[40, 20], [46, 28]])]
    labelme(tmp_path / "a.json", shapes=shapes)
    (clip,) = read_labelled_frames(tmp_path, "labelme", labels, 400).clips
    rectangle, circle = (mask for _, mask in clip.masks(0))
    assert rectangle[25:30, 2:20].all()
    assert rectangle.sum() == 18 * 5
    rows, columns = np.indices((40, 60)) + 0.5
    inside = np.hypot(columns - 40, rows - 20)
    assert circle[inside < 9].all()
    assert not circle[inside > 11].any()
    assert circle.sum() == pytest.approx(np.pi * 10**2, rel=0.05)


@pytest.mark.parametrize("kind", ["", "rotation", "oriented_rectangle"])
def test_four_corners_are_filled_by_whatever_name(tmp_path, labels, kind):
    save(tmp_path / "a.png", picture())
    labelme(tmp_path / "a.json", shapes=[shape_of(kind, polygon(2, 25, 20, 30))])
    (clip,) = read_labelled_frames(tmp_path, "labelme", labels, 400).clips
    ((_, mask),) = clip.masks(0)
    assert mask.sum() == mask[25:30, 2:20].sum() == 18 * 5


# The last two are other tools': an ellipse by three points, a box in space by its corners.
@pytest.mark.parametrize("kind", ["line", "linestrip", "point", "points", "ellipse", "cuboid"])
def test_what_is_no_outline_is_not_filled(tmp_path, labels, kind):
    """Nor left out in silence, since it would be learned as background."""
    good = polygon(0, 0, 10, 10)
    for name in ("good", "bad"):
        save(tmp_path / f"{name}.png", picture())
    labelme(tmp_path / "good.json", ("Grasper", good, None))
    shapes = [shape_of("polygon", good), shape_of(kind, good)]
    labelme(tmp_path / "bad.json", shapes=shapes)
    frames = read_labelled_frames(tmp_path, "labelme", labels, 400)
    assert [path.name for path in frames.paths] == ["good.png"]
    assert_left_out(frames, {f"bad.json has a shape of type {kind}, which is no outline; draw"})


def png(values):
    """A picture as LabelMe writes it into its files."""
    file = io.BytesIO()
    Image.fromarray(np.asarray(values, np.uint8)).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()


def mask_shape(left, top, values, **more):
    """A mask as LabelMe's AI tools write it: the box's first and last pixel, 0 and 1 in it."""
    height, width = np.shape(values)
    corners = [[left, top], [left + width - 1.0, top + height - 1.0]]
    entry = shape_of("mask", corners) | {"description": "", "flags": {}, "mask": png(values)}
    return entry | more


def test_masks_within_the_file_are_read(tmp_path, labels):
    """Beside polygons; of one group they are one instance."""
    drawn = np.random.default_rng(3).integers(0, 2, (12, 17))
    save(tmp_path / "a.png", picture())
    shapes = [
        mask_shape(30, 8, drawn),
        mask_shape(2, 20, np.ones((3, 5)), group_id=4),
        shape_of("polygon", polygon(10, 20, 14, 22)) | {"group_id": 4},
    ]
    labelme(tmp_path / "a.json", shapes=shapes, version="5.8.1", flags={}, imageData=None,
            imageHeight=40, imageWidth=60)  # fmt: skip
    (clip,) = read_labelled_frames(tmp_path, "labelme", labels, 400).clips
    alone, grouped = (mask for _, mask in clip.masks(0))
    assert np.array_equal(alone[8:20, 30:47], drawn == 1)
    assert alone.sum() == drawn.sum()
    assert grouped[20:23, 2:7].all()
    assert grouped.sum() == 15 + 8


def test_masks_at_the_border_and_moved_ones_are_read(tmp_path, labels):
    """LabelMe's boxes once ended behind the last pixel, and there behind the picture."""
    behind = mask_shape(50, 35, np.ones((5, 10)), points=[[50, 35], [60, 40]])
    moved = mask_shape(0, 0, np.ones((4, 6)), points=[[-2.5, 3.5], [2.5, 6.5]])
    save(tmp_path / "a.png", picture())
    labelme(tmp_path / "a.json", shapes=[behind, moved])
    (clip,) = read_labelled_frames(tmp_path, "labelme", labels, 400).clips
    corner, cut = (mask for _, mask in clip.masks(0))
    assert corner[35:, 50:].all()
    assert corner.sum() == 50
    assert cut[4:8, :4].all()
    assert cut.sum() == 16


def test_masks_that_cannot_be_read_are_named(tmp_path, labels):
    ones = np.ones((4, 6))
    whole = mask_shape(5, 5, ones)
    damaged = "has a mask of Grasper that is no readable PNG in base64; draw it anew"
    bad = {
        "text": ({"mask": "no base64!"}, damaged),
        "short": ({"mask": whole["mask"][:60]}, damaged),
        "none": ({"mask": None}, damaged),
        "jpeg": ({"mask": base64.b64encode(b"\xff\xd8\xff\xe0 and so on").decode()}, damaged),
        "colour": ({"mask": png(np.ones((4, 6, 3)))}, "has a mask of Grasper in colour"),
        "large": ({"mask": png(np.ones((5, 6)))}, "has a mask of 6x5 in a box of 6x4; draw it"),
        "corner": ({"points": [[5, 5]]}, "has a mask without two corners"),
    }
    for name, (wrong, _) in {**bad, "good": ({}, "")}.items():
        save(tmp_path / f"{name}.png", picture())
        labelme(tmp_path / f"{name}.json", shapes=[whole, whole | wrong])
    frames = read_labelled_frames(tmp_path, "labelme", labels, 400)
    assert [path.name for path in frames.paths] == ["good.png"]
    assert_left_out(frames, {f"{name}.json {said}" for name, (_, said) in bad.items()})


def test_a_labelme_file_cannot_lead_out_of_its_folder(tmp_path, labels):
    save(tmp_path / "secret.png", picture())
    labelme(tmp_path / "data/a.json", ("Grasper", polygon(0, 0, 9, 9), None),
            imagePath="../secret.png")  # fmt: skip
    with pytest.raises(InputError, match="data/a.png"):
        read_labelled_frames(tmp_path / "data", "labelme", labels, 400)


def test_cholecinstanceseg_has_its_own_classes(tmp_path):
    names = ("grasper", "hook", "irrigator", "clipper", "bipolar", "scissors", "snare")
    save(tmp_path / "a.png", picture())
    shapes = [(name, polygon(8 * n, 0, 8 * n + 7, 7), n) for n, name in enumerate(names)]
    labelme(tmp_path / "a.json", *shapes)
    (clip,) = read_labelled_frames(tmp_path, "cholecinstanceseg", None, 400).clips
    assert [clip.class_of_track[track] for track, _ in clip.masks(0)] == list(range(1, 8))


def test_cholec_instance_seg_is_laid_out_with_pictures_and_labels_apart(tmp_path):
    for sequence in ("VID01_seg8k", "VID01_t50_full", "VID02_seg8k"):
        for number in (1, 2, 10):
            folder = tmp_path / "train" / sequence
            save(folder / "img_dir" / f"{number}.png", picture())
            labelme(
                folder / "ann_dir" / f"{number}.json",
                ("hook", polygon(0, 0, 10, 10), 1),
                imagePath=f"img_dir/{number}.png",
            )
    frames = read_labelled_frames(tmp_path, "cholecinstanceseg", None, 400)
    assert (len(frames.clips), frames.problems) == (9, ())
    assert set(frames.videos) == {"VID01", "VID02"}
    first = [path.name for path in frames.paths[:3]]
    assert first == ["1.png", "2.png", "10.png"]
