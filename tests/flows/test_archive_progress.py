"""What a terminal and a log are told while an archive is annotated."""

import threading
from io import StringIO

from rich.console import Console

from flows import frame_progress
from flows.archive.entry import this_process
from flows.archive.ledger import Ledger
from flows.commands import archive as archive_commands
from tests.flows.test_archive_ledger import claim, ledger, video

__all__ = ["ledger"]


def test_a_terminal_is_not_told_of_all_videos_again_and_again(ledger, monkeypatch):
    """With 9,000 videos that took two fifths of a core for as long as an archive is annotated."""
    ledger.look([video(f"op{number}") for number in range(20)], "job")
    ledger.claim(claim("op3", this_process()))
    ledger.progress(claim("op3", this_process()), 5, 50)
    read, twice = [], threading.Event()
    entries = Ledger.entries

    def noted(self, *states):
        found = entries(self, *states)
        read.append([entry.name for entry in found])
        if len(read) > 1:
            twice.set()
        return found

    text = StringIO()
    terminal = Console(file=text, force_terminal=True, width=100)
    monkeypatch.setattr(Ledger, "entries", noted)
    monkeypatch.setattr(archive_commands, "_LOOK_EVERY_S", 0.01)
    for module in (archive_commands, frame_progress):
        monkeypatch.setattr(module, "screen", terminal)
    with archive_commands._progress(ledger.dest):
        assert twice.wait(60)
    assert read[:2] == [["op3"], ["op3"]]
    assert "op3 5/50" in text.getvalue()
    assert "0/20" in text.getvalue()


def test_a_log_is_told_how_far_an_archive_is(ledger, monkeypatch):
    ledger.look([video(f"op{number}") for number in range(20)], "job")
    ledger.claim(claim("op3", this_process()))
    ledger.progress(claim("op3", this_process()), 5, 50)
    text, said = StringIO(), threading.Event()

    class Log(Console):
        def print(self, *objects, **options):
            super().print(*objects, **options)
            said.set()

    monkeypatch.setattr(archive_commands, "SAID_EVERY_S", 0.01)
    for module in (archive_commands, frame_progress):
        monkeypatch.setattr(module, "screen", Log(file=text, width=100))
    with archive_commands._progress(ledger.dest):
        assert said.wait(60)
    assert text.getvalue().splitlines()[0] == "0 of 20 videos; op3 5/50"
