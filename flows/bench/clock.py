"""A clock for the stages of a job: the product's own functions, wrapped while it is measured."""

import functools
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import Any

_HOUSE = ("pipeline", "overseer", "tracking", "flows")

Function = Callable[..., Any]
Call = tuple[Function, tuple[Any, ...], dict[str, Any]]


class StageClock:
    """Adds up the time that is spent in stages, each without the stages nested in it.

    Args:
        settle: waits for what a device still has to compute; nothing to wait for on a CPU.

    Attributes:
        seconds: by stage, on the thread that made the clock; together not more than it ran.
        beside: by stage, on other threads, while the first one went on.
    """

    def __init__(self, settle: Callable[[], None] = lambda: None) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.beside: dict[str, float] = defaultdict(float)
        self._settle = settle
        self._home = threading.get_ident()
        self._local = threading.local()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what happens within as a stage."""
        nested: list[float] = self._local.__dict__.setdefault("nested", [])
        nested.append(0.0)
        started = time.perf_counter()
        try:
            yield
            self._settle()
        finally:
            elapsed = time.perf_counter() - started
            at_home = threading.get_ident() == self._home
            (self.seconds if at_home else self.beside)[name] += elapsed - nested.pop()
            if nested:
                nested[-1] += elapsed

    def timed(self, name: str, calls: list[Call] | None = None) -> Callable[[Function], Function]:
        """Return a wrapper that counts a function's calls as a stage.

        Args:
            name: of the stage.
            calls: receives each call with its arguments, to be made again.
        """

        def wrap(function: Function) -> Function:
            @functools.wraps(function)
            def counted(*args: Any, **kwargs: Any) -> Any:
                if calls is not None:
                    calls.append((function, args, kwargs))
                with self.stage(name):
                    return function(*args, **kwargs)

            return counted

        return wrap

    def timed_iterator(self, name: str) -> Callable[[Function], Function]:
        """Return a wrapper that counts each step of the iterator that a function returns."""

        def wrap(function: Function) -> Function:
            @functools.wraps(function)
            def counted(*args: Any, **kwargs: Any) -> Iterator[Any]:
                iterator = iter(function(*args, **kwargs))
                while True:
                    with self.stage(name):
                        item = next(iterator, iterator)
                    if item is iterator:
                        return
                    yield item

            return counted

        return wrap


def replace_attribute(
    stack: ExitStack, owner: Any, name: str, wrap: Callable[[Function], Function]
) -> None:
    """Replace a method of a class or of one object by a wrapped one until the stack closes.

    Raises:
        AttributeError: there is no such method.
    """
    original = getattr(owner, name)
    is_own = name in vars(owner)
    setattr(owner, name, wrap(original))
    if is_own:
        stack.callback(setattr, owner, name, original)
    else:
        stack.callback(delattr, owner, name)


def replace_function(
    stack: ExitStack, function: Function, wrap: Callable[[Function], Function]
) -> None:
    """Replace a function by a wrapped one in every module of the house that uses it."""
    wrapped = wrap(function)
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").split(".")[0] not in _HOUSE:
            continue
        for name, value in list(vars(module).items()):
            if value is function:
                setattr(module, name, wrapped)
                stack.callback(setattr, module, name, function)


def seconds_of(action: Callable[[], object]) -> float:
    """Return how long something takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def in_turns(variants: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Measure variants one after the other, again and again, and return each one's median.

    What else goes on at the machine then disturbs all of them alike.
    """
    measured: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, measure in variants.items():
            measured[name].append(measure())
    return {name: median(values) for name, values in measured.items()}


def mean_of(values: Sequence[float]) -> float:
    """Return the mean, or 0 of nothing."""
    return sum(values) / len(values) if values else 0.0
