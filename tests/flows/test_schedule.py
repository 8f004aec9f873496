"""Archives on a schedule: real Prefect deployments, two processes on one inbox."""

import signal
import sqlite3
import subprocess
import tempfile
import time
from contextlib import closing
from datetime import timedelta

import pytest
from prefect.runner import Runner

from flows.archive.entry import EntryState
from flows.archive.job import ArchiveJob
from flows.archive.ledger import Ledger
from flows.schedule import Schedule, _own_temporary_folder, _serving, parse_schedule
from flows.settings import AnnotateSettings
from pipeline.annotation_set import AnnotationSet
from pipeline.errors import UsageError
from tests.flows.test_annotate_archive import SETTINGS, command, environment, prefect_home, wait_for
from tests.small_data import draw_video

__all__ = ["environment", "prefect_home"]


def test_a_schedule_is_read():
    assert parse_schedule("15m", None) == Schedule(every=timedelta(minutes=15))
    assert parse_schedule("2h", None) == Schedule(every=timedelta(hours=2))
    assert parse_schedule(None, "0 2 * * *") == Schedule(cron="0 2 * * *")


@pytest.mark.parametrize(
    ("every", "cron", "problem"),
    [
        ("soon", None, "--every soon is not a time"),
        ("0m", None, "--every 0m is not a time"),
        ("99999999999d", None, "--every 99999999999d is too long"),
        (None, "0 25 * * *", "is not a cron line"),
        (None, "nightly", "is not a cron line"),
        (None, None, "give either --every"),
        ("15m", "0 2 * * *", "give either --every"),
    ],
)
def test_a_wrong_schedule_is_one_sentence(every, cron, problem):
    with pytest.raises(UsageError, match=problem):
        parse_schedule(every, cron)


def test_the_last_process_that_serves_an_archive_knows_that_it_is(tmp_path):
    job = ArchiveJob(source="in", out=tmp_path, settings=AnnotateSettings())
    with _serving(job) as first_is_last:
        with _serving(job) as second_is_last:
            # Both end at once.
            assert not first_is_last()
            assert second_is_last()
        with _serving(job):
            assert not first_is_last()
        assert first_is_last()


def test_the_runner_of_each_process_has_a_temporary_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with _own_temporary_folder():
        (folder,) = tmp_path.iterdir()
        place = Runner()._tmp_dir
        assert place.is_relative_to(folder)
        place.mkdir(parents=True)
    assert tempfile.gettempdir() == str(tmp_path)
    assert list(tmp_path.iterdir()) == []


def looks_in(prefect_home):
    """The looks that Prefect's database holds, by state, and whether the schedule is paused."""
    with closing(sqlite3.connect(prefect_home / "prefect.db")) as database:
        looks = dict(
            database.execute(
                "SELECT state_type, count(*) FROM flow_run WHERE deployment_id IS NOT NULL GROUP BY 1"
            )
        )
        ((paused,),) = database.execute("SELECT paused FROM deployment")
    return looks, bool(paused)


def entries(out):
    return {entry.name: entry for entry in Ledger(out).entries()} if Ledger.exists(out) else {}


@pytest.mark.timeout(1200)
def test_two_processes_on_one_inbox_annotate_each_video_once_and_whole(
    tmp_path, environment, prefect_home
):
    inbox, out = tmp_path / "inbox", tmp_path / "out"
    draw_video(tmp_path / "op1.mp4", 12, seed=1)
    draw_video(tmp_path / "op2.mp4", 12, seed=2)
    inbox.mkdir()
    (inbox / "op1.mp4").write_bytes((tmp_path / "op1.mp4").read_bytes())
    content = (tmp_path / "op2.mp4").read_bytes()
    serve = command("serve", inbox, "--out", out, "--every", "10s", "--settle", "4", *SETTINGS)
    environment = {**environment, "PREFECT_RUNNER_POLL_FREQUENCY": "1"}
    processes = [
        subprocess.Popen(serve, env=environment, stdout=subprocess.DEVNULL) for _ in range(2)
    ]
    try:
        wait_for(lambda: entries(out), 500)
        # A recorder that writes slowly: what lies in the inbox is no whole video for a while.
        with (inbox / "op2.mp4").open("wb") as file:
            for start in range(0, len(content), len(content) // 12):
                file.write(content[start : start + len(content) // 12])
                file.flush()
                time.sleep(1)
        wait_for(
            lambda: [entry.state for entry in entries(out).values()] == [EntryState.DONE] * 2, 240
        )
        looks, paused = looks_in(prefect_home)
        assert looks["SCHEDULED"] > 50
        assert not paused
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
    assert [process.wait(300) for process in processes] == [0, 0]
    assert [entry.tries for entry in entries(out).values()] == [1, 1]
    for name in ("op1", "op2"):
        assert AnnotationSet(out / f"{name}.annset").manifest.counts.frames == 12
    assert {path.name for path in out.iterdir()} == {".scopeline", "op1.annset", "op2.annset"}
    looks, paused = looks_in(prefect_home)
    assert "SCHEDULED" not in looks
    assert paused
