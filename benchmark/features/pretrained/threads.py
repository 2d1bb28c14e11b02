"""Compute a network with one thread: bits depend on how many there are."""

from collections.abc import Callable
from functools import wraps
from typing import Any


def single_threaded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that runs with one thread of the linear algebra library."""

    @wraps(function)
    def limited(*args: Any, **kwargs: Any) -> Any:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1, "blas"):
            return function(*args, **kwargs)

    return limited
