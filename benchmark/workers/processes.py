"""Run jobs in processes of their own, a few at a time."""

import os
import signal
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import connection, get_context, parent_process
from typing import Any

from benchmark.workers.jobs import Event, Executor, Job, _outcome
from benchmark.workers.settings import starting

#: Seconds that a process may take to end once its job has.
_TO_EXIT = 10.0


def _child(pipe: Any, job: Job) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where `_unheard` can't do it
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


@contextmanager
def _unheard() -> Iterator[None]:
    """Let Ctrl-C never reach processes that are started meanwhile: the parent says what it means.

    They could ignore it themselves only once they have imported all that they need.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Place:
    """A job's process, and the pipe to it."""

    def __init__(self, job: Job) -> None:
        context = get_context("spawn")
        self.job = job
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_child, args=(theirs, job), daemon=True)
        with starting(), _unheard():
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
        """Give the process some seconds to end by itself, then end it."""
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
        """Run each job in a fresh process; see :meth:`Executor.run`."""
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
        """Wait until a job reports or passes its limit, and yield the events of that."""
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
        """Ask a running job to stop; it may take effect a stage late."""
        for place in list(self._places.values()):
            if place.job.key == key:
                with suppress(OSError):  # it has just ended
                    place.pipe.send(True)

    def end(self, key: str) -> None:
        """End a running job's process; its last event is "crashed". Other threads may call."""
        for place in list(self._places.values()):
            if place.job.key == key:
                place.process.kill()
