"""An archive whose videos another job has done: nothing is read again to say so."""

import pytest

from flows.archive.done_before import done_before
from flows.archive.entry import Claim, EntryState, this_process
from flows.archive.job import ArchiveJob, job_key, set_path
from flows.archive.ledger import Ledger
from flows.archive.source import find_videos
from flows.settings import AnnotateSettings
from flows.video_job import VideoJob, annotate_job
from tests.small_data import draw_video

SETTINGS = AnnotateSettings(policy="framewise", max_frames=1)


@pytest.fixture
def archive(tmp_path):
    """Two videos that are done, one by the very job, one by a job of another key."""
    ledger = Ledger(tmp_path / "sets")
    for name, key in (("a", job_key(SETTINGS)), ("b", "as an earlier version told the same job")):
        draw_video(tmp_path / f"videos/{name}.mp4", frames=2)
        videos = [v for v in find_videos(str(tmp_path / "videos")) if v.name == name]
        ledger.look(videos, key)
        claim = Claim(name=name, job=key, owner=this_process())
        ledger.claim(claim)
        out = set_path(ledger.dest, name).parent
        annotate_job(VideoJob(video=tmp_path / f"videos/{name}.mp4", out=out, settings=SETTINGS))
        ledger.settle(claim, EntryState.DONE)
    return ledger


def asked(ledger, settings):
    source = str(ledger.dest.parent / "videos")
    job = ArchiveJob(source=source, out=ledger.dest, settings=settings)
    return done_before(job, ledger, find_videos(source), job_key(settings))


def test_what_an_earlier_version_has_done_is_taken_over(archive):
    before = asked(archive, SETTINGS)
    assert before.alike == ("b",)
    assert before.otherwise == {}
    archive.take_over(before.alike, job_key(SETTINGS))
    assert asked(archive, SETTINGS).alike == ()


def test_what_was_done_with_other_settings_is_named_with_the_first_of_them(archive):
    before = asked(archive, SETTINGS.model_copy(update={"steady": 0.25}))
    assert before.alike == ()
    assert before.otherwise.keys() == {"a", "b"}
    assert (
        "a.annset is a finished set with other settings or models (steady is"
        in before.otherwise["a"]
    )
    assert "choose another --out" in before.otherwise["a"]


def test_what_has_changed_or_has_no_set_is_annotated_as_any_other(archive, tmp_path):
    (tmp_path / "videos/a.mp4").unlink()
    draw_video(tmp_path / "videos/a.mp4", frames=3)
    set_path(archive.dest, "b").rename(tmp_path / "moved away")
    before = asked(archive, SETTINGS.model_copy(update={"steady": 0.25}))
    assert before.alike == ()
    assert before.otherwise == {}
