"""The tracker follows new tracks back in time, and takes out those that were none."""

import numpy as np
import torch

from pipeline.masks import iou_matrix
from tests.conftest import first_object, mask_prompt
from tracking.frame_features import TrackOutput
from tracking.tracker import Sam2Tracker

CPU = torch.device("cpu")


def masks_by_frame(changed):
    return {frame.frame_index: frame.tracked for frame in changed}


def test_following_back_equals_following_a_reversed_video(trained):
    images, masks = first_object()
    backwards = Sam2Tracker(trained, CPU)
    for index, image in enumerate(images):
        backwards.track(index, image)
    backwards.prompt([mask_prompt(11, 4, masks[11])])
    found = masks_by_frame(backwards.back_fill([4], {}))
    assert sorted(found) == list(range(11))

    reversed_video = Sam2Tracker(trained, CPU)
    for index, image in enumerate(reversed(images)):
        reversed_video.track(index, image)
        if index == 0:
            reversed_video.prompt([mask_prompt(0, 4, masks[11])])
        else:
            assert np.array_equal(reversed_video.result().masks, found[11 - index].masks)


def test_following_back_leaves_the_frames_to_come_as_they_are(trained):
    images, masks = first_object()
    results = []
    for fill in (True, False):
        tracker = Sam2Tracker(trained, CPU)
        for index, image in enumerate(images):
            tracker.track(index, image)
            if index == 2:
                tracker.prompt([mask_prompt(2, 1, ~masks[2])])
            if index == 6:
                tracker.prompt([mask_prompt(6, 2, masks[6])])
                changed = tracker.back_fill([2], {}) if fill else []
                # Frames 2 to 5 have both tracks, the ones before only the new one.
                assert all(1 in f.tracked.track_ids for f in changed if f.frame_index >= 2)
        results.append(tracker.result())
    assert np.array_equal(results[0].masks, results[1].masks)


def test_following_back_stops_where_the_track_already_is_and_where_frames_end(trained):
    images, masks = first_object()
    tracker = Sam2Tracker(trained, CPU, look_back=3)
    for index, image in enumerate(images):
        tracker.track(index, image)
        if index in (6, 11):
            tracker.prompt([mask_prompt(index, 1, masks[index])])
    assert tracker.back_fill([1], {}) == []
    tracker.prompt([mask_prompt(11, 2, masks[11])])
    assert [frame.frame_index for frame in tracker.back_fill([2], {})] == [10, 9, 8]


def following_the_ground(network, since):
    """A tracker that has followed track 1, all but the object, from a frame on."""
    images, masks = first_object()
    tracker = Sam2Tracker(network, CPU)
    for index, image in enumerate(images):
        tracker.track(index, image)
        if index == since:
            tracker.prompt([mask_prompt(since, 1, ~masks[since])])
    return tracker, masks


def test_a_withdrawn_track_does_not_come_back_when_another_is_followed_back(trained):
    tracker, masks = following_the_ground(trained, since=2)
    withdrawn = tracker.withdraw([1])
    assert [frame.frame_index for frame in withdrawn] == list(range(2, 11))
    assert not any(len(frame.tracked.track_ids) for frame in withdrawn)
    tracker.prompt([mask_prompt(11, 2, masks[11])])
    followed = tracker.back_fill([2], {})
    assert len(followed) == 11
    assert all(frame.tracked.track_ids.tolist() == [2] for frame in followed)
    assert all(frame.followed == (2,) for frame in followed)


def test_an_ended_track_stays_in_the_frames_before(trained):
    tracker, masks = following_the_ground(trained, since=2)
    tracker.end([1])
    tracker.prompt([mask_prompt(11, 2, masks[11])])
    followed = masks_by_frame(tracker.back_fill([2], {}))
    assert [followed[index].track_ids.tolist() for index in (1, 2, 10)] == [[2], [1, 2], [1, 2]]


def test_following_back_may_take_the_place_of_what_was_tracked(trained):
    tracker, masks = following_the_ground(trained, since=0)
    tracker.prompt([mask_prompt(11, 1, masks[11])])
    found = masks_by_frame(tracker.back_fill([], {1: 6}))
    assert sorted(found) == [6, 7, 8, 9, 10]
    for index, tracked in found.items():
        assert iou_matrix(tracked.masks, masks[index][None]) > 0.5, index


class Shrinking(Sam2Tracker):
    """Finds a third of what it found before in each frame that it follows a track into."""

    height = 36

    def _follow(self, features, bank, track_ids, frame_index, before):
        self.height //= 3
        return dict.fromkeys(track_ids, upper_part(self.height))


def upper_part(height):
    logits = np.full((40, 40), -1.0, np.float32)
    logits[:height] = 1.0
    return TrackOutput(logits=logits, quality=0.9, presence=1.0)


def test_following_back_stops_at_a_speck(trained):
    images, masks = first_object()
    tracker = Shrinking(trained, CPU)
    for index, image in enumerate(images):
        tracker.track(index, image)
    tracker.prompt([mask_prompt(11, 1, masks[11])])
    tracker._outputs[1] = upper_part(36)
    # A third and a ninth of what was prompted are followed, the next is less than a tenth.
    assert [frame.frame_index for frame in tracker.back_fill([1], {})] == [10, 9]
