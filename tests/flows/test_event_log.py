"""The log of an archive: lines of JSON, whole even if many processes write them."""

import json
import re
import resource
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context

import pytest

from flows.archive.entry import this_process
from flows.archive.event_log import EventLog
from flows.archive.ledger import Ledger
from pipeline.errors import OutputError


def lines(out):
    return [json.loads(line) for line in EventLog(out).path.read_text().splitlines()]


def test_an_event_says_when_what_and_of_which_video(tmp_path):
    Ledger(tmp_path)
    EventLog(tmp_path).add("failed", "2026/op1", reason='no "moov"\nin it', frame=12)
    (line,) = lines(tmp_path)
    assert abs((datetime.now(UTC) - datetime.fromisoformat(line["time"])).total_seconds()) < 60
    assert (line["event"], line["video"], line["frame"]) == ("failed", "2026/op1", 12)
    assert line["reason"] == 'no "moov"\nin it'
    # As ISO 8601 says it, in UTC, to the millisecond.
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["time"])
    assert line["process"] == this_process()
    assert EventLog(tmp_path).path == tmp_path / ".scopeline" / "log.jsonl"


def write_many(out):
    for number in range(200):
        EventLog(out).add("progress", "op", frame=number, reason="x" * 300)


def test_lines_of_processes_do_not_mix(tmp_path):
    Ledger(tmp_path)
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as executor:
        for job in [executor.submit(write_many, tmp_path) for _ in range(3)]:
            job.result()
    frames = [line["frame"] for line in lines(tmp_path)]
    assert sorted(frames) == sorted([*range(200)] * 3)


def test_a_name_is_found_in_the_log_as_it_is_written(tmp_path):
    Ledger(tmp_path)
    names = ["Ward 3/Müller", "no\ncharacter \udcfc"]
    for name in names:
        EventLog(tmp_path).add("began", name)
    assert "Ward 3/Müller" in EventLog(tmp_path).path.read_text(encoding="utf-8")
    assert [line["video"] for line in lines(tmp_path)] == names


def test_a_line_for_which_there_is_no_room_is_no_part_of_the_log(tmp_path):
    Ledger(tmp_path)
    log = EventLog(tmp_path)
    log.add("began", "op1")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The system writes what fits, as on a disk that fills up.
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.path.stat().st_size + 20, limits[1]))
    try:
        for _ in range(2):
            with pytest.raises(OutputError, match=r"log\.jsonl cannot be written .*free space"):
                log.add("progress", "op1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    log.add("done", "op1")
    assert [line["event"] for line in lines(tmp_path)] == ["began", "done"]
