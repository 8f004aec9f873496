"""A simulated operating theatre: videos with exact truth for the demo, training and tests."""

from samples.theatre.scene import Theatre, TheatreFrame
from samples.theatre.timeline import FRAME_RATE

__all__ = ["FRAME_RATE", "Theatre", "TheatreFrame"]
