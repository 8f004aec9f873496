"""Corrections read back from files that other tools would have written."""

import json
import zipfile
from contextlib import redirect_stdout
from io import StringIO
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from pipeline.annotation_set import AnnotationSet
from pipeline.annotation_set_writer import AnnotationSetWriter, new_manifest
from pipeline.errors import InputError, UsageError
from pipeline.exports import Selection, export
from pipeline.frames import open_video
from pipeline.imports import IMPORTERS, read_changes
from pipeline.imports.drawing import outline_rle
from pipeline.imports.label_studio import unpack_runs
from pipeline.masks import decode_mask, encode_mask
from pipeline.records import Origin
from tests.conftest import annotated_frame, rectangle
from tests.test_label_studio import brush

SIZE = (64, 96)
LEFT = rectangle(4, 4, 14, 30, SIZE)
RIGHT = rectangle(50, 10, 80, 60, SIZE) & ~rectangle(60, 20, 70, 30, SIZE)
SPECK = rectangle(0, 60, 1, 61, SIZE)
WIDER = rectangle(4, 4, 20, 34, SIZE)
NEW = rectangle(30, 40, 44, 60, SIZE)


@pytest.fixture
def annotated(small_video, labels):
    """Track 3 is a liver, 7 a grasper that is away on frames 4 and 5, 8 a speck on frame 2."""
    path = small_video.parent / "small.annset"
    with AnnotationSetWriter(path, new_manifest(open_video(small_video).info, labels)) as writer:
        for index in range(12):
            tracks = {"t3_c2": RIGHT}
            if index not in (4, 5):
                tracks["t7_c1"] = LEFT
            if index == 2:
                tracks["t8_c1"] = SPECK
            writer.add(annotated_frame(index, **tracks))
    return AnnotationSet(path)


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


@pytest.mark.parametrize("format_name", ["coco", "cvat", "davis"])
@pytest.mark.parametrize(
    "options", [{}, {"every": 2}, {"classes": ("Liver",)}, {"min_area": 5}, {"every": 5}], ids=str
)
def test_what_was_not_touched_is_no_correction(annotated, tmp_path, format_name, options):
    export(Selection(annotation_set=annotated, **options), format_name, tmp_path / "out")
    assert read(tmp_path / "out", format_name, annotated, **options) == {}


def test_the_frames_that_the_human_saw_are_told(annotated, tmp_path):
    for name in IMPORTERS:
        selection = Selection(annotation_set=annotated, every=5)
        export(selection, name, tmp_path / name)
        path = tmp_path / name / "tasks.json" if name == "label-studio" else tmp_path / name
        if name == "label-studio":
            submit(path)
        assert [frame.index for frame in read_changes(path, name, selection)] == [0, 5, 10]


# CVAT


def cvat_track(root, *, label, frame, track_id=None, **shape):
    """Write a shape as CVAT's own exporter does."""
    track = ElementTree.SubElement(
        root, "track", id=str(len(root.findall("track"))), label=label, source="manual"
    )
    for number, outside in ((frame, "0"), (frame + 1, "1")):
        tag = "polygon" if "points" in shape else "mask"
        given = {"frame": str(number), "keyframe": "1", "outside": outside, "occluded": "0"}
        entry = ElementTree.SubElement(track, tag, **given, z_order="0", **shape)
        if track_id is not None:
            ElementTree.SubElement(entry, "attribute", name="track_id").text = str(track_id)


def cvat_runs(mask):
    """Write a mask as CVAT documents it, cropped to its box, run by run and row by row."""
    rows, columns = np.nonzero(mask)
    top, left = rows.min(), columns.min()
    part = mask[top : rows.max() + 1, left : columns.max() + 1]
    runs, value, length = [], False, 0
    for pixel in part.ravel():
        if pixel != value:
            runs.append(length)
            value, length = pixel, 0
        length += 1
    return {
        "rle": ", ".join(map(str, [*runs, length])),
        "left": str(left),
        "top": str(top),
        "width": str(part.shape[1]),
        "height": str(part.shape[0]),
    }


@pytest.fixture
def cvat(annotated, tmp_path):
    """The set as CVAT exports it, to be edited, and a function that reads it again."""
    export(Selection(annotation_set=annotated), "cvat", tmp_path / "cvat.xml")
    document = ElementTree.parse(tmp_path / "cvat.xml")

    def read_again(**options):
        document.write(tmp_path / "corrected.xml")
        return read(tmp_path / "corrected.xml", "cvat", annotated, **options)

    return document.getroot(), read_again


def shown(root, frame, track_id):
    for track in root.findall("track"):
        entry = track.find("mask[@outside='0']")
        if (entry.get("frame"), entry.findtext("attribute")) == (str(frame), str(track_id)):
            return track
    raise AssertionError("no such mask")


def test_corrections_come_from_cvat(cvat):
    root, read_again = cvat
    shown(root, 1, 7).find("mask").attrib.update(cvat_runs(WIDER))
    shown(root, 3, 7).set("label", "Liver")
    root.remove(shown(root, 6, 3))
    cvat_track(root, label="Grasper", frame=5, track_id=0, **cvat_runs(NEW))
    cvat_track(root, label="Grasper", frame=6, **cvat_runs(NEW))
    cvat_track(root, label="Grasper", frame=8, track_id=20, **cvat_runs(NEW))
    assert_changes(
        read_again(),
        {
            (1, 7): (1, WIDER),
            (3, 7): (2, LEFT),
            (6, 3): None,
            (5, 21): (1, NEW),
            (6, 21): (1, NEW),
            (8, 20): (1, NEW),
        },
    )


def test_two_new_objects_stay_two(cvat):
    root, read_again = cvat
    cvat_track(root, label="Grasper", frame=4, **cvat_runs(NEW))
    upper, lower = rectangle(30, 40, 44, 49, SIZE), rectangle(30, 51, 44, 60, SIZE)
    for mask in (upper, lower):
        cvat_track(root, label="Grasper", frame=5, **cvat_runs(mask))
    assert_changes(read_again(), {(4, 9): (1, NEW), (5, 9): (1, upper), (5, 10): (1, lower)})


def test_without_ids_cvat_masks_belong_to_what_they_overlap(cvat):
    root, read_again = cvat
    for entry in root.iter("mask"):
        entry.clear() if entry.get("outside") == "1" else entry.remove(entry.find("attribute"))
    for track in root.findall("track"):
        track.remove(track.findall("mask")[-1]) if len(track) > 1 else None
    assert read_again() == {}
    cvat_track(root, label="Grasper", frame=4, **cvat_runs(LEFT))
    assert_changes(read_again(), {(4, 9): (1, LEFT)})


def test_a_cvat_polygon_is_filled_as_coco_fills_it(cvat):
    root, read_again = cvat
    points = np.array([[50, 10], [80, 10.5], [80, 60], [50.25, 60]])
    root.remove(shown(root, 2, 3))
    text = ";".join(f"{x},{y}" for x, y in points)
    cvat_track(root, label="Liver", frame=2, track_id=3, points=text)
    filled = coco_mask.decode(coco_mask.frPyObjects([points.ravel().tolist()], *SIZE))[..., 0] > 0
    assert_changes(read_again(), {(2, 3): (2, filled)})


def test_a_mask_that_only_became_a_polygon_is_no_correction(cvat, annotated):
    root, read_again = cvat
    (ring,), _ = cv2.findContours(LEFT.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    text = ";".join(f"{x},{y}" for x, y in ring[:, 0])
    root.remove(shown(root, 2, 7))
    cvat_track(root, label="Grasper", frame=2, track_id=7, points=text)
    assert not np.array_equal(decode_mask(outline_rle(encode_mask(LEFT))), LEFT)
    assert read_again() == {}


def test_a_cvat_job_speaks_of_its_own_frames_only(cvat):
    root, read_again = cvat
    for track in root.findall("track"):
        if int(track.find("mask").get("frame")) < 6:
            root.remove(track)
    task = root.find("meta/task")
    for name, frame in (("start_frame", 6), ("stop_frame", 11)):
        ElementTree.SubElement(task, name).text = str(frame)
    assert read_again() == {}


def test_cvat_gives_a_zip_file(annotated, tmp_path):
    export(Selection(annotation_set=annotated), "cvat", tmp_path / "cvat.xml")
    with zipfile.ZipFile(tmp_path / "task.zip", "w") as archive:
        archive.write(tmp_path / "cvat.xml", "annotations.xml")
    assert read(tmp_path / "task.zip", "cvat", annotated) == {}


BOMB = """<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>
<annotations><meta>&b;</meta></annotations>"""
OUTSIDE = """<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>
<annotations><meta>&a;</meta></annotations>"""


def track_text(shape):
    return f'<annotations><track id="0" label="Grasper">{shape}</track></annotations>'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (BOMB, "not a file of CVAT"),
        (OUTSIDE, "not a file of CVAT"),
        ("<annotations><track>", "not a file of CVAT"),
        ("<html/>", "not a file of CVAT"),
        ('<annotations><image id="0"/></annotations>', "CVAT for images"),
        (track_text('<box frame="3" outside="0"/>'), "box on frame 3"),
        (track_text('<polygon frame="3" points="1,2;3,4"/>'), "polygon on frame 3"),
        (track_text('<polygon frame="3" points="1,2;3,4;9e9,5"/>'), "outside the frame"),
        (track_text('<polygon frame="3" points="1,2;3,4;nan,5"/>'), "outside the frame"),
        (track_text('<mask frame="3" rle="9000000000" left="0" top="0" width="90000" height="100000"/>'), "leaves"),
        (track_text('<mask frame="3" rle="0,9" left="0" top="0" width="2" height="2"/>'), "runs"),
        (track_text('<mask frame="3" rle="0,4" left="95" top="0" width="2" height="2"/>'), "leaves"),
        (track_text('<mask frame="99" rle="0,4" left="5" top="0" width="2" height="2"/>'), "frame 99"),
        (track_text('<mask frame="3"/>').replace("Grasper", "Spleen"), "Spleen|frame 3"),
    ],
)  # fmt: skip
def test_bad_cvat_files_are_refused(annotated, tmp_path, text, problem):
    (tmp_path / "bad.xml").write_text(text)
    with pytest.raises(InputError, match=problem) as raised:
        read(tmp_path / "bad.xml", "cvat", annotated)
    assert "bad.xml" in str(raised.value)


# COCO


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
        (lambda d: d["annotations"][0].update(category_id=9), "frame 0"),
        (lambda d: d["categories"][0].update(name="Spleen"), "class 'Spleen'"),
        (lambda d: d["annotations"][0]["segmentation"].update(size=[4, 4]), "4x4"),
        (lambda d: d["annotations"][0]["segmentation"].update(counts=[5, 5]), "runs"),
        (lambda d: d["annotations"][0]["segmentation"].update(counts="P" * 40), "frame 0"),
        (lambda d: d["annotations"][0].update(segmentation=[[1, 2, 3, 4]]), "three points"),
        (lambda d: d["images"][0].update(frame_index=900), "frame 900"),
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


# DAVIS


def repaint(path, frame, mask, value):
    file = path / f"{frame:05d}.png"
    with Image.open(file) as picture:
        palette, values = picture.getpalette(), np.array(picture)
    values[mask] = value
    repainted = Image.fromarray(values, mode="P")
    repainted.putpalette(palette)
    repainted.save(file)


def test_corrections_come_from_davis(annotated, tmp_path):
    path = tmp_path / "davis"
    export(Selection(annotation_set=annotated), "davis", path)
    repaint(path, 1, WIDER, 2)
    repaint(path, 6, RIGHT, 0)
    for frame in (5, 9):
        repaint(path, frame, NEW, 200)
    with (path / "objects.csv").open("a") as file:
        file.write("200,,,Grasper\n")
    assert_changes(
        read(path, "davis", annotated),
        {(1, 7): (1, WIDER), (6, 3): None, (5, 9): (1, NEW), (9, 9): (1, NEW)},
    )


def test_a_class_is_changed_in_the_list_of_objects(annotated, tmp_path):
    path = tmp_path / "davis"
    export(Selection(annotation_set=annotated), "davis", path)
    text = (path / "objects.csv").read_text()
    (path / "objects.csv").write_text(text.replace('2,7,1,"Grasper"', '2,7,2,"Liver"'))
    found = read(path, "davis", annotated)
    assert set(found) == {(index, 7) for index in range(12) if index not in (4, 5)}
    assert {change[0] for change in found.values()} == {2}


def test_what_lay_below_another_mask_is_no_correction(small_video, labels, tmp_path):
    path = tmp_path / "overlap.annset"
    with AnnotationSetWriter(path, new_manifest(open_video(small_video).info, labels)) as writer:
        writer.add(annotated_frame(0, t3_c2=RIGHT | LEFT, t7_c1=LEFT, t8_c1=WIDER))
    annotated = AnnotationSet(path)
    export(Selection(annotation_set=annotated), "davis", tmp_path / "davis")
    assert read(tmp_path / "davis", "davis", annotated) == {}


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda path: (path / "objects.csv").unlink(), "objects.csv is missing"),
        (lambda path: (path / "objects.csv").write_text("a,b\n1,2\n"), "objects.csv"),
        (lambda path: (path / "00003.png").write_bytes(b"x"), "00003.png"),
        (lambda path: repaint(path, 3, NEW, 77), "value 77"),
        (lambda path: Image.new("P", (9, 9)).save(path / "00003.png"), "9x9"),
        (lambda path: (path / "00003.png").rename(path / "three.png"), "three.png"),
        (lambda path: [file.unlink() for file in path.glob("*.png")], "no PNGs|holds no"),
    ],
)
def test_bad_davis_folders_are_refused(annotated, tmp_path, spoil, problem):
    path = tmp_path / "davis"
    export(Selection(annotation_set=annotated), "davis", path)
    spoil(path)
    with pytest.raises(InputError, match=problem):
        read(path, "davis", annotated)


# Label Studio


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
        ({"rle": [1, 2, 3], "brushlabels": ["Grasper"]}, "frame 0"),
        ({"rle": [0, 0, 96, 0, 0x38, 0x12], "brushlabels": ["Grasper"]}, "frame 0"),
        ({"rle": "text", "brushlabels": ["Grasper"]}, "frame 0"),
        ({"rle": [300], "brushlabels": ["Grasper"]}, "frame 0"),
        ({"rle": brush.encode_rle(np.zeros(64 * 96 * 4, int)), "brushlabels": ["Spleen"]}, "Spleen"),
    ],
)  # fmt: skip
def test_bad_brushes_are_refused(tasks, annotated, value, problem):
    region = {"id": "x", "type": "brushlabels", "value": value}
    submit(tasks, lambda regions, index: [region | {}] if index == 0 else regions)
    with pytest.raises(InputError, match=problem):
        read(tasks, "label-studio", annotated)


def test_other_shapes_and_files_of_label_studio_are_refused(tasks, annotated):
    region = {"id": "x", "type": "rectanglelabels", "value": {}}
    with pytest.raises(InputError, match="rectanglelabels on frame"):
        read(submit(tasks, lambda regions, _: [region | {}]), "label-studio", annotated)
    tasks.write_text('[{"image": "a.jpg", "brush": []}]')
    with pytest.raises(InputError, match="JSON export"):
        read(tasks, "label-studio", annotated)


# The command


def test_import_writes_a_set_of_human_masks(scopeline, coco, annotated, tmp_path):
    document, read_again = coco
    entry_of(document, 1, 7)["category_id"] = 2
    document["annotations"].remove(entry_of(document, 6, 3))
    read_again()
    out = tmp_path / "fixed.annset"
    code, stdout, err = scopeline(
        "import", tmp_path / "coco", "--format", "coco", "--set", annotated.path, "--out", out
    )
    assert (code, stdout) == (0, "")
    assert "1 masks drawn or renamed and 1 deleted on 2 of 12 frames" in err
    corrections = AnnotationSet(out)
    assert corrections.is_complete
    assert corrections.manifest.video == annotated.manifest.video
    assert corrections.manifest.labels == annotated.manifest.labels
    assert corrections.manifest.counts.masks == 2
    assert [track.track_id for frame in corrections.frames() for track in frame.tracks] == [7, 3]


def test_import_refuses_in_one_sentence(scopeline, annotated, tmp_path):
    out = tmp_path / "fixed.annset"
    for source, format_name, options, problem in (
        ("none.xml", "cvat", (), "does not exist"),
        ("small.annset", "davis", (), "objects.csv"),
        ("small.mp4", "coco", (), "not a file of COCO"),
        ("small.mp4", "label-studio", (), "JSON"),
        ("small.mp4", "cvat", ("--classes", "Spleen"), "no class 'Spleen'"),
    ):
        code, _, err = scopeline(
            "import", tmp_path / source, "--format", format_name, "--set", annotated.path,
            "--out", out, *options,
        )  # fmt: skip
        assert code in (1, 2)
        assert problem in err
        assert "Traceback" not in err
        assert not out.exists()
    with pytest.raises(UsageError, match="unknown format"):
        read_changes(tmp_path, "mp4", Selection(annotation_set=annotated))
