"""Outlines that hold still: each averaged with those of the frames around it."""
