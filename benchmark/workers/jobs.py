"""Jobs, the events that tell how they go, and the base of what runs them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any

from benchmark.errors import PolytimbreError, told

WORKER_THREADS = 1


@dataclass(frozen=True)
class Job:
    """A function and its arguments; it is also called with ``report=``, a callable.

    Attributes
    ----------
    key : str
        Its name; no two jobs have the same.
    function : callable
        Importable by name, as its arguments' classes are. `report` takes a stage and returns
        True where the job is asked to stop.
    args : tuple
    seconds : float, optional
        Hard limit, from the start of its process, after which that is ended.
    """

    key: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    seconds: float | None = None


@dataclass(frozen=True)
class Event:
    """What happened to a job.

    Attributes
    ----------
    key : str
    kind : {"started", "stage", "done", "refused", "crashed"}
        ``"refused"``: an expected error, ``"crashed"``: anything else.
    value : object
        The stage, the function's result, or the error's sentence.
    """

    key: str
    kind: str
    value: Any = None


class Executor(ABC):
    """A place where jobs run; use it as a context manager, so that it is closed at the end.

    Attributes
    ----------
    workers : int
        Jobs at a time.
    """

    workers: int

    @abstractmethod
    def run(self, jobs: Iterable[Job]) -> Generator[Event, None, None]:
        """Run jobs and yield what happens.

        Parameters
        ----------
        jobs : iterable of Job
            Started in this order. The next one is asked for when a place is free, not before.

        Yields
        ------
        Event
            One "started" and any number of "stage", then one of the others, for each job.

        Notes
        -----
        When the generator is closed or interrupted, running jobs are ended first.
        """

    @abstractmethod
    def stop(self, key: str) -> None:
        """Ask a running job to stop: its next ``report`` returns True, and every later one.

        A job that isn't running is left alone.
        """

    def close(self) -> None:  # noqa: B027 - only a cluster has a connection to close
        """Close the connections to the workers."""

    def __enter__(self) -> "Executor":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _outcome(job: Job, report: Callable[[Any], bool]) -> Event:
    """Call a job's function and return its last event."""
    try:
        return Event(job.key, "done", job.function(*job.args, report=report))
    except PolytimbreError as error:
        return Event(job.key, "refused", str(error))
    except BaseException as error:
        return Event(job.key, "crashed", told(error))
