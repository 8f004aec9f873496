"""Copies of videos of object stores, beside other processes."""

import fsspec
import pytest

from flows.archive.copies import local_copy, remove_left_copies
from flows.archive.entry import Claim, EntryState, this_process
from flows.archive.ledger import FOLDER, Ledger
from flows.archive.source import find_videos

STORE = "memory://copies"


@pytest.fixture
def ledger(tmp_path):
    with fsspec.open(f"{STORE}/op1.mp4", "wb") as written:
        written.write(b"video")
    ledger = Ledger(tmp_path)
    ledger.look(find_videos(STORE), "job")
    return ledger


def test_a_copy_that_another_command_works_with_stays(ledger, tmp_path):
    entry = ledger.claim(Claim(name="op1", job="job", owner=this_process()))
    with local_copy(entry, tmp_path) as path:
        # Another source is looked at, of which nothing is held.
        remove_left_copies(tmp_path, ledger)
        assert path.read_bytes() == b"video"
    assert not path.exists()


def test_a_copy_that_a_process_has_left_is_removed(ledger, tmp_path):
    claim = Claim(name="op1", job="job", owner=this_process())
    fetching = local_copy(ledger.claim(claim), tmp_path)
    path = fetching.__enter__()
    ledger.settle(claim, EntryState.WAITING)
    remove_left_copies(tmp_path, ledger)
    assert list((tmp_path / FOLDER / "fetched").iterdir()) == []
    assert not path.exists()
