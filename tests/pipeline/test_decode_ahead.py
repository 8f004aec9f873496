"""Decoding ahead of whoever uses the frames: when it ends, and how long it is waited for."""

import threading
from contextlib import nullcontext

import pytest

from pipeline.decoding import decode_ahead as decode_ahead_module
from pipeline.decoding.decode_ahead import DecodedCount, decode_ahead
from pipeline.errors import InputError
from pipeline.frames import open_video


def test_stopping_early_stops_the_decoder(small_video):
    batches = open_video(small_video).batches(1)
    next(batches)
    batches.close()
    for thread in threading.enumerate():
        if thread.name == "decode-ahead":
            thread.join(5)
            assert not thread.is_alive()


@pytest.mark.parametrize("decodes", [True, False])
def test_a_decoder_is_waited_for_as_long_as_it_decodes(small_video, monkeypatch, decodes):
    decoded, may_go_on = DecodedCount(), threading.Event()

    def decode():
        for _ in decoded.over(range(40)):
            may_go_on.wait(0.05 if decodes else 30)
        yield from open_video(small_video).decode(8, 8)

    monkeypatch.setattr(decode_ahead_module, "_DECODE_TIMEOUT_S", 0.5)
    batches = decode_ahead(decode(), small_video, decoded)
    with nullcontext() if decodes else pytest.raises(InputError, match="stopped giving frames"):
        assert len(next(batches)) == 8
    may_go_on.set()


def test_all_that_is_decoded_counts_also_before_the_first_frame_that_is_wanted(small_video):
    video = open_video(small_video, "skip")
    assert [batch.indices.tolist() for batch in video.batches(8, start=11)] == [[11]]
    assert video._count.frames == 12
