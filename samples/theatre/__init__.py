"""A simulated operating theatre: videos with exact truth for the demo, training and tests."""

from samples.theatre.scene import FRAME_RATE, Theatre, TheatreFrame

__all__ = ["FRAME_RATE", "Theatre", "TheatreFrame"]
