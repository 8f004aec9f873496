"""Trainings as a user starts them: what to learn from, what is refused, how it is recorded."""
