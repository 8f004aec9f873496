"""Boxes and points, answered by the tracker that ships: for new tracks and for known ones."""

import numpy as np
import torch

from pipeline.masks import boxes_of_masks, points_in_mask
from pipeline.records import Prompt, PromptReason
from tests.conftest import first_object
from tracking.sam2_model import build_network
from tracking.tracker import Sam2Tracker

CPU = torch.device("cpu")


def prompt(frame_index=0, **hint):
    return Prompt(
        frame_index=frame_index, track_id=4, class_id=1, reason=PromptReason.HUMAN, **hint
    )


def overlap(found, true):
    return (found & true).sum() / (found | true).sum()


def test_a_box_is_seen_in_several_views_of_the_frame(trained):
    """As it is and from near three times, each also mirrored: eight encodings besides its own."""
    images, masks = first_object(frame_count=1)
    box = boxes_of_masks(masks[0][None])[0].astype(np.float32)
    encoded = []
    for views in ("one", "several"):
        tracker = Sam2Tracker(trained, CPU, views=views)
        encode, counted = trained.forward_image, []
        trained.forward_image = lambda images, e=encode, c=counted: (
            c.append(len(images)) or e(images)
        )
        tracker.track(0, images[0])
        tracker.prompt([prompt(box=box)])
        del trained.forward_image
        encoded.append(sum(counted))
        found = tracker.result()
        assert found.track_ids.tolist() == [4]
        assert overlap(found.masks[0], masks[0]) > 0.6
    assert encoded == [1, 9]


def test_a_first_mask_network_finds_new_tracks_and_leaves_what_fits_of_others(trained):
    """One that knows nothing: what it is asked comes out wrong, what it is not stays right."""
    images, masks = first_object(frame_count=1)
    box = boxes_of_masks(masks[0][None])[0].astype(np.float32)
    torch.manual_seed(0)
    blind = build_network("scopeline_small")
    tracker = Sam2Tracker(trained, CPU, first_mask_network=blind)
    overlaps = []
    for hint in ({"mask": masks[0]}, {"box": box}):
        tracker.reset()
        tracker.track(0, images[0])
        for given in (hint, {"box": box}):
            # The second time it corrects a track, of which what is tracked and fits is left.
            tracker.prompt([prompt(**given)])
            overlaps.append(overlap(tracker.result().masks[0], masks[0]))
    by_mask, corrected, by_box, _ = overlaps
    assert min(by_mask, corrected) > 0.6
    assert by_box < 0.4


def test_points_on_a_track_that_is_followed_well_leave_it_so(trained):
    """They say nothing new; asked of memory alone, they cost it half of its mask."""
    images, masks = first_object(seed=6)
    tracker = Sam2Tracker(trained, CPU)
    for index, image in enumerate(images):
        tracker.track(index, image)
        if index == 0:
            tracker.prompt([prompt(mask=masks[0])])
    followed = tracker.result().masks[0]
    points = np.pad(points_in_mask(masks[11], 5), ((0, 0), (0, 1)), constant_values=1)
    tracker.prompt([prompt(11, points=points.astype(np.float32))])
    corrected = tracker.result().masks[0]
    assert overlap(followed, masks[11]) > 0.6
    assert overlap(corrected, masks[11]) > overlap(followed, masks[11]) - 0.1


def test_a_box_in_which_no_view_sees_anything_is_not_asked_of_memory(trained, monkeypatch):
    """Memory was never trained to answer a box: the track starts anew, as any other would."""
    images, masks = first_object(frame_count=1)
    monkeypatch.setattr("tracking.tracker.as_masks", lambda ask, image, prompts, tracked: prompts)
    box = boxes_of_masks(masks[0][None])[0].astype(np.float32)
    found = []
    for hints in ({"box": box},), ({"mask": masks[0]}, {"box": box}):
        tracker = Sam2Tracker(trained, CPU)
        tracker.track(0, images[0])
        for hint in hints:
            tracker.prompt([prompt(**hint)])
        found.append(tracker.result().masks[0])
    assert found[0].any()
    assert (found[0] == found[1]).all()
