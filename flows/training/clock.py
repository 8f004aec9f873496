"""How long a training takes, in all its runs together."""

from pathlib import Path
from time import monotonic

from pipeline.errors import InputError
from pipeline.output import replaced_file

_SECONDS = "seconds.txt"


class TrainingClock:
    """Notes how long a training has taken so far, so that a stop at any moment loses no time.

    Args:
        folder: of the unfinished run, with what the runs before have noted.

    Raises:
        InputError: what they have noted cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _SECONDS
        self._before = seconds_of_training(folder)
        self._started = monotonic()

    def note(self) -> None:
        """Note the seconds up to now.

        Raises:
            OutputError: they cannot be written.
        """
        seconds = self._before + monotonic() - self._started
        with replaced_file(self._path) as draft:
            draft.write_text(f"{seconds:.3f}\n")


def seconds_of_training(folder: Path) -> float:
    """Return how long the training in a run's folder has taken up to its last step; 0 if unknown.

    Raises:
        InputError: what was noted of it cannot be read.
    """
    path = folder / _SECONDS
    if not path.exists():
        return 0.0
    try:
        return float(path.read_text())
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}); remove it to count anew") from error
