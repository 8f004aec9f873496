"""The overseer: a Mask R-CNN that sees objects in single frames."""
