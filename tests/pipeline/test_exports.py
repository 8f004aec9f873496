"""Exports, read back by other libraries, and what all of them refuse."""

import csv
from dataclasses import replace

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.annotation_set import AnnotationSet
from pipeline.annotation_set.writer import AnnotationSetWriter, new_manifest
from pipeline.corrections.corrected_set import write_corrections
from pipeline.errors import InputError, OutputError, UsageError
from pipeline.exports import Selection
from pipeline.exports import export as export_selection
from pipeline.frames import open_video
from pipeline.labels import LabelSet, numbered_class
from pipeline.masks import decode_mask
from pipeline.video_writer import VideoWriter
from tests.conftest import annotated_frame, rectangle, write_set

SIZE = (64, 96)
LEFT = rectangle(4, 4, 14, 30, SIZE)
# Two parts, one with a hole.
RIGHT = rectangle(50, 10, 80, 60, SIZE) & ~rectangle(60, 20, 70, 30, SIZE)
RIGHT |= rectangle(88, 2, 94, 8, SIZE)
SPECK = rectangle(0, 60, 1, 61, SIZE)


def export(annotation_set, format_name, path, **options):
    export_selection(Selection(annotation_set=annotation_set, **options), format_name, path)


def tracks_of(index):
    """A frame without objects, a track that leaves and returns, and a speck now and then."""
    if index == 5:
        return {}
    tracks = {"t3_c2": RIGHT}
    if not 7 <= index < 10:
        tracks["t7_c1"] = LEFT
    if index == 2:
        tracks["t8_c1"] = SPECK
    return tracks


@pytest.fixture
def annotated(small_video, labels):
    frames = [annotated_frame(index, **tracks_of(index)) for index in range(12)]
    return AnnotationSet(
        write_set(small_video.parent / "small.annset", small_video, labels, frames)
    )


def test_davis_pictures_hold_the_masks(annotated, tmp_path):
    export(annotated, "davis", tmp_path / "davis")
    with (tmp_path / "davis" / "objects.csv").open() as file:
        numbers = {int(row["track_id"]): int(row["value"]) for row in csv.DictReader(file)}
    assert numbers == {3: 1, 7: 2, 8: 3}
    for frame in annotated.frames():
        with Image.open(tmp_path / "davis" / f"{frame.index:05d}.png") as picture:
            assert picture.mode == "P"
            values = np.asarray(picture)
        for track in frame.tracks:
            assert np.array_equal(values == numbers[track.track_id], decode_mask(track.rle))
        assert (values > 0).any() == bool(frame.tracks)


def test_an_overlay_has_all_frames_and_colours(annotated, tmp_path):
    export(annotated, "mp4", tmp_path / "overlay.mp4")
    with av.open(str(tmp_path / "overlay.mp4")) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(pictures) == 12
    assert pictures[0].shape == (64, 96, 3)
    red, green, _ = pictures[2][50, 76].astype(int)
    assert red > green + 15  # the liver's display colour over a dark frame
    assert np.ptp(pictures[5][40:60, 50:80].astype(int)) < 20


def test_exports_refuse_what_they_cannot_do(annotated, tmp_path, small_video, labels):
    with pytest.raises(UsageError, match="unknown format"):
        export(annotated, "gif", tmp_path / "x")
    (tmp_path / "taken").mkdir()
    with pytest.raises(OutputError, match="exists already"):
        export(annotated, "davis", tmp_path / "taken")
    small_video.unlink()
    with VideoWriter(small_video, rate=25, width=96, height=64) as writer:
        writer.add(np.zeros((64, 96, 3), np.uint8))
    with pytest.raises(InputError, match="not the video"):
        export(annotated, "mp4", tmp_path / "x.mp4")
    assert not (tmp_path / "x.mp4").exists()
    with pytest.raises(UsageError, match="no class 'Spleen'; choose among Grasper, Liver"):
        export(annotated, "coco", tmp_path / "y", classes=("Spleen",))


@pytest.mark.parametrize("damage", ["truncated", "missing", "newer"])
def test_a_damaged_set_is_one_sentence_and_leaves_nothing(scopeline, annotated, tmp_path, damage):
    part = annotated.path / "masks" / "part-000000.parquet"
    if damage == "truncated":
        part.write_bytes(part.read_bytes()[:50])
    elif damage == "missing":
        part.unlink()
    else:
        manifest = annotated.path / "manifest.json"
        text = manifest.read_text().replace('"format_version": 1', '"format_version": 9')
        manifest.write_text(text)
    out = tmp_path / "exported" / "out"
    out.parent.mkdir()
    code, _, err = scopeline("export", annotated.path, "--format", "davis", "--out", out)
    assert code == 1
    assert str(annotated.path) in err
    assert len(err.strip().splitlines()) == 1
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "coco",
        "csv",
        "cvat",
        "davis",
        "dicom-seg",
        "label-studio",
        "mp4",
        "nnunet",
        "parquet",
        "sasvi",
        "youtube-vis",
    ],
)
def test_an_export_never_overwrites_and_leaves_nothing_half_written(annotated, tmp_path, name):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        export(annotated, name, tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"
    (annotated.path / "masks" / "part-000000.parquet").write_bytes(b"damaged")
    with pytest.raises(InputError, match="damaged"):
        export(annotated, name, tmp_path / "fresh")
    assert {path.name for path in tmp_path.iterdir()} == {"small.mp4", "small.annset", "out"}


def test_of_a_set_that_is_still_written_the_committed_frames_are_exported(
    small_video, labels, tmp_path
):
    manifest = new_manifest(open_video(small_video).info, labels)
    writer = AnnotationSetWriter(tmp_path / "running.annset", manifest)
    for index in range(130):
        writer.add(annotated_frame(index, t7_c1=LEFT))
    writer._wait_for_writing()
    running = AnnotationSet(tmp_path / "running.annset")
    assert not running.is_complete
    export(running, "csv", tmp_path / "running.csv")
    assert len((tmp_path / "running.csv").read_text().splitlines()) == 1 + 100


def test_a_set_of_few_frames_is_exported_with_all_of_their_pictures(annotated, tmp_path):
    frames = list(annotated.frames())
    path = tmp_path / "corrections.annset"
    corrections = write_corrections(path, [frames[2], frames[9]], annotated, tmp_path / "x.xml")
    export(corrections, "coco", tmp_path / "coco")
    pictures = sorted(file.name for file in (tmp_path / "coco" / "images").iterdir())
    assert pictures == ["00002.jpg", "00009.jpg"]


@pytest.mark.parametrize("name", ["csv", "coco", "mp4"])
def test_a_file_that_stands_for_the_folder_is_named(annotated, tmp_path, name):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="x cannot be written"):
        export(annotated, name, tmp_path / "file" / "x")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_video_that_is_elsewhere_now_is_given(scopeline, annotated, small_video, tmp_path):
    elsewhere = tmp_path / "elsewhere" / "video.mp4"
    elsewhere.parent.mkdir()
    small_video.rename(elsewhere)
    export_it = ("export", annotated.path, "--format", "mp4", "--out", tmp_path / "overlay.mp4")
    code, _, err = scopeline(*export_it)
    assert code == 1
    assert "which is not on this machine; put the video there, or say where it is by --video" in err
    code, _, err = scopeline(*export_it, "--video", elsewhere)
    assert code == 0, err
    assert open_video(tmp_path / "overlay.mp4").info.frame_count == 12
    page = tmp_path / "report.html"
    assert scopeline("report", annotated.path, "--out", page, "--video", elsewhere)[0] == 0
    assert "data:image/jpeg" in page.read_text()
    assert scopeline(*export_it, "--video", elsewhere, "--video", elsewhere)[0] == 2


def test_sasvi_masks_are_stacked_by_class(annotated, tmp_path):
    export(annotated, "sasvi", tmp_path / "sasvi")
    folder = tmp_path / "sasvi" / "small"
    with np.load(folder / "00002_binary_mask.npz") as stored:
        masks = stored["arr"]
    assert masks.dtype == bool
    assert masks.shape == (3, *SIZE)
    assert np.array_equal(masks[1], LEFT | SPECK)
    assert np.array_equal(masks[2], RIGHT)
    assert np.array_equal(masks[0], ~(LEFT | SPECK | RIGHT))
    with Image.open(folder / "00002_rgb_mask.png") as picture:
        colors = np.asarray(picture)
    assert (colors[LEFT] == (0, 255, 0)).all()
    assert (colors[RIGHT] == (200, 60, 60)).all()
    assert len(list(folder.iterdir())) == 24


def test_sasvi_masks_are_by_the_place_of_a_class_whatever_its_id(small_video, tmp_path):
    """Without a background of the label set's own there is none; one's place is anywhere."""
    liver, grasper = numbered_class(4, "Liver", "stuff"), numbered_class(9, "Grasper")
    background = numbered_class(12, "Rest", "background", (9, 9, 9))
    frames = [annotated_frame(index, t3_c4=RIGHT, t5_c9=LEFT, t6_c9=LEFT) for index in range(12)]
    for name, classes in (("without", ()), ("with", (background,))):
        label_set = LabelSet(name=name, classes=(liver, grasper, *classes))
        path = write_set(tmp_path / f"{name}.annset", small_video, label_set, frames)
        export(AnnotationSet(path), "sasvi", tmp_path / name, classes=("Grasper",), every=5)
        folder = tmp_path / name / "small"
        assert len(list(folder.iterdir())) == 2 * 3
        with np.load(folder / "00010_binary_mask.npz") as stored:
            masks = stored["arr"]
        with Image.open(folder / "00010_rgb_mask.png") as picture:
            assert tuple(np.asarray(picture)[50, 76]) == ((9, 9, 9) if classes else (0, 0, 0))
        expected = [np.zeros(SIZE, bool), LEFT, *(~LEFT for _ in classes)]
        assert np.array_equal(masks, expected)


@pytest.fixture
def left_the_body(small_video, labels):
    """A set whose frames 4 to 7, which are not dark, are outside the body."""
    frames = [
        replace(annotated_frame(index), flags=("out_of_body",) if 4 <= index < 8 else ())
        for index in range(12)
    ]
    return write_set(small_video.parent / "outside.annset", small_video, labels, frames)


@pytest.mark.parametrize("format_name", ["nnunet", "dicom-seg", "coco"])
def test_frames_without_a_picture_are_left_out_of_data_sets(
    small_video, labels, tmp_path, format_name
):
    frames = [
        replace(annotated_frame(index), flags=("undecodable",) if index == 3 else ())
        for index in range(12)
    ]
    annotated = AnnotationSet(write_set(tmp_path / "skipped.annset", small_video, labels, frames))
    export(annotated, format_name, tmp_path / "out")
    names = {path.stem for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert any("00002" in name for name in names)
    assert not any("00003" in name for name in names)


def test_what_stands_in_for_a_frame_outside_the_body_is_blanked_too(small_video, labels, tmp_path):
    flags = {3: ("out_of_body",), 4: ("undecodable",)}
    frames = [replace(annotated_frame(index), flags=flags.get(index, ())) for index in range(12)]
    annotated = AnnotationSet(write_set(tmp_path / "left.annset", small_video, labels, frames))
    selection = Selection(annotation_set=annotated, out_of_body="blank")
    dark = [frame.index for frame, image in selection.frames_with_pictures() if not image.any()]
    # The clip begins with a black picture.
    assert dark == [0, 3, 4]


def test_names_sort_in_the_order_of_frames(annotated):
    long = annotated.manifest.video.model_copy(update={"frame_count": 150_000})
    annotated.manifest = annotated.manifest.model_copy(update={"video": long})
    names = [Selection(annotation_set=annotated).number(index) for index in (0, 99_990, 100_000)]
    assert names == sorted(names) == ["000000", "099990", "100000"]


def test_a_class_with_a_comma_can_be_chosen(scopeline, small_video, tmp_path):
    names = ("Grasper, left", "Hook", "Grasper")
    classes = tuple(numbered_class(number, name) for number, name in enumerate(names, start=1))
    frame = annotated_frame(0, t1_c1=LEFT, t2_c2=RIGHT, t3_c3=SPECK)
    path = write_set(
        tmp_path / "a.annset", small_video, LabelSet(name="x", classes=classes), [frame]
    )
    options = ("--format", "davis", "--out", tmp_path / "davis", "--classes", "Hook,Grasper, left")
    code, _, err = scopeline("export", path, *options)
    assert code == 0, err
    with (tmp_path / "davis" / "objects.csv").open() as file:
        assert [row["class"] for row in csv.DictReader(file)] == ["Grasper, left", "Hook"]


def test_a_video_of_no_frame_is_not_made(scopeline, small_video, labels, tmp_path):
    path = write_set(tmp_path / "empty.annset", small_video, labels, ())
    options = ("export", path, "--format", "mp4", "--out", tmp_path / "out.mp4")
    code, _, err = scopeline(*options)
    assert code == 1
    assert "empty.annset has no frame to show" in err
    code, _, err = scopeline(*options, "--frames", "worth-labelling")
    assert code == 1
    assert "has no frame that the tracker is unsure of" in err


@pytest.mark.parametrize("format_name", ["mp4", "coco", "youtube-vis", "label-studio", "yolo"])
def test_pictures_outside_the_body_are_blanked_on_request(
    scopeline, left_the_body, tmp_path, format_name
):
    out = tmp_path / "out"
    code, _, err = scopeline(
        "export", left_the_body, "--format", format_name, "--out", out, "--redact-out-of-body"
    )
    assert code == 0, err
    if format_name == "mp4":
        with av.open(str(out)) as container:
            pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    else:
        pictures = [cv2.imread(str(path)) for path in sorted(out.rglob("*.jpg"))]
    # The frame's time is written into the overlay's corner.
    brightness = [np.median(picture) for picture in pictures]
    assert all(value < 5 for value in brightness[4:8])
    assert all(value > 15 for value in (*brightness[1:4], *brightness[8:]))


def test_of_frames_that_are_not_wanted_no_mask_is_read(small_video, labels):
    frames = [annotated_frame(index, t1_c1=LEFT) for index in range(130)]
    annotated = AnnotationSet(
        write_set(small_video.parent / "parts.annset", small_video, labels, frames)
    )
    for table in ("masks", "prompts"):
        (annotated.path / table / "part-000000.parquet").unlink()
    chosen = Selection(annotation_set=annotated, only=frozenset({5, 110, 129}), every=10)
    assert list(chosen.frames()) == [frames[110]]
    assert list(annotated.frames({110, 129}.__contains__)) == [frames[110], frames[129]]
    with pytest.raises(InputError, match=r"part-000000\.parquet is missing"):
        list(annotated.frames({99}.__contains__))
