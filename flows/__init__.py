"""The top floor: what a person or a scheduler starts."""
