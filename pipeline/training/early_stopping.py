"""Early stopping: the best weights are kept, and a training that gets no better ends."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.networks.checkpoints import save_tensors


class BestWeights:
    """Keeps the weights of the best validation in a file, and counts those that were no better.

    Args:
        path: of the file.
        patience: validations in a row that may be no better; 0 to train to the end and to keep
            the last weights.
    """

    def __init__(self, path: Path, patience: int) -> None:
        self.path = path
        self._patience = patience
        self._best = -1.0
        self._misses = 0

    @property
    def is_hopeless(self) -> bool:
        """Whether training longer is not worth it."""
        return 0 < self._patience <= self._misses

    def note(self, model: nn.Module, scores: dict[str, float]) -> None:
        """Take note of a validation; the first of its scores, 0..1, decides."""
        if not self._patience:
            return
        score = next(iter(scores.values()))
        # What is not a number is not better either.
        if not score > self._best:
            self._misses += 1
            return
        self._best, self._misses = score, 0
        save_tensors(model.state_dict(), self.path)

    def restore(self, model: nn.Module) -> None:
        """Give a model the best weights, if any validation has been noted."""
        if self._patience and self.path.exists():
            model.load_state_dict(torch.load(self.path, map_location="cpu", weights_only=True))

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint has to remember."""
        return {"best": self._best, "misses": self._misses}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from what a checkpoint remembers."""
        self._best, self._misses = float(state["best"]), int(state["misses"])
