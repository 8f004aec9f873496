"""Where tasks run: processes of this machine, or a cluster."""

import os
from typing import Any, Literal

from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner

from flows.stopping import begin_worker
from pipeline.errors import UsageError

RunnerName = Literal["local", "dask", "ray"]


def task_runner(name: RunnerName, workers: int) -> "TaskRunner[Any]":
    """Return what runs tasks beside each other.

    Args:
        name: local processes, or a cluster of Dask or Ray.
        workers: how many at the same time.

    Raises:
        UsageError: the package of the cluster is not installed.
    """
    if name == "local":
        return ProcessPoolTaskRunner(max_workers=workers, initializer=begin_worker)
    try:
        if name == "dask":
            from prefect_dask.task_runners import DaskTaskRunner

            cluster = {"n_workers": workers, "threads_per_worker": 1}
            runner: TaskRunner[Any] = DaskTaskRunner(cluster_kwargs=cluster)
        else:
            from prefect_ray import RayTaskRunner

            # Ray tells its makers how it is used, unless asked not to.
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            cluster = {"num_cpus": workers, "include_dashboard": False}
            runner = RayTaskRunner(init_kwargs=cluster)
    except ImportError as error:
        raise UsageError(
            f"--runner {name} needs the package prefect-{name}; install scopeline[{name}]"
        ) from error
    return runner
