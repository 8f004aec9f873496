"""Corrections read back from folders of DAVIS, whose pictures were painted over."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from pipeline.annotation_set import AnnotationSet
from pipeline.annotation_set.writer import AnnotationSetWriter, new_manifest
from pipeline.errors import InputError
from pipeline.exports import Selection, export
from pipeline.frames import open_video
from tests.conftest import annotated_frame
from tests.corrected_exports import LEFT, NEW, RIGHT, WIDER, annotated, assert_changes, read

__all__ = ["annotated"]


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
    with Image.open(path / "00001.png") as picture:
        assert picture.getpalette()[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]
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


def test_an_object_erased_with_its_line_is_deleted(annotated, tmp_path):
    path = tmp_path / "davis"
    export(Selection(annotation_set=annotated), "davis", path)
    lines = (path / "objects.csv").read_text().splitlines()
    # As a spreadsheet saves it, with a byte order mark.
    (path / "objects.csv").write_text("\n".join([*lines[:1], *lines[2:]]), encoding="utf-8-sig")
    for frame in range(12):
        repaint(path, frame, RIGHT, 0)
    found = read(path, "davis", annotated)
    assert found == {(frame, 3): None for frame in range(12)}


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


def append_line(path, line):
    with (path / "objects.csv").open("a") as file:
        file.write(line)


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda path: (path / "objects.csv").unlink(), "objects.csv is missing"),
        (lambda path: (path / "objects.csv").write_text("a,b\n1,2\n"), "objects.csv"),
        (lambda path: (path / "objects.csv").write_text("class,value\nGrasper\n"), "objects.csv"),
        (lambda path: append_line(path, "77,9"), r"damaged \(line 5 ends too early\)"),
        (lambda path: append_line(path, "77"), r"damaged \(line 5 ends too early\)"),
        (lambda path: (path / "00003.png").write_bytes(b"x"), "00003.png"),
        (lambda path: Image.new("P", (80, 64)).save(path / "00003.png"), "is 80x64, the video 96x"),
        (lambda path: shutil.copy(path / "00003.png", path / "3.png"), "two pictures of frame 3"),
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


def test_names_of_classes_may_have_quotes_and_commas(annotated, tmp_path):
    document = json.loads((annotated.path / "manifest.json").read_text())
    for label in document["labels"]["classes"]:
        label["name"] = f'{label["name"]} "5 mm", left'
    (annotated.path / "manifest.json").write_text(json.dumps(document))
    named = AnnotationSet(annotated.path)
    export(Selection(annotation_set=named), "davis", tmp_path / "davis")
    assert read(tmp_path / "davis", "davis", named) == {}


def test_only_pngs_of_a_folder_are_masks_however_their_names_end(annotated, tmp_path):
    path = tmp_path / "davis"
    export(Selection(annotation_set=annotated), "davis", path)
    repaint(path, 3, RIGHT, 0)
    (path / "00003.png").rename(path / "00003.PNG")
    Image.new("RGB", (96, 64)).save(path / "00004.jpg")
    assert read(path, "davis", annotated) == {(3, 3): None}
