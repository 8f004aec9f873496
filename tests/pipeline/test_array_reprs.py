"""What a notebook shows of the records: shapes, not numbers."""

import numpy as np

from pipeline.annotation_set import AnnotationSet
from pipeline.labelled_clip import LabelledClip
from pipeline.masks import encode_mask
from pipeline.records import Detections, FrameBatch, Prompt, PromptReason, TrackedMasks
from tests.conftest import rectangle

MASK = rectangle(4, 4, 20, 28)
SIDES = "32, 48"


def test_records_show_the_shapes_of_their_arrays():
    batch = FrameBatch(
        indices=np.arange(4),
        times=np.arange(4) / 25,
        images=np.zeros((4, 32, 48, 3), np.uint8),
    )
    assert repr(batch) == (
        "FrameBatch(indices=[0, 1, 2, 3], times=[0.0, 0.04, 0.08, 0.12], "
        f"images=uint8[4, {SIDES}, 3], undecodable=frozenset())"
    )
    many = FrameBatch(
        indices=np.arange(9), times=np.arange(9.0), images=np.zeros((9, 2, 2, 3), np.uint8)
    )
    assert "indices=int64[9], times=float64[9]" in repr(many)


def test_no_record_shows_its_pixels():
    one = np.ones(1, np.float32)
    records = [
        Detections.from_masks(class_ids=np.array([2]), scores=one, masks=MASK[None]),
        Prompt(frame_index=3, track_id=1, class_id=2, reason=PromptReason.ENTERED, mask=MASK),
        TrackedMasks(track_ids=np.array([7]), masks=MASK[None], quality=one, presence=one),
        LabelledClip(
            images=np.zeros((1, *MASK.shape, 3), np.uint8),
            track_maps=MASK[None].astype(np.uint8),
            class_of_track={1: 2},
        ),
    ]
    for record in records:
        assert f"{SIDES}]" in repr(record)
        assert len(repr(record)) < 200
    assert "class_of_track={1: 2}" in repr(records[-1])
    many = dict.fromkeys(range(1, 10), 2)
    clip = LabelledClip(
        images=records[-1].images, track_maps=records[-1].track_maps, class_of_track=many
    )
    assert "class_of_track=<dict of 9>" in repr(clip)


def test_a_mask_shows_its_size_and_not_its_runs():
    rle = encode_mask(MASK)
    assert repr(rle) == f"RLE(size=(32, 48), counts=<{len(rle.counts)} bytes>)"


def test_a_set_shows_its_folder_its_state_and_what_it_holds(scene):
    annotated = AnnotationSet(scene / "truth.annset")
    counts = annotated.manifest.counts
    assert repr(annotated) == (
        f"AnnotationSet('{scene}/truth.annset', complete: {counts.frames} frames, "
        f"{counts.tracks} tracks)"
    )
