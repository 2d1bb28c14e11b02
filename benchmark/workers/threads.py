"""How many threads a run computes with: one, since bits depend on it."""

import os

#: One run is one thread: bits depend on the thread count, and workers never fight over cores.
SINGLE_THREAD = {
    "PJRT_NPROC": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


def threads() -> int:
    """Return the thread count this process was told to use."""
    return int(os.environ.get("PJRT_NPROC", os.cpu_count() or 1))
