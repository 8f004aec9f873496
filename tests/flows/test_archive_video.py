"""One video of an archive, in this process."""

import pytest

from flows.annotate_archive import _pending
from flows.archive.entry import Claim, EntryState, this_process
from flows.archive.job import ArchiveJob, set_path
from flows.archive.ledger import Ledger
from flows.archive.source import find_videos
from flows.archive.video import annotate_entry
from flows.settings import AnnotateSettings
from pipeline.annotation_set import AnnotationSet
from pipeline.errors import InputError, SetOfAnotherJobError
from tests.small_data import draw_video

CLAIM = Claim(name="op1", job="job", owner=this_process())


@pytest.fixture
def job(tmp_path):
    settings = AnnotateSettings(policy="first-frame", device="cpu")
    return ArchiveJob(source=str(tmp_path / "in"), out=tmp_path / "out", settings=settings, tries=1)


def look(job):
    return Ledger(job.out).look(find_videos(job.source), "job")


@pytest.mark.timeout(600)
def test_a_file_that_is_replaced_is_annotated_anew(job, tmp_path):
    for frames in (2, 3):
        draw_video(tmp_path / f"{frames}.mp4", frames)
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / f"{frames}.mp4").replace(tmp_path / "in" / "op1.mp4")
        look(job)
        assert annotate_entry.fn(job, "op1", "job") == EntryState.DONE
    assert AnnotationSet(set_path(job.out, "op1")).manifest.counts.frames == 3
    (old,) = job.out.glob("op1.annset.old-*")
    assert AnnotationSet(old).manifest.counts.frames == 2


@pytest.mark.timeout(600)
def test_a_video_that_was_renamed_or_is_there_twice_takes_over_its_set(job, tmp_path, monkeypatch):
    video, out = tmp_path / "in" / "op1.mp4", job.out
    draw_video(video, 2)
    look(job)
    annotate_entry.fn(job, "op1", "job")
    # Of the same size, but another video.
    video.with_name("other.mp4").write_bytes(video.read_bytes()[::-1])
    copied = (video.parent / "2026" / "ward 3.mp4", video.with_name("op2.mp4"))
    for path in copied:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(video.read_bytes())
    video.unlink()
    monkeypatch.setattr("flows.video_job._write", None)
    look(job)
    for name in ("2026/ward 3", "op2"):
        assert annotate_entry.fn(job, name, "job") == EntryState.DONE
    first, *others = [AnnotationSet(set_path(out, n)) for n in ("op1", "2026/ward 3", "op2")]
    for path, found in zip(copied, others, strict=True):
        assert (found.manifest.video.name, found.manifest.video.path) == (path.stem, str(path))
        assert list(found.frames()) == list(first.frames())
    with pytest.raises(InputError, match="no video|not a video|damaged"):
        annotate_entry.fn(job, "other", "job")
    assert not list(out.rglob(".*.copied"))


def test_what_was_put_aside_waits_again_once_its_place_is_free(job, tmp_path):
    draw_video(tmp_path / "in" / "op1.mp4", 2)
    ledger, place = Ledger(job.out), set_path(job.out, "op1")
    place.mkdir()
    (place / "notes.txt").write_text("mine")
    look(job)
    with pytest.raises(SetOfAnotherJobError, match=r"op1\.annset is no set .* move it away"):
        annotate_entry.fn(job, "op1", "job")
    assert [entry.state for entry in look(job)] == [EntryState.ASIDE]
    assert _pending(job, ledger, look(job)) == []
    place.rename(tmp_path / "notes")
    assert _pending(job, ledger, look(job)) == ["op1"]
    assert ledger.claim(CLAIM) is not None
    # Nothing lay in its place this time: it stays aside until the file changes.
    ledger.fail(CLAIM, "broken", 1)
    assert _pending(job, ledger, look(job)) == []


def test_a_name_that_no_set_can_have_is_named_and_the_video_has_failed(job, tmp_path):
    name = "ä" * 124
    draw_video(tmp_path / "in" / "op1.mp4", 2)
    (tmp_path / "in" / "op1.mp4").rename(tmp_path / "in" / f"{name}.mp4")
    look(job)
    with pytest.raises(InputError, match="has a name of 248 bytes, .* 230; rename it"):
        annotate_entry.fn(job, name, "job")
    (entry,) = Ledger(job.out).entries()
    assert (entry.state, entry.owner) == (EntryState.ASIDE, None)
    assert "rename it" in entry.reason
