"""Run jobs in this process, one at a time."""

import queue
import sys
import threading
from collections.abc import Generator, Iterable, Iterator
from typing import Any

from benchmark.workers.jobs import Event, Executor, Job, _outcome
from benchmark.workers.settings import pin


class _Abandoned(BaseException):
    """Ends a job that nobody waits for; no `Exception`, so that no job catches it as one."""


class InProcess(Executor):
    """One job at a time in this process, for a debugger; a job's hard limit does not hold here.

    A stage waits until the next event is asked for, so that a :meth:`stop` that answers it
    takes effect at once. A job that is interrupted runs on to its next stage.

    Notes
    -----
    This process keeps one thread from then on, as a worker has: results and run ids are the same
    bits, but for linear models, whose last bits are those of the instructions that NumPy, imported
    before, computes with. Peak memory is the whole process's.
    """

    workers = 1

    def __init__(self) -> None:
        self._asked: set[str] = set()

    def run(self, jobs: Iterable[Job]) -> Generator[Event, None, None]:
        """Run jobs one after the other; see :meth:`Executor.run`.

        Raises
        ------
        PolytimbreError
            If JAX or Keras was imported before with other settings than a worker has.
        """
        pin()
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
        """Ask the running job to stop; see :meth:`Executor.stop`."""
        self._asked.add(key)
