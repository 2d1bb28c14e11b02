"""Where jobs run: in this process, in processes of their own, or on a Dask cluster."""

import os

from benchmark.errors import PolytimbreError
from benchmark.workers.dask import Cluster
from benchmark.workers.in_process import InProcess
from benchmark.workers.jobs import Executor
from benchmark.workers.processes import Processes


def connect(workers: int | None, scheduler: str | None) -> Executor:
    """Return where jobs are to run.

    Parameters
    ----------
    workers : int, optional
        Processes at a time on this machine, its cores if None; 0 is this process.
    scheduler : str, optional
        Address of a Dask scheduler, as in ``tcp://host:8786``.

    Raises
    ------
    PolytimbreError
        If both are given, or the cluster can't be used.
    """
    if scheduler is None:
        return InProcess() if workers == 0 else Processes(workers or os.cpu_count() or 1)
    if workers is not None:
        raise PolytimbreError(
            "name --workers or --scheduler, not both: a cluster's workers say how many jobs "
            "they run at a time"
        )
    return Cluster(scheduler)
