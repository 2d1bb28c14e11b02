"""Compute a network with one thread: bits depend on how many there are."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any


def single_threaded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let `function` use one thread of NumPy's linear algebra library, whatever it was told."""

    @wraps(function)
    def limited(*args: Any, **kwargs: Any) -> Any:
        with _libraries().limit(limits=1, user_api="blas"):
            return function(*args, **kwargs)

    return limited


@lru_cache(maxsize=1)
def _libraries() -> Any:
    """Find the libraries that are loaded: looking for them takes a millisecond, so once."""
    import numpy  # noqa: F401  # whose library is the one that is limited
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
