"""What is refused before a training draws or reads anything."""

from collections.abc import Callable
from pathlib import Path

from flows.models import choose_device
from flows.training.job import THEATRE, TrainingJob
from overseer.config import OverseerConfig
from overseer.model_folders import find_overseer
from overseer.pseudo_labels import find_pseudo_labels
from pipeline.errors import UsageError


def check_overseer_job(job: TrainingJob, config: OverseerConfig, batch_size: int) -> None:
    """Refuse what cannot be trained, before anything is drawn or read.

    Raises:
        UsageError: choices do not go together, or a device is not there.
        InputError: there are no pseudo-labels where they are said to be.
    """
    check_job(job)
    check_kept_share(job, find_overseer)
    if job.pseudo_labels and batch_size == 1:
        raise UsageError(
            "--pseudo-labels fill every second place of a batch, and --batch-size 1 has one; give "
            "2 or more"
        )
    find_pseudo_labels(job.pseudo_labels)
    if job.learning == "everything":
        return
    if job.start_from is None:
        raise UsageError("--learn details leaves the rest as it is; give --start-from")
    if config.detail_channels is None:
        raise UsageError(
            f"--backbone {config.backbone} has no details to learn; leave out --learn details"
        )


def check_job(job: TrainingJob) -> None:
    """Refuse choices that do not go together, and a device that is not there.

    Raises:
        UsageError: they do not, or it is not.
    """
    choose_device(job.device)
    given = list(job.validation)
    if job.data == THEATRE and (given or job.left_out_videos is not None):
        raise UsageError(
            "--validation-data, --validation-split, --validation-videos and --leave-out-videos go "
            "with a data set; the theatre has --validation-clips"
        )
    if job.plan.patience and not given and job.data != THEATRE:
        raise UsageError(
            "--patience needs frames to measure on; give --validation-split, --validation-videos "
            "or --validation-data"
        )
    if len(given) > 1:
        raise UsageError(f"give only one of {' and '.join(given)}")


def check_kept_share(job: TrainingJob, find: Callable[[str], Path]) -> None:
    """Refuse to keep weights of nothing, or of what will be gone once they are kept."""
    if not job.kept_share:
        return
    if job.start_from is None:
        raise UsageError("--keep-start keeps weights of --start-from; give both or neither")
    refuse_to_replace(find(job.start_from), job)


def refuse_to_replace(start: Path, job: TrainingJob) -> None:
    """Refuse to write a model over what it will be made from again.

    Raises:
        UsageError: it is in the folder that the model is to be written into.
    """
    if start.resolve() == job.out.resolve():
        raise UsageError(
            f"{job.out} holds what the training starts from, which is needed afterwards too; "
            "choose another --out"
        )
