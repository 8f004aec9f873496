"""YouTube-VIS entries of long tracks."""

import json
import tracemalloc

from pipeline.exports.spool import TrackSpool
from pipeline.exports.youtube_vis import write_annotations

LENGTH = 6000


def test_a_long_track_never_stands_in_memory(tmp_path):
    spool = TrackSpool(tmp_path)
    mask = {"size": [540, 960], "counts": "a" * 500}
    for number in range(10, LENGTH - 10, 2):
        line = {"number": number, "segmentations": mask, "bboxes": [1, 2, 3, 4], "areas": 12}
        spool.add((7, 1), line)
    path = tmp_path / "annotations.json"
    tracemalloc.start()
    with path.open("w") as file:
        write_annotations(spool, LENGTH, (540, 960), file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size > 1.5e6
    assert peak < 0.5e6
    (track,) = json.loads(path.read_text())
    assert (track["track_id"], track["length"]) == (7, LENGTH)
    shown = range(10, LENGTH - 10, 2)
    for name, value in (("segmentations", mask), ("bboxes", [1, 2, 3, 4]), ("areas", 12)):
        assert track[name] == [value if n in shown else None for n in range(LENGTH)]


def test_a_video_without_tracks_has_an_empty_list(tmp_path):
    with (tmp_path / "annotations.json").open("w") as file:
        write_annotations(TrackSpool(tmp_path), 3, (540, 960), file)
    assert json.loads((tmp_path / "annotations.json").read_text()) == []
