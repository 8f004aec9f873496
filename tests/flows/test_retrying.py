"""Which failures are worth another try, as Prefect's tasks ask with the state that they are in."""

import pytest
from prefect.states import Failed

from flows.retrying import RETRYING
from pipeline.errors import (
    AnnotationAbandonedError,
    AnnotationStoppedError,
    InputError,
    ModelError,
    OutputError,
    SetOfAnotherJobError,
    SetTakenError,
    UnreachableError,
    UsageError,
)

FOR_GOOD = (InputError, ModelError, UsageError, SetOfAnotherJobError, AnnotationStoppedError)
MAY_PASS = (OutputError, SetTakenError, UnreachableError, AnnotationAbandonedError, MemoryError)


@pytest.mark.parametrize("kind", [*FOR_GOOD, *MAY_PASS])
def test_what_will_be_the_same_is_not_tried_again(kind):
    ask = RETRYING["retry_condition_fn"]
    assert ask(None, None, Failed(data=kind("said"))) == (kind in MAY_PASS)


def test_each_further_try_waits_longer():
    delays = RETRYING["retry_delay_seconds"]
    assert RETRYING["retries"] == len(delays) > 0
    assert delays == sorted(delays)
