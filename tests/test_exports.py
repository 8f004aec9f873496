"""Exports and overlays, read back by other libraries."""

import csv

import av
import numpy as np
import pytest
from PIL import Image

from pipeline.annotation_set import AnnotationSet, AnnotationSetWriter, new_manifest
from pipeline.errors import InputError, OutputError, UsageError
from pipeline.exports import export
from pipeline.frames import open_video
from pipeline.masks import decode_mask
from pipeline.overlay import OverlayPainter
from pipeline.video_writer import VideoWriter
from tests.conftest import annotated_frame, rectangle

SIZE = (64, 96)
LEFT = rectangle(4, 4, 14, 30, SIZE)
RIGHT = rectangle(50, 10, 80, 60, SIZE)


@pytest.fixture
def annotated(small_video, labels):
    info = open_video(small_video).info
    path = small_video.parent / "small.annset"
    with AnnotationSetWriter(path, new_manifest(info, labels)) as writer:
        for index in range(12):
            tracks = {} if index == 5 else {"t7_c1": LEFT, "t3_c2": RIGHT}
            writer.add(annotated_frame(index, **tracks))
    return AnnotationSet(path)


def test_davis_pictures_hold_the_masks(annotated, tmp_path):
    export(annotated, "davis", tmp_path / "davis")
    with (tmp_path / "davis" / "objects.csv").open() as file:
        numbers = {int(row["track_id"]): int(row["value"]) for row in csv.DictReader(file)}
    assert numbers == {3: 1, 7: 2}
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


def test_painting_leaves_the_frame_alone(labels):
    image = np.full((64, 96, 3), 100, np.uint8)
    painter = OverlayPainter(labels, 64)
    painted = painter.paint(image, annotated_frame(0, t7_c1=LEFT))
    assert np.all(image == 100)
    assert painted[15, 9, 1] > painted[15, 9, 0]
    assert np.array_equal(painted[45:, 60:], image[45:, 60:])


def test_exports_refuse_what_they_cannot_do(annotated, tmp_path, small_video, labels):
    with pytest.raises(UsageError, match="unknown format"):
        export(annotated, "gif", tmp_path / "x")
    (tmp_path / "taken").mkdir()
    with pytest.raises(OutputError, match="exists already"):
        export(annotated, "davis", tmp_path / "taken")
    with VideoWriter(small_video, rate=25, width=96, height=64) as writer:
        writer.add(np.zeros((64, 96, 3), np.uint8))
    with pytest.raises(InputError, match="not the video"):
        export(annotated, "mp4", tmp_path / "x.mp4")
    assert not (tmp_path / "x.mp4").exists()
    unfinished = tmp_path / "unfinished.annset"
    AnnotationSetWriter(unfinished, annotated.manifest.model_copy(update={"state": "running"}))
    with pytest.raises(InputError, match="not complete"):
        export(AnnotationSet(unfinished), "davis", tmp_path / "y")


def test_a_video_is_complete_or_not_there(tmp_path):
    path = tmp_path / "half.mp4"
    with pytest.raises(RuntimeError), VideoWriter(path, rate=25, width=64, height=64) as writer:
        writer.add(np.zeros((64, 64, 3), np.uint8))
        raise RuntimeError("stopped")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        VideoWriter(tmp_path / "file" / "y.mp4", rate=25, width=64, height=64)
