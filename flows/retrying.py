"""Which failures of a task are worth another try."""

from typing import Any

from pipeline.errors import (
    AnnotationStoppedError,
    InputError,
    ModelError,
    SetOfAnotherJobError,
    UsageError,
)

RETRY_DELAYS_S = [2.0, 10.0]
_FOR_GOOD = (
    InputError,
    ModelError,
    UsageError,
    SetOfAnotherJobError,
    AnnotationStoppedError,
)


def is_for_good(error: object) -> bool:
    """Return whether an error will be the same at the next try: a corrupt file, a wrong word."""
    return isinstance(error, _FOR_GOOD)


def may_pass(task: Any, run: Any, state: Any) -> bool:
    """Return whether a failure may pass: a corrupt file will not, a full disk may.

    Args:
        task: Prefect's task.
        run: its run.
        state: the state that it failed in.
    """
    del task, run
    return not is_for_good(state.result(raise_on_failure=False))


# How tasks that do much work are tried again, as arguments of Prefect's `task`.
RETRYING: dict[str, Any] = {
    "retries": len(RETRY_DELAYS_S),
    "retry_delay_seconds": RETRY_DELAYS_S,
    "retry_condition_fn": may_pass,
}
