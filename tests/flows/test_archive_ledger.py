"""The ledger of an archive: who annotates what, and what becomes of it."""

import json
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest

from flows.annotate_archive import _summary
from flows.archive import ledger as archive_ledger
from flows.archive import ledger_file
from flows.archive.entry import Claim, EntryState, this_process
from flows.archive.job import ArchiveJob
from flows.archive.ledger import LeaseLostError, Ledger
from flows.archive.source import FoundVideo, find_videos
from flows.archive.video import annotate_entry
from flows.settings import AnnotateSettings
from pipeline.errors import OutputError, SetTakenError, UsageError
from tests.small_data import draw_video

ELSEWHERE = "another-machine/7/1.00"


def video(name="op1", size=5, modified="1"):
    return FoundVideo(name=name, address=f"/in/{name}.mp4", size=size, modified=modified)


def shorten_leases(monkeypatch, seconds):
    for module in (archive_ledger, ledger_file):
        monkeypatch.setattr(module, "LEASE_S", seconds)


def claim(name="op1", owner=ELSEWHERE, job="job"):
    return Claim(name=name, job=job, owner=owner)


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path)


def states(ledger):
    return {entry.name: entry.state for entry in ledger.entries()}


def test_a_video_is_taken_by_one_process_alone(ledger):
    ledger.look([video()], "job")
    assert ledger.claim(claim("op1")) is not None
    assert ledger.claim(claim("op1", this_process())) is None
    ledger.settle(claim("op1"), EntryState.DONE)
    assert states(ledger) == {"op1": EntryState.DONE}
    assert ledger.claim(claim("op1", this_process())) is None


def test_entries_are_told_by_their_states(ledger):
    ledger.look([video("op2"), video("op1"), video("op3"), video("gone")], "job")
    ledger.note_gone("/in", {"op1", "op2", "op3"})
    ledger.claim(claim("op3"))
    ledger.claim(claim("op2"))
    ledger.settle(claim("op2"), EntryState.DONE)
    assert [entry.name for entry in ledger.entries()] == ["gone", "op1", "op2", "op3"]
    still_open = ledger.entries(EntryState.RUNNING, EntryState.WAITING)
    assert [entry.name for entry in still_open] == ["gone", "op1", "op3"]
    assert [entry.name for entry in ledger.entries(EntryState.RUNNING)] == ["op3"]
    assert ledger.entries(EntryState.FAILED) == []
    one_each = (EntryState.WAITING, EntryState.RUNNING, EntryState.DONE)
    assert ledger.counts() == dict.fromkeys(one_each, 1)


def test_the_lease_of_a_dead_process_of_this_machine_is_free_at_once(ledger):
    ledger.look([video()], "job")
    code = (
        "import sys; from pathlib import Path; "
        "from flows.archive.entry import Claim, this_process; "
        "from flows.archive.ledger import Ledger; "
        f"Ledger(Path({str(ledger.dest)!r})).claim("
        "Claim(name='op1', job='job', owner=this_process()))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    (entry,) = ledger.entries()
    assert entry.state is EntryState.RUNNING
    assert not entry.is_held
    assert ledger.claim(claim("op1", this_process())) is not None


def test_the_lease_of_another_machine_runs_out(ledger, monkeypatch):
    ledger.look([video()], "job")
    ledger.claim(claim("op1"))
    monkeypatch.setattr(archive_ledger.time, "time", lambda: 1e6 + time.monotonic() + 2e9)
    assert ledger.claim(claim("op1", this_process())) is not None
    with pytest.raises(LeaseLostError, match="op1"):
        ledger.progress(claim("op1"), 8, 100)
    ledger.settle(claim("op1"), EntryState.DONE)
    assert states(ledger) == {"op1": EntryState.RUNNING}


def test_a_set_that_its_first_process_still_holds_is_waited_for(tmp_path, monkeypatch):
    draw_video(tmp_path / "in" / "op1.mp4", 2)
    job = ArchiveJob(
        source=str(tmp_path / "in"), out=tmp_path / "out", settings=AnnotateSettings(device="cpu")
    )
    ledger = Ledger(job.out)
    ledger.look(find_videos(job.source), "job")

    def taken(*_):
        raise SetTakenError("op1.annset is being written by another process")

    monkeypatch.setattr("flows.archive.video._annotate", taken)
    monkeypatch.setattr("flows.archive.video._POLL_S", 0)
    assert annotate_entry.fn(job, "op1", "job") == EntryState.WAITING
    (entry,) = ledger.entries()
    assert (entry.state, entry.owner, entry.failures) == (EntryState.WAITING, None, 0)


def test_a_lease_is_renewed_with_the_progress(ledger, monkeypatch):
    ledger.look([video()], "job")
    ledger.claim(claim("op1", this_process()))
    before = ledger.entries()[0].lease_until
    later = time.time() + 60
    monkeypatch.setattr(archive_ledger.time, "time", lambda: later)
    ledger.progress(claim("op1", this_process()), 8, 100)
    (entry,) = ledger.entries()
    assert entry.lease_until > before + 50
    assert (entry.frames_done, entry.frames_total) == (8, 100)


def test_a_lease_lasts_as_long_as_the_work_on_its_video(ledger, monkeypatch):
    shorten_leases(monkeypatch, 0.5)
    ledger.look([video(), video("op2")], "job")
    ledger.claim(claim("op1"))
    ledger.claim(claim("op2"))
    with ledger.kept(claim("op1")):
        # To fetch or to hash a large video tells no progress.
        time.sleep(0.8)
        assert [entry.is_held for entry in ledger.entries()] == [True, False]
    time.sleep(0.6)
    assert not ledger.entries()[0].is_held


def test_a_lost_lease_is_not_renewed(ledger, monkeypatch):
    shorten_leases(monkeypatch, 0.1)
    ledger.look([video()], "job")
    ledger.claim(claim("op1"))
    with ledger.kept(claim("op1", this_process())):
        time.sleep(0.3)
    assert not ledger.entries()[0].is_held


def test_a_video_that_changes_waits_again(ledger):
    ledger.look([video()], "job")
    ledger.claim(claim("op1", this_process()))
    ledger.settle(claim("op1", this_process()), EntryState.FAILED, "broken")
    (entry,) = ledger.look([video()], "job")
    assert (entry.state, entry.reason, entry.tries) == (EntryState.FAILED, "broken", 1)
    since = entry.unchanged_since
    (entry,) = ledger.look([video(size=6)], "job")
    assert (entry.state, entry.reason, entry.tries) == (EntryState.WAITING, None, 0)
    assert entry.unchanged_since > since
    assert ledger.look([video(size=6)], "other job")[0].state is EntryState.WAITING


def test_a_video_that_fails_again_and_again_is_put_aside(ledger):
    ledger.look([video()], "job")
    for failures, state in ((1, EntryState.FAILED), (2, EntryState.ASIDE)):
        ledger.claim(claim("op1", this_process()))
        ledger.fail(claim("op1", this_process()), "broken", 2)
        (entry,) = ledger.entries()
        assert (entry.state, entry.reason, entry.failures) == (state, "broken", failures)
        assert entry.owner is None
    assert ledger.claim(claim("op1", this_process())) is None
    ledger.reopen(ledger.entries())
    ledger.claim(claim("op1", this_process()))
    ledger.fail(claim("op1", this_process()), "broken", None)
    assert states(ledger) == {"op1": EntryState.FAILED}


def test_a_process_that_wrote_half_an_entry_changed_nothing(ledger):
    ledger.look([video()], "job")
    with pytest.raises(RuntimeError), ledger._file.transaction() as database:
        database.execute("UPDATE videos SET state = 'done'")
        raise RuntimeError
    assert states(ledger) == {"op1": EntryState.WAITING}


def test_a_look_at_ten_thousand_known_videos_changes_nothing(ledger):
    videos = [video(f"op{number}") for number in range(10_000)]
    ledger.look(videos, "job")
    before = ledger.entries()
    assert ledger.look(videos, "job") == before


def test_what_cannot_be_annotated_has_failed_until_it_changes(ledger):
    ledger.look([video(size=0, modified="")], "job")
    assert ledger.refuse("op1", "it is gone")
    assert not ledger.refuse("op1", "it is gone")
    (entry,) = ledger.look([video(size=0, modified="")], "job")
    assert (entry.state, entry.reason) == (EntryState.FAILED, "it is gone")
    (entry,) = ledger.look([video()], "job")
    assert (entry.state, entry.reason) == (EntryState.WAITING, None)


def test_a_clock_that_is_set_does_not_end_a_process(ledger, monkeypatch):
    ledger.look([video()], "job")
    ledger.claim(claim("op1", this_process()))
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: 5.0)
    (entry,) = ledger.entries()
    assert entry.is_held


def test_a_clock_that_is_set_back_keeps_no_video_waiting(ledger, monkeypatch):
    right = time.time()
    monkeypatch.setattr(archive_ledger.time, "time", lambda: right + 365 * 86_400)
    ledger.look([video(), video("op2")], "job")
    ledger.claim(claim("op2"))
    monkeypatch.setattr(archive_ledger.time, "time", lambda: right)
    op1, op2 = ledger.look([video(), video("op2")], "job")
    assert op1.unchanged_since == right
    # Its machine has not been heard of since, or it would have renewed its lease.
    assert not op2.is_held


def test_a_ledger_that_cannot_be_written_is_one_sentence(ledger):
    for file in (ledger.dest / ".scopeline").glob("ledger.sqlite*"):
        file.write_bytes(b"no database" * 100)
    with pytest.raises(OutputError, match=r"ledger\.sqlite is damaged .*remove it"):
        ledger.look([video()], "job")


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (sqlite3.SQLITE_FULL, "free space"),
        (sqlite3.SQLITE_READONLY_DBMOVED, "let this user write there"),
        (sqlite3.SQLITE_BUSY, "wait for the process"),
        (sqlite3.SQLITE_IOERR_FSYNC, "check the disk"),
    ],
)
def test_what_helps_a_ledger_that_cannot_be_written_is_told(ledger, code, remedy):
    error = sqlite3.OperationalError("refused")
    error.sqlite_errorcode = code
    with (
        pytest.raises(OutputError, match=rf"cannot be written \(refused\); {remedy}"),
        ledger._file.transaction(),
    ):
        raise error
    (ledger.dest / "file").touch()
    with pytest.raises(OutputError, match=r"written \(Not a directory\); move the file away"):
        Ledger(ledger.dest / "file")


def test_another_job_leaves_alone_what_a_process_annotates(ledger):
    ledger.look([video(), video("op2")], "job")
    ours = claim("op1", this_process())
    ledger.claim(ours)
    before = ledger.entries()
    with pytest.raises(UsageError, match=r"annotates op1 into .* with other settings .*--out"):
        ledger.look([video(), video("op2")], "other job")
    assert ledger.entries() == before
    # The same job may look; a file that has changed meanwhile waits for the next look.
    assert ledger.look([video(size=6), video("op2")], "job") == before
    ledger.settle(ours, EntryState.DONE)
    assert ledger.look([video(size=6)], "job")[0].state is EntryState.WAITING


def test_a_video_of_another_job_is_neither_taken_nor_given_back(ledger):
    ledger.look([video()], "job")
    ours = claim("op1", this_process())
    lost = claim("op1", this_process(), "other job")
    assert ledger.claim(lost) is None
    ledger.claim(ours)
    ledger.settle(lost, EntryState.DONE)
    ledger.fail(lost, "broken", 1)
    with pytest.raises(LeaseLostError):
        ledger.progress(lost, 8, 100)
    (entry,) = ledger.entries()
    assert (entry.state, entry.job, entry.failures) == (EntryState.RUNNING, "job", 0)
    ledger.settle(ours, EntryState.WAITING)
    ledger.give_up(replace(entry, job="other job"), "killed")
    assert states(ledger) == {"op1": EntryState.WAITING}


def test_a_source_has_commands_of_one_job_for_as_long_as_they_live(ledger):
    with ledger.announced("/in", "settings", this_process()):
        with (
            pytest.raises(UsageError, match="another command annotates /in into"),
            ledger.announced("/in", "other settings", ELSEWHERE),
        ):
            pass
        with ledger.announced("/in", "settings", ELSEWHERE):
            pass
        with ledger.announced("/in/2026", "other settings", ELSEWHERE):
            pass
    dead = this_process().rpartition("/")[0] + "/before"
    with (
        ledger.announced("/in", "settings", dead),
        ledger.announced("/in", "other settings", this_process()),
    ):
        pass


def test_what_another_command_has_taken_over_is_named(ledger):
    ledger.look([video(), video("op2")], "job")
    ledger.look([video("op2")], "other job")
    summary = _summary(ledger.entries(), [], "job", {})
    assert summary.waiting == ("op1",)
    assert "/in/op2.mp4 is another command's by now" in summary.failed["op2"]


def test_a_ledger_of_an_earlier_version_is_read(ledger):
    ledger.look([video()], "job")
    with ledger._file.transaction() as database:
        for column in ("blocked_by", "source", "gone_since"):
            database.execute(f"ALTER TABLE videos DROP COLUMN {column}")
    (entry,) = Ledger(ledger.dest).entries()
    assert (entry.name, entry.blocked_by, entry.gone_since) == ("op1", None, None)


def test_a_video_that_its_source_holds_no_more_is_gone_until_it_comes_back(ledger):
    videos = {name: video(name) for name in ("done", "failed", "held", "waiting")}
    ledger.look([*videos.values(), video("elsewhere")], "job")
    ledger.note_gone("/elsewhere", {"elsewhere"})
    for name in ("done", "failed", "held"):
        ledger.claim(claim(name, this_process()))
    ledger.settle(claim("done", this_process()), EntryState.DONE)
    ledger.fail(claim("failed", this_process()), "broken", 1)

    def gone():
        return {entry.name for entry in ledger.entries() if entry.gone_since is not None}

    ledger.note_gone("/in", videos)
    assert gone() == set()
    ledger.note_gone("/in", set())
    assert gone() == {"failed", "waiting"}
    before = states(ledger)
    ledger.look(list(videos.values()), "job")
    ledger.note_gone("/in", videos)
    assert gone() == set()
    assert states(ledger) == before


def test_status_counts_no_video_that_is_gone(ledger, scopeline):
    ledger.look([video(), video("op2")], "job")
    ledger.note_gone("/in", {"op1"})
    dest = ledger.dest
    code, told, _ = scopeline("status", dest)
    assert code == 0
    assert told.split("\n")[:2] == [
        "1 waiting",
        "1 not annotated and no longer in the source; --json names them",
    ]
    told = json.loads(scopeline("status", dest, "--json")[1])
    assert [each["name"] for each in told["videos"]] == ["op1"]
    assert told["gone"] == ["op2"]
