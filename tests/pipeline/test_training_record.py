"""The record of a training: its tables, TensorBoard's files, and a disk that fills up."""

import csv
import errno
import struct

import pytest
from tensorboardX.proto import event_pb2
from tensorboardX.record_writer import RecordWriter
from torch import nn

from pipeline.errors import OutputError
from pipeline.training.curves import read_record
from pipeline.training.loop import TrainingPlan, train
from pipeline.training.record import TENSORBOARD
from tests.pipeline.test_training import fit_a_line


def board_steps(folder):
    """Read TensorBoard's own file format: records of a length, its check, an event, its check."""
    steps = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            event = event_pb2.Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]
            for value in event.summary.value:
                steps.setdefault(value.tag, []).append(event.step)
    return steps


def test_tensorboard_shows_the_losses_of_each_step(tmp_path):
    fit_a_line(tmp_path, 30)
    assert board_steps(tmp_path / "tensorboard") == {"losses/square": list(range(30))}


def test_what_lies_behind_a_checkpoint_tensorboard_has_as_well(tmp_path):
    """A training that is killed then does not do these steps again."""
    there = []
    model = nn.Linear(1, 1)
    train(
        model=model,
        plan=TrainingPlan(steps=30, learning_rate=0.1, checkpoint_every=10),
        losses_of_step=lambda _: {"loss": model.weight.square().sum()},
        folder=tmp_path,
        on_step=lambda step, _: (
            there.append(board_steps(tmp_path / TENSORBOARD)) if step in (9, 19) else None
        ),
    )
    assert there == [{"losses/loss": list(range(steps))} for steps in (10, 20)]


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("owner", "name"), [(RecordWriter, "write"), (csv, "writer")])
def test_a_disk_that_fills_up_is_said_and_the_training_goes_on_later(
    tmp_path, monkeypatch, owner, name
):
    """TensorBoard's file and the tables: where one still has room, the other may have none."""
    write, room = getattr(owner, name), iter(range(25))

    def write_while_there_is_room(*given):
        if next(room, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(*given)

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, write_while_there_is_room)
        with pytest.raises(OutputError, match=r"cannot be written \(No space .*\); free space"):
            fit_a_line(tmp_path, 60)
    assert fit_a_line(tmp_path, 60)[1] == list(range(20, 60))
    assert read_record(tmp_path / "losses.csv")["step"].tolist() == list(range(60))


@pytest.mark.parametrize("left", ["", "st", "step,square\n4,0.2", "step,square\n29,0.1\n3"])
def test_half_a_line_of_a_full_disk_does_not_spoil_the_record(tmp_path, left):
    (tmp_path / "losses.csv").write_text(left)
    fit_a_line(tmp_path, 30)
    record = read_record(tmp_path / "losses.csv")
    assert record["step"].tolist() == list(range(30))
    fit_a_line(tmp_path / "alone", 30)
    assert (
        record["square"].tolist() == read_record(tmp_path / "alone/losses.csv")["square"].tolist()
    )
