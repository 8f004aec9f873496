"""What is left of segments is in nobody's way, and goes with the finished set."""

import pytest

from flows.segment_folders import remove_left_segments, segments_folder, taken
from flows.settings import AnnotateSettings
from flows.video_job import VideoJob, annotate_job
from pipeline.annotation_set.writer import new_manifest
from pipeline.errors import SetTakenError
from tests.small_data import draw_video


def test_each_plan_has_a_folder_of_its_own(tmp_path, clip_info, labels):
    def folder(count):
        manifest = new_manifest(clip_info, labels, settings={"segments": count})
        return segments_folder(tmp_path / "op.annset", manifest)

    assert folder(2) == folder(2)
    assert folder(2) != folder(4)
    assert folder(2).name.startswith(".op.")
    with taken(folder(2)), pytest.raises(SetTakenError), taken(folder(2)):
        pass


def test_only_what_is_left_of_a_set_is_removed(tmp_path):
    names = {".op.segments", ".op.0123abcd.segments", ".op.1.segments", ".op1.0123abcd.segments"}
    for name in names:
        (tmp_path / name / "0000").mkdir(parents=True)
    with taken(tmp_path / ".op.4567cdef.segments"):
        remove_left_segments(tmp_path / "op.annset")
        assert {path.name for path in tmp_path.iterdir()} == {
            ".op.1.segments",
            ".op1.0123abcd.segments",
            ".op.4567cdef.segments",
        }
    remove_left_segments(tmp_path / "op.annset")
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.timeout(600)
def test_a_finished_annotation_leaves_no_segments(tmp_path):
    draw_video(tmp_path / "op.mp4", 2)
    settings = AnnotateSettings(policy="first-frame", device="cpu")
    job = VideoJob(video=tmp_path / "op.mp4", out=tmp_path / "out", settings=settings)
    # Annotated now, and found to be finished.
    for _ in range(2):
        (job.out / ".op.0123abcd.segments" / "0000").mkdir(parents=True)
        annotate_job(job)
        assert [path.name for path in job.out.iterdir()] == ["op.annset"]
