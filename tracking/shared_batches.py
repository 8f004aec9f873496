"""Frames of several videos, encoded in one batch."""

from collections.abc import Sequence
from itertools import islice

from pipeline.records import FrameBatch
from tracking.tracker import Sam2Tracker


def encode_together(upcoming: Sequence[tuple[Sam2Tracker, FrameBatch]]) -> None:
    """Encode the next frames of several videos in one batch, each for the tracker of its video.

    Args:
        upcoming: trackers of the same networks, from `beside`, and their next frames.
    """
    encoder = upcoming[0][0].encoder
    features = iter(encoder.encode(*(batch.images for _, batch in upcoming)))
    for tracker, batch in upcoming:
        tracker.take_encoded(batch.indices.tolist(), islice(features, len(batch)))
