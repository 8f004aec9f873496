"""A loop that steadies the outlines of another, on masks that tremble over a moving picture."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flows.annotation_loops import picture_size
from flows.settings import AnnotateSettings
from pipeline.errors import InputError
from pipeline.frames import VideoInfo
from pipeline.loop_state import LoopState
from pipeline.masks import decode_mask, decode_shrunk, encode_mask
from pipeline.records import FrameBatch
from pipeline.steadying.steadied import Steadied
from pipeline.temporal import temporal_consistency
from tests.conftest import annotated_frame, rectangle

SIZE = (96, 128)
LENGTH = 40
CUT = 21


def image(index):
    """A pattern that moves to the right by a pixel a frame, and another one after the cut."""
    pattern = np.random.default_rng(int(index >= CUT)).integers(0, 255, (24, 64)).astype(np.uint8)
    wide = np.kron(pattern, np.ones((4, 4), np.uint8))
    return np.repeat(wide[:, 60 - index : 188 - index, None], 3, -1)


def true_mask(index):
    """A square that moves along; after the cut, a little further."""
    left = 20 + index if index < CUT else 24 + index
    return rectangle(left, 30, left + 30, 70, SIZE)


def trembling(index):
    """The true mask, larger or smaller by up to three pixels, and a speck beside it."""
    by = int(np.random.default_rng(index).integers(-3, 4))
    left = 20 + index if index < CUT else 24 + index
    mask = rectangle(left - by, 30 - by, left + 30 + by, 70 + by, SIZE)
    frame = annotated_frame(index, t1_c5=mask, t2_c1=rectangle(4, 4, 6, 5, SIZE))
    return replace(frame, flags=("cut",) if index == CUT else ())


def batches(first=0, end=LENGTH, size=8):
    for start in range(first, end, size):
        indices = np.arange(start, min(start + size, end))
        yield FrameBatch(
            indices=indices,
            times=indices / 25,
            images=np.stack([image(index) for index in indices]),
        )


class Trembles:
    """A loop that sees the masks of `trembling`, and lets each frame wait for five others."""

    past_frames = 5

    def __init__(self):
        self._next = 0
        self._given = 0

    def step(self, batch):
        self._next = int(batch.indices[-1]) + 1
        return self._give(self._next - 5)

    def finish(self):
        return self._give(self._next)

    def _give(self, end):
        done = [trembling(index) for index in range(self._given, max(end, self._given))]
        self._given = max(end, self._given)
        return done

    def class_of(self, track_id):
        return 7 if track_id == 1 else None

    def state(self):
        return LoopState(
            next_frame=self._next,
            values={"given": self._given},
            arrays={"inner": np.arange(3)},
        )

    def restore(self, state, past):
        assert set(state.arrays) == {"inner"}
        self._next, self._given = state.next_frame, state.values["given"]
        next(iter(past))


def steadied(weight=0.6, size=8):
    loop = Steadied(Trembles(), weight, batch_frames=size, frame_size=SIZE)
    frames = [frame for batch in batches(size=size) for frame in loop.step(batch)]
    return [*frames, *loop.finish()]


def masks(frames, track_id=1):
    return [
        next(decode_mask(track.rle) for track in frame.tracks if track.track_id == track_id)
        for frame in frames
    ]


def error(found):
    wrong = [mask ^ true_mask(index) for index, mask in enumerate(found)]
    return np.mean([mask.sum() for mask in wrong])


def test_every_frame_comes_out_once_with_all_its_tracks():
    frames = steadied()
    assert [frame.index for frame in frames] == list(range(LENGTH))
    for index, frame in enumerate(frames):
        raw = trembling(index)
        assert [track.track_id for track in frame.tracks] == [1, 2]
        unchanged = [replace(t, rle=r.rle) for t, r in zip(frame.tracks, raw.tracks, strict=True)]
        assert replace(frame, tracks=tuple(unchanged)) == raw


def test_outlines_tremble_less_and_are_nearer_to_the_truth():
    raw = [trembling(index) for index in range(LENGTH)]
    frames = steadied()
    images = [image(index) for index in range(LENGTH)]
    measured = temporal_consistency({"raw": raw, "steadied": frames}, images, frozenset({CUT}))
    gained = measured["steadied"].warped_temporal_iou - measured["raw"].warped_temporal_iou
    assert gained > 0.05
    assert error(masks(frames)) < 0.7 * error(masks(raw))


def test_nothing_is_averaged_across_a_cut():
    """The frames of either picture are the same without the other."""
    frames = steadied()
    first = Steadied(Trembles(), 0.6, batch_frames=8, frame_size=SIZE)
    alone = [frame for batch in batches(end=CUT) for frame in first.step(batch)]
    assert [*alone, *first.finish()] == frames[:CUT]
    loop = Steadied(Trembles(), 0.6, batch_frames=8, frame_size=SIZE)
    loop._loop._given = CUT
    alone = [frame for batch in batches(first=16) for frame in loop.step(batch)]
    assert [*alone, *loop.finish()] == frames[CUT:]


def test_a_mask_without_an_inside_stays():
    assert all(mask.sum() == 2 for mask in masks(steadied(), track_id=2))


def test_tracks_stay_apart():
    class Touching(Trembles):
        def _give(self, end):
            done = super()._give(end)
            return [self._with_neighbour(frame) for frame in done]

        def _with_neighbour(self, frame):
            mask = decode_mask(frame.tracks[0].rle)
            below = rectangle(0, 60, 128, 96, SIZE) & ~mask
            return replace(
                frame, tracks=(frame.tracks[0], replace(frame.tracks[1], rle=encode_mask(below)))
            )

    loop = Steadied(Touching(), 0.6, batch_frames=8, frame_size=SIZE)
    frames = [frame for batch in batches() for frame in loop.step(batch)]
    for frame in frames:
        assert sum(decode_mask(track.rle) for track in frame.tracks).max() == 1


@pytest.mark.parametrize("size", [3, 40])
def test_the_size_of_the_batches_does_not_matter(size):
    assert steadied(size=size) == steadied()


@pytest.mark.parametrize("stop", [8, 16, 24, 32])
def test_a_loop_that_was_stopped_goes_on_to_the_same_frames(stop):
    loop = Steadied(Trembles(), 0.6, batch_frames=8, frame_size=SIZE)
    frames = [frame for batch in batches(end=stop) for frame in loop.step(batch)]
    state = loop.state()
    again = Steadied(Trembles(), 0.6, batch_frames=8, frame_size=SIZE)
    again.restore(state, batches(max(stop - again.past_frames, 0) // 8 * 8, stop))
    frames += [frame for batch in batches(first=stop) for frame in again.step(batch)]
    assert [*frames, *again.finish()] == steadied()


def test_it_remembers_no_more_of_a_longer_video():
    loop = Steadied(Trembles(), 0.6, batch_frames=8, frame_size=SIZE)
    moved = loop._averager._moved
    held = []
    for batch in batches():
        loop.step(batch)
        pending = loop.state().values["pending"]
        held.append([len(kept) for kept in (moved._greys, moved._outlines, moved._ways, pending)])
    assert max(greys for greys, *_ in held) <= 8 + 6 + 5 + 2 * 8
    assert max(outlines for _, outlines, *_ in held) <= 6 + 1
    assert max(ways for *_, ways, _ in held) <= 6
    assert held[-1][-1] == held[-2][-1]


def test_outlines_are_steadied_while_the_loop_takes_the_next_batch():
    """Either waits for the other: the loop for an outline to be moved, that for the loop."""
    taking, moved = threading.Event(), threading.Event()

    class Waits(Trembles):
        def step(self, batch):
            if batch.indices[0] == 24:
                taking.set()
                assert moved.wait(10)
            return super().step(batch)

    loop = Steadied(Waits(), 0.6, batch_frames=8, frame_size=SIZE)
    flow = loop._averager._moved._flow
    between = flow.between

    def noted(image, neighbour):
        assert taking.wait(10)
        moved.set()
        return between(image, neighbour)

    flow.between = noted
    frames = [frame for batch in batches() for frame in loop.step(batch)]
    assert [*frames, *loop.finish()] == steadied()


def test_frames_that_were_steadied_when_the_loop_fails_are_not_lost():
    class Fails(Trembles):
        def step(self, batch):
            if batch.indices[0] == 32:
                raise InputError("frame 32 is broken")
            return super().step(batch)

    loop = Steadied(Fails(), 0.6, batch_frames=8, frame_size=SIZE)
    frames = []
    with pytest.raises(InputError, match="frame 32"):
        for batch in batches():
            frames += loop.step(batch)
    frames += loop.finish()
    assert [frame.index for frame in frames] == list(range(32))


def test_classes_are_those_of_the_loop():
    loop = Steadied(Trembles(), 0.6, batch_frames=8, frame_size=SIZE)
    assert (loop.class_of(1), loop.class_of(2)) == (7, None)


def test_masks_of_a_large_video_are_drawn_at_its_size():
    """Outlines are averaged on a small picture; what stands still stays where it was."""
    size = (540, 960)
    mask = rectangle(301, 200, 640, 455, size)
    picture = np.kron(
        np.random.default_rng(0).integers(0, 255, (54, 96, 3)).astype(np.uint8),
        np.ones((10, 10, 1), np.uint8),
    )

    class Still(Trembles):
        def _give(self, end):
            return [annotated_frame(frame.index, t1_c5=mask) for frame in super()._give(end)]

    loop = Steadied(Still(), 0.6, batch_frames=8, frame_size=size)
    indices = np.arange(8)
    loop.step(
        FrameBatch(indices=indices, times=indices / 25, images=np.stack([picture] * len(indices)))
    )
    for found in masks(loop.finish()):
        assert found.shape == size
        assert (found ^ mask).sum() < 0.02 * mask.sum()


@pytest.mark.parametrize("size", [(480, 854), (576, 704), (480, 848), (570, 1024), (1076, 1916)])
def test_videos_of_all_sizes_are_steadied(size):
    info = VideoInfo(
        name="op", path=Path("op.mp4"), sha256="", height=size[0], width=size[1], frame_count=8,
        rate=25.0,
    )  # fmt: skip
    decoded = picture_size(info, AnnotateSettings())
    assert decoded < size
    left = decoded[1] // 3

    class Still(Trembles):
        def _give(self, end):
            mask = rectangle(left, 90, left + 80, 180, decoded)
            return [annotated_frame(frame.index, t1_c5=mask) for frame in super()._give(end)]

    loop = Steadied(Still(), 0.6, batch_frames=8, frame_size=size)
    indices = np.arange(8)
    images = np.zeros((8, *decoded, 3), np.uint8)
    loop.step(FrameBatch(indices=indices, times=indices / 25, images=images))
    scale = size[1] / decoded[1]
    for found in masks(loop.finish()):
        assert found.shape == size
        assert found.sum() == pytest.approx(80 * 90 * scale**2, rel=0.03)


def test_the_loop_may_see_smaller_pictures_than_the_video_has():
    size, small = (540, 960), (270, 480)
    disc = np.hypot(*(np.indices(size) - np.array([[[270]], [[480]]]))) < 150

    class SmallStill(Trembles):
        def _give(self, end):
            seen = decode_shrunk(encode_mask(disc), small)
            speck = rectangle(10, 10, 11, 11, small)
            return [
                annotated_frame(frame.index, t1_c5=seen, t2_c1=speck)
                for frame in super()._give(end)
            ]

    loop = Steadied(SmallStill(), 0.6, batch_frames=8, frame_size=size)
    indices = np.arange(8)
    images = np.zeros((8, *small, 3), np.uint8)
    loop.step(FrameBatch(indices=indices, times=indices / 25, images=images))
    found = loop.finish()
    assert len(found) == 8
    for frame in found:
        large, speck = (decode_mask(track.rle) for track in frame.tracks)
        assert (large ^ disc).sum() < 0.01 * disc.sum()
        # Smooth, and not the steps of the smaller picture: both pixels of a step would be equal.
        assert (large[::2] != large[1::2]).any()
        assert speck.shape == size
        assert speck[20:22, 20:22].all()
