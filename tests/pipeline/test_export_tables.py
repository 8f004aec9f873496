"""Tables of masks and their measures, as CSV and Parquet."""

import csv

import pyarrow.parquet as pq
import pytest

from pipeline.annotation_set import AnnotationSet
from pipeline.annotation_set.writer import AnnotationSetWriter, new_manifest
from pipeline.exports import Selection
from pipeline.exports import export as export_selection
from pipeline.labels import LabelSet, numbered_class
from tests.conftest import annotated_frame, rectangle, write_set
from tests.pipeline.test_exports import SIZE, annotated, export

__all__ = ["annotated"]


def test_tables_have_a_row_for_each_frame_and_track(annotated, tmp_path):
    export(annotated, "csv", tmp_path / "rows.csv")
    export(annotated, "parquet", tmp_path / "rows.parquet")
    with (tmp_path / "rows.csv").open(newline="") as file:
        from_csv = list(csv.DictReader(file))
    rows = pq.read_table(tmp_path / "rows.parquet").to_pylist()
    assert len(rows) == len(from_csv) == sum(len(frame.tracks) for frame in annotated.frames())
    assert [row["area"] for row in rows] == [int(row["area"]) for row in from_csv]
    first = next(row for row in rows if row["track_id"] == 7)
    assert (first["x"], first["y"], first["width"], first["height"]) == (4, 4, 10, 26)
    assert (first["centroid_x"], first["centroid_y"], first["area"]) == (9, 17, 260)
    assert (first["class_name"], first["speed"]) == ("Grasper", None)


def test_speed_is_the_way_of_the_centroid_a_second(small_video, labels, tmp_path):
    masks = [rectangle(3 * n, 4 * n, 10 + 3 * n, 10 + 4 * n, SIZE) for n in range(4)]
    frames = [annotated_frame(index, t1_c1=mask) for index, mask in enumerate(masks)]
    path = write_set(tmp_path / "moves.annset", small_video, labels, frames)
    export(AnnotationSet(path), "parquet", tmp_path / "rows.parquet")
    speeds = pq.read_table(tmp_path / "rows.parquet")["speed"].to_pylist()
    assert speeds == [None, *[pytest.approx(5 * 25)] * 3]


def test_no_spreadsheet_takes_a_class_for_a_formula(tmp_path, clip_info):
    labels = LabelSet(name="x", classes=(numbered_class(1, "=cmd|' /C calc'!A0"),))
    path = tmp_path / "clip.annset"
    with AnnotationSetWriter(path, new_manifest(clip_info, labels)) as writer:
        writer.add(annotated_frame(0, t1_c1=rectangle(2, 2, 9, 9)))
    export_selection(Selection(annotation_set=AnnotationSet(path)), "csv", tmp_path / "out.csv")
    with (tmp_path / "out.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["class_name"] == "'=cmd|' /C calc'!A0"
