"""The demo that an earlier version has left behind is replaced."""

from flows.demo import remove_outdated
from flows.settings import AnnotateSettings
from flows.video_job import VideoJob, annotate_job


def test_a_demo_of_other_settings_is_removed_and_that_of_these_stays(small_video, tmp_path):
    out = tmp_path / "demo"
    job = VideoJob(video=small_video, out=out, settings=AnnotateSettings(max_frames=1))
    remove_outdated(small_video, out)
    annotate_job(job)
    remove_outdated(small_video, out)
    assert not job.set_path.exists()
    annotate_job(VideoJob(video=small_video, out=out, settings=AnnotateSettings()))
    remove_outdated(small_video, out)
    assert job.set_path.exists()
