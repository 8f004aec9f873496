"""The loop, with a tiny real tracker and an overseer that sees what the truth says."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from pipeline.annotate import PromptedTracking, run
from pipeline.errors import InputError
from pipeline.labels import CHOLECSEG8K
from pipeline.masks import decode_mask
from pipeline.policies.constellation.looks import EveryNth
from pipeline.policies.constellation.policy import Constellation
from pipeline.policies.first_frame import FirstFrame
from pipeline.policies.framewise import Framewise
from pipeline.policies.given import Given, WithGivenPrompts
from pipeline.policy import Decision
from pipeline.records import Detections, FrameBatch, Origin, Prompt, PromptReason
from pipeline.scene_changes import NO_SIGNS
from samples.theatre import Theatre
from samples.theatre.effects import Effects
from tracking.sam2_model import build_network
from tracking.tracker import Sam2Tracker


class SeesTheTruth:
    """An overseer that knows the scene: it finds a frame by its picture."""

    label_set = CHOLECSEG8K

    def __init__(self, theatre):
        self._frames = {frame.image.tobytes(): frame for frame in theatre}
        self._tracks = theatre.tracks
        self.looks = 0

    def detect(self, images):
        self.looks += len(images)
        return [self._look(self._frames[image.tobytes()]) for image in images]

    def _look(self, frame):
        visible = [t for t in np.unique(frame.track_map) if t and (frame.track_map == t).sum() > 40]
        return Detections.from_masks(
            class_ids=np.array([self._tracks[int(t)] for t in visible], np.int64),
            scores=np.full(len(visible), 0.9, np.float32),
            masks=np.stack([frame.track_map == t for t in visible]),
        )


@pytest.fixture(scope="module")
def theatre():
    return Theatre(seed=3, width=128, height=80, frame_count=12)


@pytest.fixture(scope="module")
def tracker():
    torch.manual_seed(1)
    return Sam2Tracker(build_network("scopeline_small"), torch.device("cpu"))


def batches(theatre, size=5):
    images = np.stack([frame.image for frame in theatre])
    for start in range(0, len(images), size):
        indices = np.arange(start, min(start + size, len(images)))
        yield FrameBatch(indices=indices, times=indices / 25, images=images[indices])


def test_constellation_prompts_what_the_overseer_sees(theatre, tracker):
    tracker.reset()
    overseer = SeesTheTruth(theatre)
    policy = Constellation(CHOLECSEG8K, schedule=EveryNth(4))
    frames = list(
        run(PromptedTracking(overseer=overseer, tracker=tracker, policy=policy), batches(theatre))
    )
    assert [frame.index for frame in frames] == list(range(12))
    assert [frame.index for frame in frames if frame.overseer_ran] == [0, 4, 8]
    assert overseer.looks == 3
    truth = theatre.frame(0)
    first = frames[0]
    assert {track.origin for track in first.tracks} == {Origin.PROMPT}
    assert len(first.prompts) == len(first.tracks)
    for track in first.tracks:
        expected = [truth.track_map == t for t, c in theatre.tracks.items() if c == track.class_id]
        mask = decode_mask(track.rle)
        best = max((mask & true).sum() / (mask | true).sum() for true in expected)
        assert best > 0.6
    assert all(track.prompt_id >= 0 for frame in frames for track in frame.tracks)


def test_the_frames_before_a_damaged_one_are_not_lost(theatre, tracker):
    def damaged():
        yield from islice(batches(theatre), 2)
        raise InputError("frame 10 is damaged")

    tracker.reset()
    overseer = SeesTheTruth(theatre)
    loop = PromptedTracking(overseer=overseer, tracker=tracker, policy=FirstFrame())
    frames = run(loop, damaged())
    whole = list(islice(frames, 10))
    assert [frame.index for frame in whole] == list(range(10))
    with pytest.raises(InputError, match="frame 10"):
        next(frames)


def test_masks_of_a_frame_never_overlap(theatre, tracker):
    tracker.reset()
    policy = FirstFrame()
    overseer = SeesTheTruth(theatre)
    for frame in run(
        PromptedTracking(overseer=overseer, tracker=tracker, policy=policy), batches(theatre)
    ):
        total = sum(decode_mask(track.rle).astype(int) for track in frame.tracks)
        assert np.max(total) <= 1
    # Once it has prompted, first-frame needs the overseer no more.
    assert overseer.looks == 5


def test_framewise_needs_no_tracker_and_keeps_ids(theatre):
    frames = list(run(Framewise(SeesTheTruth(theatre)), batches(theatre)))
    by_class = {}
    for frame in frames:
        assert frame.overseer_ran
        for track in frame.tracks:
            by_class.setdefault(track.track_id, set()).add(track.class_id)
    assert all(len(classes) == 1 for classes in by_class.values())
    shown = {t for frame in theatre for t in np.unique(frame.track_map) if t}
    assert len(by_class) <= 2 * len(shown)


def test_a_cut_is_flagged_and_looked_at_and_nothing_is_followed_back_across_it(tracker):
    effects = Effects(cuts_per_minute=200)
    theatre = Theatre(
        seed=2, width=128, height=80, frame_count=60, family="training", effects=effects
    )
    (cut, *_) = [frame.index for frame in theatre if "cut" in frame.flags]
    tracker.reset()
    policy = Constellation(CHOLECSEG8K, schedule=EveryNth(100))
    overseer = SeesTheTruth(theatre)
    frames = list(
        run(PromptedTracking(overseer=overseer, tracker=tracker, policy=policy), batches(theatre))
    )
    assert "cut" in frames[cut].flags
    assert frames[cut].overseer_ran
    assert frames[cut].prompts
    started = {prompt.track_id for prompt in frames[cut].prompts if prompt.reason == "entered"}
    before = {track.track_id for frame in frames[:cut] for track in frame.tracks}
    assert not started & before


class BlindAtFirst(SeesTheTruth):
    """Sees nothing in the first frame that it is asked for."""

    def detect(self, images):
        seen = super().detect(images)
        if self.looks == len(images):
            nothing = np.zeros((0, *images.shape[1:3]), bool)
            seen[0] = Detections.from_masks(
                class_ids=np.zeros(0, np.int64), scores=np.zeros(0, np.float32), masks=nothing
            )
        return seen


def test_what_is_seen_late_is_followed_back(theatre, trained):
    tracker = Sam2Tracker(trained, torch.device("cpu"))
    policy = Constellation(CHOLECSEG8K, schedule=EveryNth(6))
    overseer = BlindAtFirst(theatre)
    frames = list(
        run(
            PromptedTracking(overseer=overseer, tracker=tracker, policy=policy),
            batches(theatre, 12),
        )
    )
    assert [frame.index for frame in frames] == list(range(12))
    assert not frames[0].prompts
    prompted = {prompt.track_id: prompt.prompt_id for prompt in frames[6].prompts}
    assert prompted
    before = [track for frame in frames[:6] for track in frame.tracks]
    assert len(before) > 6
    for track in before:
        assert track.origin is Origin.BACK_FILLED
        assert track.prompt_id == prompted[track.track_id]
        assert track.class_id == policy.class_of(track.track_id)
    for frame in frames[:6]:
        total = sum(decode_mask(track.rle).astype(int) for track in frame.tracks)
        assert np.max(total) <= 1


class Scripted(FirstFrame):
    """Decides by frame what it was told to."""

    def __init__(self, decisions):
        super().__init__()
        self._decisions = decisions

    def decide(self, frame_index, detections, tracked, signs=NO_SIGNS):
        return self._decisions.get(frame_index, Decision())

    def class_of(self, track_id):
        return track_id


def entered(frame_index, track_id, mask):
    return Prompt(
        frame_index=frame_index,
        track_id=track_id,
        class_id=track_id,
        reason=PromptReason.ENTERED,
        mask=mask,
    )


def annotated_as_told(theatre, network, decisions):
    tracker = Sam2Tracker(network, torch.device("cpu"))
    loop = PromptedTracking(overseer=None, tracker=tracker, policy=Scripted(decisions))
    return list(run(loop, batches(theatre)))


def test_a_withdrawn_track_leaves_all_frames_and_gives_back_what_it_hid(theatre, trained):
    organ = theatre.frame(0).track_map == 1
    part = organ & (np.arange(128) < np.median(np.nonzero(organ)[1]))
    alone = annotated_as_told(theatre, trained, {0: Decision(prompts=(entered(0, 1, organ),))})
    followed_back = Decision(
        withdrawn=(3,),
        prompts=(entered(9, 2, theatre.frame(9).track_map == 2),),
        back_filled=(2,),
    )
    frames = annotated_as_told(
        theatre,
        trained,
        {0: Decision(prompts=(entered(0, 1, organ), entered(0, 3, part))), 9: followed_back},
    )
    assert {track.track_id for frame in frames for track in frame.tracks} == {1, 2}
    assert {prompt.track_id for frame in frames for prompt in frame.prompts} == {1, 2}
    (track,) = [track for track in frames[0].tracks if track.track_id == 1]
    whole = decode_mask(alone[0].tracks[0].rle)
    back_filled = sum(decode_mask(t.rle) for t in frames[0].tracks if t.track_id == 2)
    assert np.array_equal(decode_mask(track.rle), whole & ~np.bool_(back_filled))


def test_a_withdrawn_track_is_noted_for_the_frames_that_are_given_out(theatre, trained):
    organ = theatre.frame(0).track_map == 1
    decisions = {
        0: Decision(prompts=(entered(0, 1, organ), entered(0, 3, ~organ))),
        9: Decision(withdrawn=(3,)),
    }
    tracker = Sam2Tracker(trained, torch.device("cpu"), look_back=3)
    loop = PromptedTracking(overseer=None, tracker=tracker, policy=Scripted(decisions))
    given_out = list(run(loop, batches(theatre)))
    false = [f.index for f in given_out if 3 in {track.track_id for track in f.tracks}]
    assert max(false) == 5
    assert loop.withdrawn() == {3: 5}
    again = PromptedTracking(
        overseer=None,
        tracker=Sam2Tracker(trained, torch.device("cpu"), look_back=3),
        policy=Scripted(decisions),
    )
    again.restore(loop.state(), batches(theatre))
    assert again.withdrawn() == {3: 5}


def test_a_withdrawn_track_that_comes_back_keeps_what_it_is_followed_back_into(theatre, trained):
    back = replace(entered(8, 1, theatre.frame(8).track_map == 1), reason=PromptReason.RETURNED)
    decisions = {
        0: Decision(prompts=(entered(0, 1, theatre.frame(0).track_map == 1),)),
        6: Decision(withdrawn=(1,)),
        8: Decision(prompts=(back,), back_filled=(1,)),
    }
    tracker = Sam2Tracker(trained, torch.device("cpu"), look_back=4)
    loop = PromptedTracking(overseer=None, tracker=tracker, policy=Scripted(decisions))
    tracks = [track for frame in run(loop, batches(theatre)) for track in frame.tracks]
    assert [track.origin for track in tracks[2:6]] == [Origin.BACK_FILLED] * 4
    assert loop.withdrawn() == {1: 1}


def test_what_is_followed_back_through_a_blank_frame_is_not_shown_in_it(theatre, trained):
    mask = theatre.frame(8).track_map == 1
    decisions = {
        4: Decision(unusable=True),
        8: Decision(prompts=(entered(8, 1, mask),), back_filled=(1,)),
    }
    frames = annotated_as_told(theatre, trained, decisions)
    assert [bool(frame.tracks) for frame in frames[:8]] == [True] * 4 + [False] + [True] * 3


def test_a_track_may_be_followed_back_over_frames_that_do_not_decode(theatre, trained):
    tracker = Sam2Tracker(trained, torch.device("cpu"), look_back=4)
    mask = theatre.frame(8).track_map == 1
    policy = Scripted({8: Decision(prompts=(entered(8, 1, mask),), back_filled=(1,))})
    loop = PromptedTracking(overseer=None, tracker=tracker, policy=policy)
    damaged = (replace(batch, undecodable=frozenset({6})) for batch in batches(theatre))
    frames = list(run(loop, damaged))
    # The tracker looks back to frame 3, which was given out already.
    assert [frame.index for frame in frames if frame.tracks] == [4, 5, *range(7, 12)]


def human_prompt(frame_index):
    mask = np.zeros((80, 128), bool)
    mask[20:50, 30:80] = True
    return Prompt(
        frame_index=frame_index, track_id=9, class_id=2, reason=PromptReason.HUMAN, mask=mask
    )


def test_given_prompts_start_on_their_frame(theatre, tracker):
    tracker.reset()
    policy = Given({4: (human_prompt(4),)})
    frames = list(
        run(PromptedTracking(overseer=None, tracker=tracker, policy=policy), batches(theatre))
    )
    assert all(not frame.tracks for frame in frames[:4])
    (track,) = frames[4].tracks
    assert (track.track_id, track.class_id, track.origin) == (9, 2, Origin.HUMAN)
    assert frames[4].prompts[0].reason is PromptReason.HUMAN


def test_between_two_given_masks_each_frame_is_tracked_from_the_nearer_one(theatre, trained):
    prompts = {}
    for frame in islice(theatre, 0, None, 10):
        mask = frame.track_map == 1
        prompt = Prompt(
            frame_index=frame.index, track_id=1, class_id=2, reason=PromptReason.HUMAN, mask=mask
        )
        prompts[frame.index] = (prompt,)
    tracker = Sam2Tracker(trained, torch.device("cpu"))
    loop = PromptedTracking(overseer=None, tracker=tracker, policy=Given(prompts))
    tracks = [frame.tracks[0] for frame in run(loop, batches(theatre))]
    assert [track.origin for track in tracks] == [
        Origin.HUMAN, *[Origin.PROPAGATED] * 5, *[Origin.BACK_FILLED] * 4,
        Origin.HUMAN, Origin.PROPAGATED,
    ]  # fmt: skip
    assert [track.prompt_id for track in tracks] == [0] * 6 + [1] * 6


def test_given_prompts_go_with_the_constellation(theatre, tracker):
    tracker.reset()
    constellation = Constellation(CHOLECSEG8K, schedule=EveryNth(4))
    policy = WithGivenPrompts(constellation, Given({0: (human_prompt(0),)}))
    overseer = SeesTheTruth(theatre)
    frames = list(
        run(PromptedTracking(overseer=overseer, tracker=tracker, policy=policy), batches(theatre))
    )
    assert [track.track_id for track in frames[0].tracks] == [9]
    started = {prompt.track_id for frame in frames for prompt in frame.prompts}
    assert 9 in started
    assert len(started) > 1
    classes = {}
    for frame in frames:
        for prompt in frame.prompts:
            assert classes.setdefault(prompt.track_id, prompt.class_id) == prompt.class_id
