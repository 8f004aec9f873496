"""The measurement of the exports, on a short set."""

import json

from flows import export_figures
from pipeline.annotation_set import AnnotationSet


def test_every_format_is_measured_and_nothing_is_left(tmp_path):
    export_figures.main(tmp_path, frames=4, formats="csv,davis,yolo,report")
    figures = json.loads((tmp_path / "exports.json").read_text())
    assert list(figures) == ["csv", "davis", "yolo", "report"]
    for measured in figures.values():
        assert measured["processor_seconds"] > 0
        assert 10 < measured["peak_mb"] < 1000
        assert measured["files"] >= 1
    assert {path.name for path in tmp_path.iterdir()} == {"long.mp4", "long.annset", "exports.json"}
    frames = list(AnnotationSet(tmp_path / "long.annset").frames())
    assert [len(frame.tracks) for frame in frames] == [6, 6, 6, 6]


def test_no_format_is_forgotten():
    assert {"coco", "dicom-seg", "mp4", "yolo", "report"} <= set(export_figures.FORMATS)
    assert len(set(export_figures.FORMATS)) == 13
