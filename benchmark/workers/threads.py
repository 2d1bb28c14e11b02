"""How many threads a run computes with: one, since bits depend on it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

#: One run is one thread: bits depend on the thread count, and workers never fight over cores.
SINGLE_THREAD = {
    "PJRT_NPROC": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


@contextmanager
def single_threaded() -> Iterator[None]:
    """Set the thread variables; a process started meanwhile inherits them before its imports."""
    before = {name: os.environ.get(name) for name in SINGLE_THREAD}
    os.environ.update(SINGLE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def threads() -> int:
    """Return the thread count this process was told to use."""
    return int(os.environ.get("PJRT_NPROC", os.cpu_count() or 1))
