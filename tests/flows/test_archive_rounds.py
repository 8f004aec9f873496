"""Rounds of an archive: which videos one run is told of, and when none is left."""

import json
from types import SimpleNamespace

from flows import annotate_archive
from flows.annotate_archive import _annotate_in_rounds, _look, _pending
from flows.archive.entry import Claim, EntryState, this_process
from flows.archive.job import ArchiveJob
from flows.archive.ledger import Ledger
from flows.archive.source import FoundVideo
from flows.settings import AnnotateSettings
from tests.small_data import close_to_this_user

# Of a run's parameters, which Prefect's server refuses beyond that.
MOST_PARAMETER_BYTES = 524_288


def found(names):
    return [FoundVideo(name=name, address=name, size=1, modified="1") for name in names]


def annotate_in_rounds(ledger, names, annotate, monkeypatch):
    runs = SimpleNamespace(with_options=lambda **_: annotate)
    monkeypatch.setattr(annotate_archive, "annotate_waiting", runs)
    job = ArchiveJob(source="in", out=ledger.dest, settings=AnnotateSettings())
    _annotate_in_rounds(job, ledger, names, "key")


def test_an_archive_of_ten_thousand_videos_fits_into_runs(tmp_path, monkeypatch):
    ledger, told = Ledger(tmp_path), []
    names = [
        f"2026/week {k % 52}/{k:05} operation of the day in theatre 3 ä" for k in range(10_000)
    ]
    ledger.look(found(names), "key")

    def annotate(job, names, key, count):
        assert count == len(names)
        assert len(json.dumps(names)) < MOST_PARAMETER_BYTES / 2
        told.extend(names)
        with ledger._file.transaction() as database:
            database.executemany(
                "UPDATE videos SET state = 'done', tries = 1 WHERE name = ?", [(n,) for n in names]
            )

    annotate_in_rounds(ledger, names, annotate, monkeypatch)
    assert sorted(told) == sorted(names)


def test_a_video_of_the_longest_name_is_annotated_alone(tmp_path, monkeypatch):
    ledger, told = Ledger(tmp_path), []
    names = ["a" * 300_000, "b"]
    ledger.look(found(names), "key")

    def annotate(job, names, key, count):
        told.append(names)
        for name in names:
            claim = Claim(name=name, job=key, owner=this_process())
            ledger.claim(claim)
            ledger.settle(claim, EntryState.DONE)

    annotate_in_rounds(ledger, names, annotate, monkeypatch)
    assert told == [[names[0]], [names[1]]]


def test_a_set_that_this_user_must_not_look_at_does_not_end_the_look(tmp_path, monkeypatch):
    ledger, closed = Ledger(tmp_path), tmp_path / "2025"
    videos = found(["2025/op1", "2025/op2", "2026/op3"])
    ledger.look(videos, "key")
    for number, video in enumerate(videos):
        claim = Claim(name=video.name, job="key", owner=this_process())
        ledger.claim(claim)
        if number == 1:
            ledger.fail(claim, "in the way", 1, closed / "op2.annset")
        else:
            ledger.settle(claim, EntryState.DONE)
    close_to_this_user(monkeypatch, closed)
    job = ArchiveJob(source="in", out=tmp_path, settings=AnnotateSettings(), tries=1)
    assert _pending(job, ledger, ledger.entries()) == ["2025/op1", "2026/op3"]


def test_a_look_says_once_what_cannot_be_annotated(tmp_path, monkeypatch):
    told = []
    logger = SimpleNamespace(error=lambda words, *values: told.append(words % values))
    monkeypatch.setattr(annotate_archive, "get_run_logger", lambda: logger)
    (tmp_path / "in").mkdir()
    for name in ("op1.MP4", "op1.mkv"):
        (tmp_path / "in" / name).write_bytes(b"video")
    job = ArchiveJob(source=str(tmp_path / "in"), out=tmp_path / "out", settings=AnnotateSettings())
    for _ in range(2):
        _look(job, Ledger(job.out), "key")
    (sentence,) = told
    assert "op1.MP4 would have the same set as" in sentence
    assert sentence.endswith("rename one of them")
