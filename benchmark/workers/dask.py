"""Run jobs on the workers of a Dask cluster.

A worker runs each job as this machine would, in a spawned single-threaded process of its own,
so that results are the same bits wherever a job ran. Stages come back through the scheduler's
events; the wish to stop goes to the worker directly.
"""

import asyncio
import logging
import pickle
import platform
import queue
import time
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from multiprocessing import current_process
from typing import Any
from uuid import uuid4

from benchmark.errors import PolytimbreError, one_line
from benchmark.workers.jobs import Event, Executor, Job
from benchmark.workers.processes import Processes

#: Seconds to wait for the scheduler's answer, and then for a first worker.
TO_CONNECT = 10.0


#: Seconds without any worker after which a run is given up; batch systems restart some.
TO_RETURN = 600.0


#: Seconds after which the number of workers is asked for again.
_LOOK = 1.0


class Cluster(Executor):
    """The workers of a Dask cluster, as many jobs at a time as they have threads.

    Workers that join are used. A job whose worker dies begins again on another one, stages
    included, as often as the scheduler's ``distributed.scheduler.allowed-failures`` lets it.

    Parameters
    ----------
    address : str
        Of the scheduler, as in ``tcp://host:8786``.

    Raises
    ------
    PolytimbreError
        If the extra ``distributed`` isn't installed, the scheduler doesn't answer, or it has no
        worker.
    """

    def __init__(self, address: str) -> None:
        try:
            from distributed import Client
        except ImportError as error:
            raise PolytimbreError(
                "a Dask cluster needs an extra: pip install 'polytimbre[distributed]'"
            ) from error
        self.address = address
        self._flight: _Flight | None = None
        # What distributed has to say of a lost connection is said in a sentence below; it gives
        # its client's logger a level of its own.
        for name in ("distributed", "distributed.client"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        _check_scheduler(address)
        self._client = Client(address, timeout=TO_CONNECT, set_as_default=False)
        try:
            self._check_workers()
        except BaseException:
            self.close()
            raise

    def _check_workers(self) -> None:
        try:
            self._client.wait_for_workers(1, timeout=TO_CONNECT)
            self._client.run_on_scheduler(_check_here)
            self._client.run(_check_here)
        except PolytimbreError:
            raise
        except TimeoutError as error:
            raise PolytimbreError(
                f"the Dask scheduler {self.address} has no worker: start some, with "
                f"`dask worker {self.address}`"
            ) from error
        except Exception as error:  # most often an import that fails there
            raise PolytimbreError(
                f"the Dask cluster {self.address} can't run jobs: {error}. Its scheduler and "
                "workers need the environment that this command runs in"
            ) from error

    @property
    def workers(self) -> int:
        """Jobs at a time: the threads of the workers that are there now."""
        try:
            return sum(self._client.nthreads().values())
        except (OSError, RuntimeError) as error:  # the connection, or the client it closed
            raise self._lost() from error

    def _lost(self) -> PolytimbreError:
        return PolytimbreError(
            f"the Dask scheduler {self.address} is gone; finished runs are kept, the same "
            "command goes on from here"
        )

    def run(self, jobs: Iterable[Job]) -> Generator[Event, None, None]:
        """Run jobs on the cluster; "started" says that one was handed to the scheduler.

        Raises
        ------
        PolytimbreError
            If scheduler or workers are lost, or a worker can't run jobs as it was started.
        """
        flight = self._flight = _Flight(self._client)
        waiting: Iterator[Job] | None = iter(jobs)
        seen = time.monotonic()
        try:
            while waiting or flight.futures:
                places = self.workers
                seen = time.monotonic() if places else seen
                if time.monotonic() - seen > TO_RETURN:
                    raise PolytimbreError(
                        f"the Dask scheduler {self.address} has had no worker for "
                        f"{TO_RETURN:g} s; finished runs are kept"
                    )
                if waiting and len(flight.futures) < places:
                    job = next(waiting, None)
                    if job is None:
                        waiting = None
                        continue
                    flight.submit(job)
                    yield Event(job.key, "started")
                    continue
                yield from flight.events()
        finally:
            flight.end()

    def stop(self, key: str) -> None:
        """Ask a running job to stop; it takes effect a stage late, or more."""
        if self._flight is not None:
            with suppress(OSError, RuntimeError):  # a lost connection is `run`'s to tell
                self._flight.stop(key)

    def close(self) -> None:
        """Disconnect from the scheduler."""
        self._client.close()


def _check_scheduler(address: str) -> None:
    """Check that a scheduler answers: a client would wait for ever for what never does.

    Raises
    ------
    PolytimbreError
        If it isn't a scheduler.
    """
    from distributed import Security
    from distributed.core import rpc

    async def ask() -> dict[str, Any]:
        secrets = Security().get_connection_args("client")
        async with rpc(address, timeout=TO_CONNECT, connection_args=secrets) as there:
            return await asyncio.wait_for(there.identity(), TO_CONNECT)

    try:
        # in a thread, as a notebook's has an event loop of its own
        with ThreadPoolExecutor(1) as pool:
            kind = pool.submit(asyncio.run, ask()).result()["type"]
        problem = None if kind == "Scheduler" else f"it is a {kind}"
    except Exception as error:  # what isn't Dask, or no address, raises many kinds
        problem = str(error) or f"no answer within {TO_CONNECT:g} s"
    if problem:
        raise PolytimbreError(
            f"no Dask scheduler can be reached at {address}: {problem}. "
            "Check the address, and that `dask scheduler` runs there"
        )


class _Flight:
    """The jobs that the scheduler was given in one run, and the events that come back."""

    def __init__(self, client: Any) -> None:
        self.id = uuid4().hex
        self.futures: dict[str, Any] = {}
        self._client = client
        self._where: dict[str, str] = {}
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        client.subscribe_topic(self.id, lambda event: self._inbox.put(pickle.loads(event[1])))

    def submit(self, job: Job) -> None:
        # As bytes: the scheduler needn't know what they are made of.
        future = self._client.submit(
            _work, self.id, job.key, pickle.dumps(job), key=f"job-{self.id}-{job.key}", pure=False
        )
        self.futures[job.key] = future
        future.add_done_callback(lambda _: self._inbox.put(job.key))

    def events(self) -> Iterator[Event]:
        """Yield the next event, or none if none came within `_LOOK` seconds."""
        try:
            item = self._inbox.get(timeout=_LOOK)
        except queue.Empty:
            return
        if isinstance(item, str):
            yield self._last(item)
        elif item.event.key in self.futures:
            self._where[item.event.key] = item.worker
            yield item.event

    def _last(self, key: str) -> Event:
        from distributed import CancelledError
        from distributed.scheduler import KilledWorker

        try:
            return self.futures.pop(key).result()
        except KilledWorker as error:
            deaths = error.allowed_failures + 1
            return Event(key, "crashed", f"the {deaths} workers that it ran on died")
        except PolytimbreError:
            raise
        except CancelledError as error:
            raise PolytimbreError(
                "the Dask scheduler dropped a job: it was restarted, or the connection broke; "
                "finished runs are kept, the same command goes on from here"
            ) from error
        except Exception as error:  # of a worker that can't even begin: a package it lacks
            return Event(key, "crashed", one_line(error))

    def stop(self, key: str) -> None:
        known = list(self._client.nthreads())
        where = self._where.get(key)  # its worker may have died meanwhile
        known = [where] if where in known else known
        self._client.run(_stop_here, (self.id, key), workers=known, on_error="ignore")

    def end(self) -> None:
        """Cancel what is in flight and end its processes."""
        if self._client.status != "running":
            return
        with suppress(OSError, RuntimeError):
            self._client.unsubscribe_topic(self.id)
            if self.futures:
                self._client.cancel(list(self.futures.values()))
                self._client.run(_end_here, self.id, on_error="ignore")


# What follows runs on the workers.


@dataclass(frozen=True)
class _Stage:
    worker: str
    event: Event


_running: dict[tuple[str, str], Processes] = {}


_ended: set[str] = set()


def _check_here() -> None:
    if current_process().daemon:
        raise PolytimbreError(
            f"a Dask worker on {platform.node()} may not start processes: start the workers with "
            "the environment variable DASK_DISTRIBUTED__WORKER__DAEMON=False"
        )


def _work(flight: str, key: str, packed: bytes) -> Event:
    """Run one job in a process of its own and return its last event."""
    from distributed import get_worker

    _check_here()  # this worker may have joined later
    worker = get_worker()
    executor = _running[flight, key] = Processes(1)
    try:
        with closing(executor.run([pickle.loads(packed)])) as events:
            for event in events:
                if flight in _ended:
                    break
                if event.kind == "stage":
                    worker.log_event(flight, pickle.dumps(_Stage(worker.address, event)))
    finally:
        del _running[flight, key]
    return event


def _stop_here(job: tuple[str, str]) -> None:
    if job in _running:
        _running[job].stop(job[1])


def _end_here(flight: str) -> None:
    _ended.add(flight)
    for (of, key), executor in list(_running.items()):
        if of == flight:
            executor.end(key)
