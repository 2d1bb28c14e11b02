"""Run functions in processes of their own: one thread each, a few at a time.

Every job gets a fresh spawned process, so that its peak memory is its own, a crash takes
nothing else along, and no state leaks from one run into the next.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from typing import Any

from benchmark.environment import single_threaded
from benchmark.errors import PolytimbreError

WORKER_THREADS = 1


@dataclass(frozen=True)
class Job:
    """A function and its arguments; it is also called with ``report=``, a callable."""

    key: str
    function: Callable[..., Any]
    args: tuple[Any, ...]


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


def _child(pipe: Any, job: Job) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    threading.Thread(target=_die_with_parent, daemon=True).start()

    def report(value: Any) -> None:
        pipe.send(Event(job.key, "stage", value))

    try:
        event = Event(job.key, "done", job.function(*job.args, report=report))
    except PolytimbreError as error:
        event = Event(job.key, "refused", str(error))
    except BaseException as error:
        event = Event(job.key, "crashed", f"{type(error).__name__}: {error}")
    pipe.send(event)
    pipe.close()


def _die_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def run_jobs(jobs: Sequence[Job], workers: int) -> Iterator[Event]:
    """Run jobs in spawned single-threaded processes and yield what happens.

    Parameters
    ----------
    jobs : sequence of Job
        Started in this order.
    workers : int
        Processes at a time, at least 1.

    Yields
    ------
    Event
        One "started" and any number of "stage", then one of the others, for each job.

    Notes
    -----
    When the generator is closed or interrupted, the running processes are ended first.
    """
    context = get_context("spawn")
    waiting, running = list(jobs), {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                job = waiting.pop(0)
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(target=_child, args=(theirs, job), daemon=True)
                with single_threaded():
                    process.start()
                theirs.close()
                running[ours] = (job, process)
                yield Event(job.key, "started")
            for pipe in connection.wait(list(running)):
                job, process = running[pipe]
                try:
                    event = pipe.recv()
                except EOFError:
                    process.join()
                    event = Event(job.key, "crashed", f"its process died ({process.exitcode})")
                if event.kind != "stage":
                    process.join()
                    pipe.close()
                    del running[pipe]
                yield event
    finally:
        for pipe, (_, process) in running.items():
            process.terminate()
            process.join()
            pipe.close()
