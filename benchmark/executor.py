"""Run jobs one thread each: in this process, or in processes of their own, a few at a time.

A job in a process of its own has a peak memory of its own, a crash takes nothing else along,
and no state leaks from one job into the next. `benchmark.cluster` runs the same jobs on the
workers of a Dask cluster.
"""

import os
import queue
import signal
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from typing import Any

from benchmark.environment import SINGLE_THREAD, single_threaded
from benchmark.errors import PolytimbreError

WORKER_THREADS = 1

#: Seconds that a process may take to end once its job has.
_TO_EXIT = 10.0
#: Thread variables are set while a process starts; two starts at once would undo each other's.
_starting = threading.Lock()


@dataclass(frozen=True)
class Job:
    """A function and its arguments; it is also called with ``report=``, a callable.

    Attributes
    ----------
    key : str
        Unlike every other job's.
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
    """Where jobs run. As a context manager it lets go at the end of what it holds.

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
        When the generator is closed or interrupted, what is running is ended first.
        """

    @abstractmethod
    def stop(self, key: str) -> None:
        """Ask a running job to stop: its next ``report`` returns True, and every later one.

        A job that isn't running is left alone.
        """

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Let go of what it holds."""

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
        return Event(job.key, "crashed", f"{type(error).__name__}: {error}")


class _Abandoned(BaseException):
    """Nobody waits for this job any more. No `Exception`: a job must not keep it as its own."""


class InProcess(Executor):
    """One job at a time in this process, for a debugger; a job's hard limit does not hold here.

    A stage waits until the next event is asked for, so that a :meth:`stop` that answers it
    takes effect at once. A job that is interrupted runs on to its next stage.

    Notes
    -----
    This process keeps one thread from then on, as a worker has: results and run ids are the
    same bits. Peak memory is the whole process's.
    """

    workers = 1

    def __init__(self) -> None:
        self._asked: set[str] = set()

    def run(self, jobs: Iterable[Job]) -> Generator[Event, None, None]:
        """See :meth:`Executor.run`.

        Raises
        ------
        PolytimbreError
            If JAX was imported before with more threads.
        """
        if "jax" in sys.modules and os.environ.get("PJRT_NPROC") != "1":
            raise PolytimbreError(
                "JAX was imported with more than one thread, which changes results: start a "
                "fresh Python, or run in at least one worker process"
            )
        os.environ.update(SINGLE_THREAD)
        for job in jobs:
            yield Event(job.key, "started")
            yield from self._run_one(job)

    def _run_one(self, job: Job) -> Iterator[Event]:
        events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        answers: queue.SimpleQueue[bool | None] = queue.SimpleQueue()

        def report(stage: Any) -> bool:
            events.put(Event(job.key, "stage", stage))
            answer = answers.get()
            if answer is None:
                raise _Abandoned
            return answer

        def work(trace: Any) -> None:
            from threadpoolctl import threadpool_limits

            if sys.gettrace() is None:
                sys.settrace(trace)  # pdb's breakpoints hold in the thread it was started in
            with threadpool_limits(1):  # OpenMP counts by thread: it has to be this one
                event = _outcome(job, report)
            events.put(event)

        thread = threading.Thread(target=work, args=(sys.gettrace(),), daemon=True)
        self._asked.discard(job.key)
        thread.start()
        try:
            while (event := events.get()).kind == "stage":
                yield event
                answers.put(job.key in self._asked)
        finally:
            answers.put(None)
            thread.join()
        yield event

    def stop(self, key: str) -> None:
        """See :meth:`Executor.stop`."""
        self._asked.add(key)


def _child(pipe: Any, job: Job) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    threading.Thread(target=_die_with_parent, daemon=True).start()
    asked = False

    def report(stage: Any) -> bool:
        nonlocal asked
        pipe.send(Event(job.key, "stage", stage))
        asked = asked or pipe.poll()  # all that ever comes is the wish to stop
        return asked

    event = _outcome(job, report)
    try:
        pipe.send(event)
    except Exception as error:  # whatever pickling a result raises
        pipe.send(Event(job.key, "crashed", f"its result can't be sent: {error}"))
    pipe.close()


def _die_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


class _Place:
    """A job's process, and the pipe to it."""

    def __init__(self, job: Job) -> None:
        context = get_context("spawn")
        self.job = job
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_child, args=(theirs, job), daemon=True)
        with _starting, single_threaded():
            self.process.start()
        theirs.close()
        self.deadline = time.monotonic() + (float("inf") if job.seconds is None else job.seconds)

    def receive(self) -> Event:
        """Return the next event; one that says so if the process died."""
        try:
            return self.pipe.recv()
        except (EOFError, OSError):  # nothing more, or half an event
            self.process.join()
            why = f"its process died ({self.process.exitcode})"
        except Exception as error:  # whatever unpickling raises
            why = f"what it sent can't be read: {type(error).__name__}: {error}"
        return Event(self.job.key, "crashed", why)

    def leave(self) -> None:
        """Let the process end, or end it."""
        self.process.join(_TO_EXIT)
        self.end()

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()

    def cut_off(self) -> Iterator[Event]:
        """End the process at its limit; what it had sent by then still counts."""
        self.process.kill()
        self.process.join()
        event = None
        while event is None or event.kind == "stage":
            try:
                event = self.pipe.recv()
            except (EOFError, OSError):
                event = Event(self.job.key, "crashed", f"took longer than {self.job.seconds:g} s")
            yield event
        self.pipe.close()


class Processes(Executor):
    """Spawned single-threaded processes, a fresh one for each job.

    Parameters
    ----------
    workers : int
        Processes at a time, at least 1.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._places: dict[Any, _Place] = {}

    def run(self, jobs: Iterable[Job]) -> Generator[Event, None, None]:
        """See :meth:`Executor.run`."""
        waiting: Iterator[Job] | None = iter(jobs)
        try:
            while waiting or self._places:
                while waiting and len(self._places) < self.workers:
                    job = next(waiting, None)
                    if job is None:
                        waiting = None
                        break
                    place = _Place(job)
                    self._places[place.pipe] = place
                    yield Event(job.key, "started")
                yield from self._happen()
        finally:
            while self._places:
                self._places.popitem()[1].end()

    def _happen(self) -> Iterator[Event]:
        """Wait for the next events, or for the next limit."""
        if not self._places:
            return
        limit = min(place.deadline for place in self._places.values()) - time.monotonic()
        # poll counts milliseconds in 32 bits, hence at most an hour
        for pipe in connection.wait(list(self._places), min(max(0.0, limit), 3600.0)):
            event = self._places[pipe].receive()
            if event.kind != "stage":
                self._places.pop(pipe).leave()
            yield event
        now = time.monotonic()
        for place in [place for place in self._places.values() if place.deadline <= now]:
            del self._places[place.pipe]
            yield from place.cut_off()

    def stop(self, key: str) -> None:
        """See :meth:`Executor.stop`; it may take effect a stage late."""
        for place in list(self._places.values()):
            if place.job.key == key:
                with suppress(OSError):  # it has just ended
                    place.pipe.send(True)

    def end(self, key: str) -> None:
        """End a running job's process; its last event is "crashed". Other threads may call."""
        for place in list(self._places.values()):
            if place.job.key == key:
                place.process.kill()
