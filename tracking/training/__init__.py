"""What the tracker's training is made of; `tracking.train` runs it."""
