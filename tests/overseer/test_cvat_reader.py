"""`CVAT for video 1.1`, written here by hand as CVAT's documentation shows it."""

from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

from overseer.datasets import read_labelled_frames
from pipeline.errors import InputError
from pipeline.video_writer import VideoWriter
from tests.conftest import assert_left_out
from tests.small_data import picture, save

PLUS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)


def mask(frame, left=4, top=6, pixels=PLUS, **more):
    runs = [(value, len(list(group))) for value, group in groupby(pixels.ravel().tolist())]
    lengths = [0] * bool(runs[0][0]) + [length for _, length in runs]
    attributes = {
        "frame": frame, "outside": 0, "keyframe": 1, "left": left, "top": top,
        "width": pixels.shape[1], "height": pixels.shape[0],
        "rle": ", ".join(map(str, lengths)), "z_order": 0,
    } | more  # fmt: skip
    return element("mask", attributes)


def polygon(frame, points, **more):
    text = ";".join(f"{x:.2f},{y:.2f}" for x, y in points)
    attributes = {"frame": frame, "outside": 0, "points": text, "z_order": 0}
    return element("polygon", attributes | more)


def element(name, attributes):
    text = " ".join(f'{key}="{value}"' for key, value in attributes.items())
    return f"<{name} {text}></{name}>"


def write(path, *tracks, source="op.mp4", size=(40, 60), head=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    body = "".join(
        f'<track id="{number}" label="{label}" source="manual">{"".join(shapes)}</track>'
        for number, (label, *shapes) in enumerate(tracks)
    )
    path.write_text(
        f'<?xml version="1.0" encoding="utf-8"?>{head}<annotations><version>1.1</version><meta>'
        "<task><labels><label><name>Grasper</name><color>#aaff07</color><attributes>"
        "<attribute><name>open</name></attribute></attributes></label></labels><original_size>"
        f"<width>{size[1]}</width><height>{size[0]}</height></original_size>"
        f"<source>{source}</source></task></meta>{body}</annotations>"
    )


def regions(frames, number=0):
    clip = frames.clips[number]
    names = {label.id: label.name for label in frames.label_set.classes}
    return {names[clip.class_of_track[track]]: region for track, region in clip.masks(0)}


def pictures(folder, *numbers):
    for number in numbers:
        save(folder / f"images/frame_{number:06d}.png", picture() + number % 100)


SQUARE = [(20, 20), (30, 20), (30, 30), (20, 30)]


def test_masks_and_polygons_are_read_with_cvats_images(tmp_path):
    write(
        tmp_path / "annotations.xml",
        ("Grasper", mask(0), mask(5, left=10), mask(6, outside=1)),
        ("Hook", polygon(5, SQUARE)),
    )
    pictures(tmp_path, 0, 5, 6)
    frames = read_labelled_frames(tmp_path, "cvat", None, 400)
    grasper, hook = frames.label_set.classes
    assert (grasper.name, grasper.color, hook.name) == ("Grasper", (0xAA, 0xFF, 7), "Hook")
    assert [path.name for path in frames.paths] == ["frame_000000.png", "frame_000005.png"]
    assert frames.videos == ("op.mp4", "op.mp4")
    first = regions(frames)["Grasper"]
    assert np.array_equal(first[6:9, 4:7], PLUS)
    assert first.sum() == PLUS.sum()
    second = regions(frames, 1)
    assert np.array_equal(second["Grasper"][6:9, 10:13], PLUS)
    assert second["Hook"].sum() == 100


@pytest.mark.parametrize("name", ["data", "op1"])
def test_a_file_that_names_no_video_is_one_by_its_folder(tmp_path, monkeypatch, name):
    folder = tmp_path / "data"
    beside = folder if name == "data" else folder / name
    write(beside / "annotations.xml", ("Grasper", mask(0)), source="")
    pictures(beside, 0)
    monkeypatch.chdir(folder)
    for given in (folder, Path()):
        assert read_labelled_frames(given, "cvat", None, 400).videos == (name,)


def test_what_lies_higher_covers_what_lies_lower(tmp_path):
    full = np.ones((10, 10), bool)
    write(
        tmp_path / "a.xml",
        ("Grasper", mask(0, pixels=full, z_order=1)),
        ("Hook", mask(0, pixels=full, left=9)),
    )
    pictures(tmp_path, 0)
    found = regions(read_labelled_frames(tmp_path, "cvat", None, 400))
    assert (found["Grasper"].sum(), found["Hook"].sum()) == (100, 50)


@pytest.mark.parametrize("name", ["op.mp4", "renamed.mp4"])
def test_frames_come_from_the_video_beside_the_file(tmp_path, name):
    write(tmp_path / "op1/a.xml", ("Grasper", mask(2), mask(7)))
    with VideoWriter(tmp_path / "op1" / name, rate=25, width=60, height=40, quality=1) as writer:
        for index in range(9):
            writer.add(np.full((40, 60, 3), 20 * index, np.uint8))
    frames = read_labelled_frames(tmp_path, "cvat", None, 400)
    means = [clip.images.mean() for clip in frames.clips]
    assert means == [pytest.approx(40, abs=4), pytest.approx(140, abs=4)]


@pytest.mark.parametrize(
    ("names", "mode"),
    [
        # CVAT takes pictures in the order of characters, as its makers say in issue 7701.
        (("1", "10", "2"), ""),
        (("img_1", "img_10", "img_2"), "annotation"),
        # A video's frames that were cut out by another tool, which counts from 1.
        (("frame_000001", "frame_000002", "frame_000003"), "annotation"),
    ],
)
def test_pictures_of_other_names_are_in_cvats_order(tmp_path, names, mode):
    path = tmp_path / "a.xml"
    write(path, *(("Grasper", mask(frame, left=frame)) for frame in range(3)))
    path.write_text(path.read_text().replace("<task>", f"<task><mode>{mode}</mode>"))
    for number, name in enumerate(names):
        save(tmp_path / f"images/{name}.png", picture() + number)
    frames = read_labelled_frames(tmp_path, "cvat", None, 400)
    assert [path.stem for path in frames.paths] == list(names)
    assert [int(clip.images.max()) for clip in frames.clips] == [90, 91, 92]


@pytest.mark.parametrize(("left", "top"), [(0, 0), (57, 37)])
def test_masks_may_touch_the_border(tmp_path, left, top):
    write(tmp_path / "a.xml", ("Grasper", mask(0, left=left, top=top)))
    pictures(tmp_path, 0)
    found = regions(read_labelled_frames(tmp_path, "cvat", None, 400))["Grasper"]
    assert np.array_equal(found[top : top + 3, left : left + 3], PLUS)
    assert found.sum() == PLUS.sum()


def write_video(path, level):
    with VideoWriter(path, rate=25, width=60, height=40, quality=1) as writer:
        writer.add(np.full((40, 60, 3), level, np.uint8))


def test_of_several_videos_the_one_that_the_file_names_is_its(tmp_path):
    for number, name in enumerate(("a.mp4", "op.mp4", "z.mp4"), 1):
        write_video(tmp_path / name, 40 * number)
    write(tmp_path / "a.xml", ("Grasper", mask(0)))
    (clip,) = read_labelled_frames(tmp_path, "cvat", None, 400).clips
    assert clip.images.mean() == pytest.approx(80, abs=4)
    write(tmp_path / "a.xml", ("Grasper", mask(0)), source="other.mp4")
    with pytest.raises(InputError, match="has neither a folder images nor other.mp4 beside it"):
        read_labelled_frames(tmp_path, "cvat", None, 400)
    write_video(tmp_path / "one" / "a.mp4", 40)
    write(tmp_path / "one" / "a.xml", ("Grasper", mask(1)), source="other.mp4")
    with pytest.raises(InputError, match=r"shapes in frame 1, but .*a\.mp4 has 1 frames"):
        read_labelled_frames(tmp_path / "one", "cvat", None, 400)


def test_of_a_long_video_some_frames_are_read(tmp_path):
    write(tmp_path / "a.xml", ("Grasper", *(mask(frame) for frame in range(450))))
    pictures(tmp_path, *range(450))
    frames = read_labelled_frames(tmp_path, "cvat", None, 40)
    assert [path.stem for path in frames.paths[:2]] == ["frame_000000", "frame_000003"]
    assert len(frames.clips) == 150


def test_what_does_not_fit_is_named(tmp_path, labels):
    good = ("Grasper", mask(0))
    write(tmp_path / "good/a.xml", good)
    write(tmp_path / "box/a.xml", ("Grasper", element("box", {"frame": 0, "xtl": 1})))
    write(tmp_path / "runs/a.xml", ("Grasper", mask(0, rle="3, 3")))
    write(tmp_path / "outside/a.xml", ("Grasper", mask(0, left=58)))
    write(tmp_path / "line/a.xml", ("Grasper", polygon(0, SQUARE[:2])))
    write(tmp_path / "unknown/a.xml", ("Spleen", mask(0)))
    write(tmp_path / "size/a.xml", good, size=(20, 60))
    write(tmp_path / "late/a.xml", ("Grasper", mask(9)))
    for name in ("good", "box", "runs", "outside", "line", "unknown", "size", "late"):
        pictures(tmp_path / name, 0)
    write(tmp_path / "alone/a.xml", good)
    write(tmp_path / "empty/a.xml")
    (tmp_path / "broken.xml").write_text("<annotations><track")
    frames = read_labelled_frames(tmp_path, "cvat", labels, 400)
    assert len(frames.clips) == 1
    said = {
        "box/a.xml has a box in frame 0 that cannot be read (a box says nothing of the outline)",
        "runs/a.xml has a mask in frame 0 that cannot be read (its runs do not fill its box)",
        "outside/a.xml has a mask in frame 0 that cannot be read (the mask leaves the frame)",
        "line/a.xml has a polygon in frame 0 that cannot be read (it has fewer than 3 points)",
        "unknown/a.xml has the label 'Spleen' in frame 0",
        "size/a.xml is 60x20, its picture is 60x40",
        "late/a.xml has shapes in frame 9, which is not in",
        "alone/a.xml has neither a folder images nor op.mp4 beside it",
        "empty/a.xml has no tracks",
        "broken.xml is not a file in CVAT for video 1.1",
    }
    assert_left_out(frames, said)


def test_entities_are_never_expanded(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    head = f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{tmp_path}/secret.txt">]>'
    write(tmp_path / "a.xml", ("Grasper", mask(0)), head=head, source="&x;")
    pictures(tmp_path, 0)
    with pytest.raises(InputError, match=r"a.xml is not a file in CVAT for video 1.1"):
        read_labelled_frames(tmp_path, "cvat", None, 400)


def test_a_file_cannot_lead_out_of_its_folder(tmp_path):
    write(tmp_path / "data/a.xml", ("Grasper", mask(0)), source="../secret.mp4")
    with VideoWriter(tmp_path / "secret.mp4", rate=25, width=60, height=40, quality=1) as writer:
        writer.add(picture())
    with pytest.raises(InputError, match="nor ../secret.mp4 beside it"):
        read_labelled_frames(tmp_path / "data", "cvat", None, 400)


def test_an_exported_set_comes_back(tmp_path, labels):
    from pipeline.exports import export
    from tests.pipeline.test_yolo import RING, TWO_PARTS, annotate

    selection = annotate(tmp_path, "op", 40, labels)
    (tmp_path / "cvat").mkdir()
    export(selection, "cvat", tmp_path / "cvat/annotations.xml")
    (tmp_path / "op.mp4").rename(tmp_path / "cvat/op.mp4")
    found = regions(read_labelled_frames(tmp_path / "cvat", "cvat", labels, 400))
    assert np.array_equal(found["Grasper"], TWO_PARTS)
    assert np.array_equal(found["Liver"], RING)


def test_a_place_in_depth_that_is_no_number_costs_its_frame_alone(tmp_path):
    pictures(tmp_path, 0, 1)
    write(tmp_path / "annotations.xml", ("Grasper", mask(0)), ("Grasper", mask(1, z_order="top")))
    frames = read_labelled_frames(tmp_path, "cvat", None, 400)
    assert len(frames.clips) == 1
    assert_left_out(frames, {"annotations.xml has a z_order in frame 1 that is no whole number"})


@pytest.mark.parametrize("kind", ["ellipse", "polyline", "points", "cuboid", "skeleton"])
def test_a_frame_with_a_shape_that_is_not_filled_is_left_out(tmp_path, kind):
    """Its object would be learned as background."""
    write(
        tmp_path / "a.xml",
        ("Grasper", mask(0), mask(1)),
        ("Grasper", element(kind, {"frame": 1, "outside": 0})),
    )
    pictures(tmp_path, 0, 1)
    frames = read_labelled_frames(tmp_path, "cvat", None, 400)
    assert [path.name for path in frames.paths] == ["frame_000000.png"]
    assert_left_out(frames, {f"has a {kind} in frame 1 that cannot be read (a {kind} says nothing"})


def test_the_tasks_of_a_project_are_not_taken_for_one(tmp_path):
    write(tmp_path / "good/a.xml", ("Grasper", mask(0)))
    write(tmp_path / "project/a.xml", ("Grasper", mask(0)), ("Grasper", mask(0, left=20)))
    for name in ("good", "project"):
        pictures(tmp_path / name, 0)
    file = tmp_path / "project/a.xml"
    tasks = "<project><tasks><task><id>1</id></task><task><id>2</id></task></tasks></project>"
    file.write_text(file.read_text().replace("<meta>", f"<meta>{tasks}"))
    frames = read_labelled_frames(tmp_path, "cvat", None, 400)
    assert len(frames.clips) == 1
    assert_left_out(frames, {"project/a.xml holds the 2 tasks of a project"})
