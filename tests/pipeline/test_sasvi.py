"""SASVi's loop, on hand-made detections and a tracker that holds its masks still."""

import numpy as np
import pytest
import torch

from pipeline.annotate import run as run_loop
from pipeline.errors import InputError
from pipeline.labels import CHOLECSEG8K
from pipeline.masks import decode_mask
from pipeline.policies.sasvi import Sasvi, SasviSettings, without_duplicates
from pipeline.records import Detections, FrameBatch, PromptReason, TrackedMasks
from tests.conftest import rectangle
from tracking.sam2_model import build_network
from tracking.tracker import Sam2Tracker

LIVER, FAT, GRASPER = 2, 4, 5
LEFT = rectangle(0, 0, 20, 32)
RIGHT = rectangle(20, 0, 48, 32)
TOOL = rectangle(15, 10, 25, 20)


class Script:
    """An overseer that sees what is written for a frame; the picture holds its number."""

    label_set = CHOLECSEG8K

    def __init__(self, scenes):
        self.scenes = scenes

    def detect(self, images):
        return [self._look(self.scenes[int(image[0, 0, 0])]) for image in images]

    def _look(self, scene):
        masks = [mask for _, mask in scene]
        return Detections.from_masks(
            class_ids=np.array([class_id for class_id, _ in scene], np.int64),
            scores=np.full(len(scene), 0.9, np.float32),
            masks=np.stack(masks) if masks else np.zeros((0, 32, 48), bool),
        )


class Holds:
    """A tracker that repeats the masks it was prompted with; points make a spot each."""

    look_back = 0

    def __init__(self):
        self.masks = {}

    def encode_ahead(self, frame_indices, images):
        pass

    def track(self, frame_index, image):
        self.frame = frame_index

    def prompt(self, prompts):
        for prompt in prompts:
            mask = prompt.mask
            if mask is None:
                mask = np.zeros((32, 48), bool)
                columns, rows = prompt.points[:, :2].astype(int).T
                mask[rows, columns] = True
            self.masks[prompt.track_id] = mask

    def appearances(self, masks):
        return None

    def forget_past(self):
        pass

    def end(self, track_ids):
        for track_id in track_ids:
            del self.masks[track_id]

    def result(self):
        count = len(self.masks)
        return TrackedMasks(
            track_ids=np.array(sorted(self.masks), np.int64),
            masks=np.stack([self.masks[t] for t in sorted(self.masks)])
            if count
            else np.zeros((0, 32, 48), bool),
            quality=np.ones(count, np.float32),
            presence=np.ones(count, np.float32),
        )


def batches(count, size=4):
    images = np.zeros((count, 32, 48, 3), np.uint8)
    images[:, 0, 0, 0] = np.arange(count)
    for start in range(0, count, size):
        indices = np.arange(start, min(start + size, count))
        yield FrameBatch(indices=indices, times=indices / 25, images=images[indices])


def run(scenes, **settings):
    loop = Sasvi(overseer=Script(scenes), tracker=Holds(), settings=SasviSettings(**settings))
    return list(run_loop(loop, batches(len(scenes))))


def classes(frame):
    return {track.class_id for track in frame.tracks}


def prompted(frames):
    return {
        frame.index: [(p.class_id, p.kind) for p in frame.prompts]
        for frame in frames
        if frame.prompts
    }


def test_one_object_for_each_class():
    two_tools = [(GRASPER, rectangle(0, 0, 5, 5)), (GRASPER, rectangle(30, 20, 40, 30))]
    frames = run([two_tools] * 3)
    (track,) = frames[0].tracks
    assert decode_mask(track.rle).sum() == 25 + 100


def test_the_tracker_begins_anew_each_25_frames():
    frames = run([[(LIVER, LEFT)]] * 60)
    assert list(prompted(frames)) == [0, 25, 50]
    assert frames[25].prompts[0].reason is PromptReason.REFRESHED
    assert all(frame.overseer_ran for frame in frames)


def test_a_new_class_is_taken_when_three_more_frames_show_it():
    without, with_tool = [(LIVER, LEFT)], [(LIVER, LEFT), (GRASPER, RIGHT)]
    frames = run([without] * 4 + [with_tool] * 8)
    assert prompted(frames) == {
        0: [(LIVER, "mask")],
        4: [(LIVER, "mask"), (GRASPER, "points")],
    }
    flicker = run([without] * 4 + [with_tool] * 3 + [without] * 8)
    assert list(prompted(flicker)) == [0]


def test_a_new_object_gets_20_points_on_it():
    frames = run([[(LIVER, LEFT)]] + [[(LIVER, LEFT), (GRASPER, RIGHT)]] * 5)
    (tool,) = [track for track in frames[1].tracks if track.class_id == GRASPER]
    spots = decode_mask(tool.rle)
    assert 15 <= spots.sum() <= 20
    assert not (spots & ~RIGHT).any()


def test_a_class_that_goes_does_not_prompt():
    frames = run([[(LIVER, LEFT), (GRASPER, TOOL)]] * 5 + [[(LIVER, LEFT)]] * 10)
    assert list(prompted(frames)) == [0]
    assert classes(frames[14]) == {LIVER, GRASPER}


def test_a_restart_forgets_what_the_overseer_does_not_see():
    frames = run([[(LIVER, LEFT), (GRASPER, TOOL)]] * 5 + [[(LIVER, LEFT)]] * 25)
    assert classes(frames[24]) == {LIVER, GRASPER}
    assert classes(frames[25]) == {LIVER}


def test_a_restart_on_which_nothing_is_seen_forgets_everything():
    frames = run([[(LIVER, LEFT)]] * 20 + [[]] * 20 + [[(GRASPER, TOOL)]] * 10)
    assert [frame.index for frame in frames if frame.tracks] == [*range(25), *range(40, 50)]
    assert list(prompted(frames)) == [0, 40]


def test_of_two_classes_on_one_object_the_more_frequent_stays():
    nearly = LEFT.copy()
    nearly[0] = False
    frames = run([[(LIVER, LEFT), (FAT, nearly)]] + [[(FAT, LEFT)]] * 12)
    assert classes(frames[0]) == {FAT}
    masks = {LIVER: LEFT, FAT: nearly}
    assert without_duplicates(masks, [{LIVER}, {LIVER, FAT}], 0.7) == {LIVER}
    assert without_duplicates(masks, [{FAT}], 0.7) == {FAT}
    assert without_duplicates({LIVER: LEFT, GRASPER: TOOL}, [{LIVER}], 0.7) == {LIVER, GRASPER}


def test_the_frames_before_a_damaged_one_are_kept():
    def damaged():
        yield from batches(6)
        raise InputError("frame 6 is damaged")

    loop = Sasvi(overseer=Script([[(LIVER, LEFT)]] * 6), tracker=Holds())
    frames = run_loop(loop, damaged())
    assert [next(frames).index for _ in range(6)] == list(range(6))
    with pytest.raises(InputError, match="frame 6"):
        next(frames)


def test_it_runs_on_the_real_tracker():
    torch.manual_seed(1)
    tracker = Sam2Tracker(build_network("scopeline_small"), torch.device("cpu"))
    scenes = [[(LIVER, LEFT)]] * 2 + [[(LIVER, LEFT), (GRASPER, RIGHT)]] * 5
    frames = list(run_loop(Sasvi(overseer=Script(scenes), tracker=tracker), batches(7)))
    assert [frame.index for frame in frames] == list(range(7))
    assert (LIVER, "mask") in prompted(frames)[0]
