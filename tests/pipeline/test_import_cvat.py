"""Corrections read back from files that are written as CVAT writes them."""

import zipfile
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from pipeline.corrections.plan import DRAWN_ALONE, plan_corrections
from pipeline.errors import InputError
from pipeline.exports import Selection, export
from pipeline.imports import read_changes
from pipeline.imports.drawing import outline_rle
from pipeline.masks import decode_mask, encode_mask
from tests.conftest import rectangle
from tests.corrected_exports import LEFT, NEW, SIZE, WIDER, annotated, assert_changes, read

__all__ = ["annotated"]


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


def test_frames_that_cvat_interpolates_between_those_exported_were_not_shown(annotated, tmp_path):
    selection = Selection(annotation_set=annotated, every=4)
    export(selection, "cvat", tmp_path / "cvat.xml")
    document = ElementTree.parse(tmp_path / "cvat.xml")
    root = document.getroot()
    root.remove(shown(root, 4, 3))
    track = ElementTree.SubElement(root, "track", id="99", label="Grasper", source="manual")
    for frame in range(9):
        given = {"frame": str(frame), "keyframe": str(int(frame in (0, 8))), "outside": "0"}
        points = "30,40;44,40;44,60;30,60"
        ElementTree.SubElement(track, "polygon", **given, occluded="0", points=points)
    document.write(tmp_path / "corrected.xml")
    found = read_changes(tmp_path / "corrected.xml", "cvat", selection)
    alone = [frame.index for frame in found if DRAWN_ALONE in frame.flags]
    assert alone == [1, 2, 3, 5, 6, 7]
    plans = plan_corrections(annotated.frames(), found, look_back=25)
    assert plans[3].absent == {4: range(2, 6)}


def test_a_mask_that_only_became_a_polygon_is_no_correction(cvat, annotated):
    root, read_again = cvat
    (ring,), _ = cv2.findContours(LEFT.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    text = ";".join(f"{x},{y}" for x, y in ring[:, 0])
    root.remove(shown(root, 2, 7))
    cvat_track(root, label="Grasper", frame=2, track_id=7, points=text)
    assert not np.array_equal(decode_mask(outline_rle(encode_mask(LEFT))), LEFT)
    assert read_again() == {}


def leave_only(root, frames, **limits):
    """Let the file be of a job with these frames."""
    for track in root.findall("track"):
        if int(track.find("mask").get("frame")) not in frames:
            root.remove(track)
    for name, text in limits.items():
        ElementTree.SubElement(root.find("meta/task"), name).text = text


def test_a_cvat_job_speaks_of_its_own_frames_only(cvat):
    root, read_again = cvat
    leave_only(root, range(2, 8), start_frame="2", stop_frame="7")
    assert read_again() == {}
    for frame in (2, 7):
        root.remove(shown(root, frame, 7))
    assert_changes(read_again(), {(2, 7): None, (7, 7): None})


def test_what_is_drawn_beside_a_job_deletes_nothing_there(cvat):
    root, read_again = cvat
    leave_only(root, range(2, 8), start_frame="2", stop_frame="7")
    cvat_track(root, label="Grasper", frame=9, **cvat_runs(NEW))
    root.findall("track")[-1].set("id", "new")
    assert_changes(read_again(), {(9, 9): (1, NEW)})


def test_classes_that_a_task_does_not_have_were_not_deleted(cvat):
    root, read_again = cvat
    labels = root.find("meta/task/labels")
    for label in labels.findall("label"):
        if label.findtext("name") == "Liver":
            labels.remove(label)
    for track in root.findall("track"):
        if track.get("label") == "Liver":
            root.remove(track)
    assert read_again() == {}


def test_without_a_frame_filter_all_frames_were_shown(cvat):
    root, read_again = cvat
    ElementTree.SubElement(root.find("meta/task"), "frame_filter").text = ""
    for frame in (6, 7):
        root.remove(shown(root, frame, 3))
    assert_changes(read_again(), {(6, 3): None, (7, 3): None})


def test_shapes_of_one_cvat_track_are_one_track_wherever_they_are(cvat):
    root, read_again = cvat
    moved = rectangle(84, 2, 94, 8, SIZE)
    cvat_track(root, label="Grasper", frame=4, **cvat_runs(NEW))
    cvat_track(root, label="Grasper", frame=5, **cvat_runs(moved))
    first, second = root.findall("track")[-2:]
    first.extend(list(second))
    root.remove(second)
    # What comes in its place is another one.
    cvat_track(root, label="Grasper", frame=5, **cvat_runs(NEW))
    root.findall("track")[-1].set("id", "another")
    expected = {(4, 9): (1, NEW), (5, 9): (1, moved), (6, 9): None, (5, 10): (1, NEW)}
    assert_changes(read_again(), expected)


def test_a_mask_may_touch_all_edges_of_the_frame(cvat):
    root, read_again = cvat
    corners = rectangle(0, 0, 3, 3, SIZE) | rectangle(93, 61, 96, 64, SIZE)
    cvat_track(root, label="Grasper", frame=5, **cvat_runs(corners))
    assert_changes(read_again(), {(5, 9): (1, corners)})


def test_a_cvat_track_is_not_taken_for_a_track_in_whose_place_it_came(cvat):
    root, read_again = cvat
    root.remove(shown(root, 6, 7))
    cvat_track(root, label="Grasper", frame=5, **cvat_runs(NEW))
    cvat_track(root, label="Grasper", frame=6, **cvat_runs(LEFT))
    first, second = root.findall("track")[-2:]
    first.extend(list(second))
    first.set("id", "new")
    root.remove(second)
    expected = {(5, 9): (1, NEW), (6, 9): (1, LEFT), (7, 9): None, (6, 7): None}
    assert_changes(read_again(), expected)


@pytest.mark.parametrize("listed", [(3, 8), (3, 4, 5, 8, 9, 10)])
def test_a_cvat_track_is_not_there_where_it_is_outside(cvat, listed):
    root, read_again = cvat
    cvat_track(root, label="Grasper", frame=1, **cvat_runs(NEW))
    track = root.findall("track")[-1]
    shape = track.find("mask[@outside='0']")
    for entry in track.findall("mask"):
        track.remove(entry)
    # Older versions of CVAT list all frames that a track is outside on, not the first alone.
    for frame in sorted((1, 2, 6, 7, *listed)):
        given = {"frame": str(frame), "outside": str(int(frame in listed))}
        ElementTree.SubElement(track, "mask", shape.attrib | given)
    drawn = {(frame, 9): (1, NEW) for frame in (1, 2, 6, 7)}
    assert_changes(read_again(), {**drawn, (3, 9): None, (5, 9): None, (8, 9): None})


def test_what_was_drawn_on_a_smaller_copy_is_refused(cvat):
    root, read_again = cvat
    root.find("meta/task/original_size/width").text = "48"
    root.find("meta/task/original_size/height").text = "32"
    with pytest.raises(InputError, match="48x32 pixels, the video has 96x64"):
        read_again()


def test_frames_between_the_steps_of_a_task_were_not_shown(cvat):
    root, read_again = cvat
    for track in root.findall("track"):
        if int(track.find("mask").get("frame")) % 3 != 1:
            root.remove(track)
    task = root.find("meta/task")
    ElementTree.SubElement(task, "start_frame").text = "1"
    ElementTree.SubElement(task, "frame_filter").text = "step=3"
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


def test_a_damaged_zip_is_one_sentence(tmp_path, annotated):
    path = tmp_path / "job.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("annotations.xml", "<annotations>" + "x" * 5000 + "</annotations>")
    content = bytearray(path.read_bytes())
    content[45:60] = bytes(15)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"job\.zip (cannot be read|is not a file)"):
        read_changes(path, "cvat", Selection(annotation_set=annotated))


def test_the_tasks_of_a_project_are_not_taken_for_one_video(annotated, tmp_path):
    path = tmp_path / "cvat.xml"
    export(Selection(annotation_set=annotated), "cvat", path)
    task = "<task><id>{}</id><start_frame>0</start_frame><stop_frame>11</stop_frame></task>"
    for count in (1, 2):
        tasks = "".join(task.format(number) for number in range(count))
        project = f"<meta><project><tasks>{tasks}</tasks></project>"
        given = tmp_path / f"{count}.xml"
        given.write_text(path.read_text().replace("<meta>", project))
    assert read(tmp_path / "1.xml", "cvat", annotated) == {}
    with pytest.raises(InputError, match="holds the 2 tasks of a project"):
        read(tmp_path / "2.xml", "cvat", annotated)
