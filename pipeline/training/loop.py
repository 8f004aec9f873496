"""The loop that both models train in: steps, checkpoints, resume, a record of the losses."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.annotation_set.folders import taken_for_writing
from pipeline.errors import InputError
from pipeline.networks.checkpoints import save_tensors
from pipeline.networks.devices import Precision, computing
from pipeline.output import remove_drafts_below
from pipeline.training.early_stopping import BestWeights
from pipeline.training.record import LOSSES, VALIDATION, Records

CHECKPOINT = "checkpoint.pt"
# A batch may overflow in bfloat16, which says nothing about the next one.
_MOST_UNUSABLE_STEPS = 3
# What a stop costs at the most.
_CHECKPOINT_EVERY_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """How long and how fast to train.

    Attributes:
        steps: optimiser steps in all.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: AdamW's weight decay.
        seed: of the sampling and the initial weights.
        checkpoint_every: steps between two checkpoints; slow ones are saved each minute.
        validate_every: steps between two validations; the last step is always validated.
        patience: the training ends early when this many validations in a row are no better, and
            the weights of the best are kept; 0 for the last weights of all steps.
        clip_norm: gradients are scaled down to this norm.
        precision: in which the networks compute while the weights stay float32; bfloat16 is
            faster where the processor has it in hardware (AMX), and on GPUs.
    """

    steps: int
    learning_rate: float
    weight_decay: float = 0.01
    seed: int = 0
    checkpoint_every: int = 100
    validate_every: int = 500
    patience: int = 0
    clip_norm: float = 1.0
    precision: Precision = "float32"


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Take numbers below float32's normal range for zero: they make training several times slower.

    The processor goes back to how it was afterwards, since other code counts on such numbers.
    """
    was_flushing = float(torch.tensor(1e-40) * 1) == 0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(was_flushing)


@flushed_denormals()
def train(
    *,
    model: nn.Module,
    plan: TrainingPlan,
    losses_of_step: Callable[[int], dict[str, Tensor]],
    folder: Path,
    on_step: Callable[[int, dict[str, float]], None],
    validate: Callable[[], dict[str, float]] | None = None,
) -> None:
    """Train a model, going on from the folder's checkpoint if there is one.

    The learning rate follows a cosine after a linear warm-up over the first 5 %.
    `losses_of_step` draws its own batch from the step's number, so a run that was
    stopped goes on with the batches that it had not seen.

    Args:
        model: only parameters with `requires_grad` are trained, on the device that they are on.
        plan: how long and how fast.
        losses_of_step: from a step's number to named scalar losses, which are summed.
        folder: receives `checkpoint.pt`, `best.pt`, `losses.csv`, `validation.csv` and a folder
            `tensorboard`.
        on_step: is called after each step with its number and the losses.
        validate: measures the model as it is, named scores 0..1; puts it back into the mode
            that it trains in.

    Raises:
        FloatingPointError: the loss is no longer a number, several steps in a row; nothing is
            learned from a single such step.
        InputError: the folder's checkpoint is damaged.
        OutputError: the folder cannot be written.
        SetTakenError: another process trains in the folder; the two would keep each other's best
            weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with taken_for_writing(folder):
        _train_alone(model, plan, losses_of_step, folder, on_step, validate)


def _train_alone(
    model: nn.Module,
    plan: TrainingPlan,
    losses_of_step: Callable[[int], dict[str, Tensor]],
    folder: Path,
    on_step: Callable[[int, dict[str, float]], None],
    validate: Callable[[], dict[str, float]] | None,
) -> None:
    """Train as `train` does, in a folder that is taken for this process."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    device = trained[0].device
    optimizer = torch.optim.AdamW(trained, plan.learning_rate, weight_decay=plan.weight_decay)
    checkpoint = folder / CHECKPOINT
    best = BestWeights(folder / "best.pt", plan.patience)
    remove_drafts_below(folder)
    first = _load_checkpoint(checkpoint, model, optimizer, best)
    descent = _Descent(trained, optimizer, plan.clip_norm)
    saved = time.monotonic()
    with Records(folder, first) as records:
        for step in range(first, plan.steps):
            if best.is_hopeless:
                break
            for group in optimizer.param_groups:
                group["lr"] = learning_rate_at(step, plan)
            with computing(device, plan.precision):
                losses = losses_of_step(step)
            descent.go_down(step, losses)
            values = {name: value.item() for name, value in losses.items()}
            records.add(LOSSES, step, values)
            is_last = step + 1 == plan.steps
            if validate is not None and ((step + 1) % plan.validate_every == 0 or is_last):
                scores = validate()
                records.add(VALIDATION, step, scores)
                best.note(model, scores)
            is_due = time.monotonic() - saved >= _CHECKPOINT_EVERY_S
            is_due = is_due or (step + 1) % plan.checkpoint_every == 0
            if is_due or is_last or best.is_hopeless:
                records.secure()
                _save_checkpoint(checkpoint, step + 1, model, optimizer, best)
                saved = time.monotonic()
            on_step(step, values)
    best.restore(model)


class _Descent:
    """Takes steps down the gradient, but for those whose loss is not a number.

    Args:
        trained: what learns.
        optimizer: of these.
        clip_norm: longest gradient.
    """

    def __init__(
        self, trained: Sequence[nn.Parameter], optimizer: torch.optim.Optimizer, clip_norm: float
    ) -> None:
        self._trained = trained
        self._optimizer = optimizer
        self._clip_norm = clip_norm
        self._unusable = 0

    def go_down(self, step: int, losses: dict[str, Tensor]) -> None:
        """Take a step down the gradient of the losses' sum.

        Raises:
            FloatingPointError: it is not a number, as those of several steps before.
        """
        total = torch.stack([loss.float() for loss in losses.values()]).sum()
        self._unusable = 0 if self._learns(total) else self._unusable + 1
        if self._unusable > _MOST_UNUSABLE_STEPS:
            raise FloatingPointError(
                f"the loss is not a number at step {step} and the {_MOST_UNUSABLE_STEPS} before "
                "it; train more slowly"
            )

    def _learns(self, total: Tensor) -> bool:
        if not torch.isfinite(total):
            return False
        self._optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        if not torch.isfinite(nn.utils.clip_grad_norm_(self._trained, self._clip_norm)):
            return False
        self._optimizer.step()
        return True


def learning_rate_at(step: int, plan: TrainingPlan) -> float:
    """Return the learning rate of a step: linear warm-up over 5 %, then a cosine to 1 %."""
    warm_up = max(plan.steps // 20, 1)
    if step < warm_up:
        return plan.learning_rate * (step + 1) / warm_up
    progress = (step - warm_up) / max(plan.steps - warm_up, 1)
    return plan.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))


def freeze(modules: Iterable[nn.Module]) -> None:
    """Exclude modules from training."""
    for module in modules:
        module.requires_grad_(False)


def keep_share(network: nn.Module, before: Mapping[str, Tensor], share: float) -> None:
    """Move a network's weights back towards those that its training started from, in place.

    The mean of weights before and after a training keeps more of what was known (WiSE-FT, Wortsman
    et al., arXiv 2109.01903).

    Args:
        network: has been trained.
        before: its tensors before that.
        share: of the weights before in the mean, 0..1.
    """
    mean = {
        name: torch.lerp(value, before[name].to(value), share)
        if value.is_floating_point()
        else value
        for name, value in network.state_dict().items()
    }
    network.load_state_dict(mean)


def _save_checkpoint(
    path: Path,
    step: int,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    best: BestWeights,
) -> None:
    state = {
        "step": step,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "best": best.state(),
    }
    save_tensors(state, path)


def _load_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    best: BestWeights,
) -> int:
    if not path.exists():
        return 0
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        best.load_state(state["best"])
        return int(state["step"])
    # torch raises whatever its unpickler meets.
    except Exception as error:
        reason = str(error).split("\n")[0] or type(error).__name__
        raise InputError(
            f"{path} is damaged ({reason}); remove {path.parent} to begin the training anew"
        ) from error
