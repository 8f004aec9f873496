"""Corrections read back from files that other tools would have written."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest

from pipeline.annotation_set import AnnotationSet
from pipeline.annotation_set.writer import AnnotationSetWriter, new_manifest
from pipeline.errors import InputError, UsageError
from pipeline.exports import Selection, export
from pipeline.frames import open_video
from pipeline.imports import IMPORTERS, read_changes
from pipeline.video_writer import VideoWriter
from tests.conftest import annotated_frame, write_set
from tests.corrected_exports import annotated, coco, entry_of, read, submit

__all__ = ["annotated", "coco"]


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


OPTIONS = [
    ("--every", 5),
    ("--classes", "Liver"),
    ("--min-area", 5),
    ("--frames", "worth-labelling"),
]


def exported(scopeline, annotated, folder, format_name, options=()):
    """Export by the command; returns what `import` takes."""
    code, _, err = scopeline(
        "export", annotated.path, "--format", format_name, "--out", folder, *options
    )
    assert code == 0, err
    return submit(folder / "tasks.json") if format_name == "label-studio" else folder


def imported(scopeline, annotated, path, format_name, options=()):
    """Import by the command; returns what it says."""
    code, _, err = scopeline(
        "import", path, "--format", format_name, "--set", annotated.path,
        "--out", annotated.path.with_name("changes.annset"), *options,
    )  # fmt: skip
    assert code == 0, err
    return err


@pytest.mark.parametrize("format_name", IMPORTERS)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_import_knows_what_was_exported(scopeline, annotated, tmp_path, format_name, options):
    path = exported(scopeline, annotated, tmp_path / "out", format_name, options)
    said = imported(scopeline, annotated, path, format_name)
    assert "0 masks drawn or renamed and 0 deleted on 0 of " in said
    assert "deletes" not in said


def test_import_knows_what_was_exported_of_each_video(scopeline, annotated, small_video, tmp_path):
    other = small_video.with_name("other.mp4")
    with VideoWriter(other, rate=25, width=96, height=64) as writer:
        for _ in range(12):
            writer.add(np.zeros((64, 96, 3), np.uint8))
    frames = list(annotated.frames())
    second = write_set(tmp_path / "other.annset", other, annotated.label_set, frames)
    scopeline(
        "export", annotated.path, second, "--format", "coco", "--out", tmp_path / "both",
        "--min-area", 5, "--splits", "by-video:0.5,0.5",
    )  # fmt: skip
    for path in (tmp_path / "both" / "annotations").iterdir():
        known = json.loads(path.read_text())["info"]["scopeline"]
        of_first = "small" in known
        said = imported(scopeline, annotated if of_first else AnnotationSet(second), path, "coco",
                        ("--out", tmp_path / f"{path.stem}.annset"))  # fmt: skip
        assert "0 deleted on 0 of 12 frames" in said


def test_options_of_import_count_more_than_what_was_noted(scopeline, annotated, tmp_path):
    path = exported(scopeline, annotated, tmp_path / "out", "davis", ("--min-area", 5))
    said = imported(scopeline, annotated, path, "davis", ("--min-area", 1))
    assert "0 masks drawn or renamed and 1 deleted on 1 of 12 frames" in said


@pytest.mark.parametrize(
    ("options", "warning"),
    [
        (("--every", 2), "deletes every mask on 6 of 12 frames; if it was exported with --every"),
        (("--classes", "Liver"), "deletes every mask of Grasper; if it was exported with --every"),
    ],
)
def test_import_warns_of_an_option_that_was_forgotten(
    scopeline, annotated, tmp_path, options, warning
):
    """CVAT writes its own head, in which all labels of the task are."""
    whole = exported(scopeline, annotated, tmp_path / "whole.xml", "cvat")
    path = exported(scopeline, annotated, tmp_path / "part.xml", "cvat", options)
    document, head = ElementTree.parse(path), ElementTree.parse(whole).find("meta")
    head.remove(head.find("scopeline"))
    document.getroot()[1] = head
    document.write(path)
    assert f"{path.name} {warning}" in imported(scopeline, annotated, path, "cvat")
    annotated.path.with_name("changes.annset").rename(tmp_path / "old.annset")
    assert "deletes" not in imported(scopeline, annotated, path, "cvat", options)


def test_import_names_the_frames_that_a_cvat_file_has_emptied(scopeline, annotated, tmp_path):
    """Those that were removed from the task look the same, and may have been meant otherwise."""
    path = exported(scopeline, annotated, tmp_path / "whole.xml", "cvat")
    assert "no mask left" not in imported(scopeline, annotated, path, "cvat")
    annotated.path.with_name("changes.annset").rename(tmp_path / "old.annset")
    document = ElementTree.parse(path)
    for track in document.getroot().findall("track"):
        if track.find("mask[@outside='0']").get("frame") in ("4", "9"):
            document.getroot().remove(track)
    document.write(path)
    said = imported(scopeline, annotated, path, "cvat")
    assert "whole.xml has no mask left on frame 4, 9; if these were removed from the task" in said


def test_a_note_that_is_damaged_is_none(scopeline, annotated, tmp_path):
    path = exported(scopeline, annotated, tmp_path / "out", "davis")
    (path / "selection.json").write_text('{"small": {"every": 0}}')
    assert "0 deleted on 0 of 12 frames" in imported(scopeline, annotated, path, "davis")


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


@pytest.mark.parametrize(
    ("format_name", "name", "said"),
    [
        ("cvat", "folder", "folder is a folder; give the file that came from CVAT"),
        ("label-studio", "folder", "folder is a folder; give the file that came from Label Studio"),
        ("davis", "file.png", "file.png is a file; give the folder that holds the pictures"),
    ],
)
def test_a_folder_in_place_of_a_file_is_named_as_such(annotated, tmp_path, format_name, name, said):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file.png").touch()
    with pytest.raises(InputError, match=said):
        read_changes(tmp_path / name, format_name, Selection(annotation_set=annotated))


def test_an_unfinished_set_is_said_to_take_no_corrections(scopeline, small_video, labels, tmp_path):
    manifest = new_manifest(open_video(small_video).info, labels)
    with (
        pytest.raises(KeyboardInterrupt),
        AnnotationSetWriter(tmp_path / "a.annset", manifest) as w,
    ):
        w.add(annotated_frame(0))
        raise KeyboardInterrupt
    options = ("--format", "davis", "--out", tmp_path / "davis")
    code, _, err = scopeline("export", tmp_path / "a.annset", *options)
    assert code == 0
    assert "`import` takes corrections of complete sets only" in err
    options = ("--format", "davis", "--set", tmp_path / "a.annset", "--out", tmp_path / "b.annset")
    code, _, err = scopeline("import", tmp_path / "davis", *options)
    assert code == 1
    assert "a.annset is not complete" in err
