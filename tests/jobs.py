"""Functions that run as jobs, in whatever process; light to import."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

from benchmark.errors import DataError
from benchmark.workers.threads import threads


def count(stages, pause=0.0, report=None):
    """Report the stages 1 to N; return how far it came."""
    for number in range(1, stages + 1):
        time.sleep(pause)
        if report(number):
            return f"stopped at {number}"
    return f"all {stages}"


def look(report=None):
    """Return the threads this process was told to use, and its id."""
    return threads(), os.getpid()


def surroundings(report=None):
    """Return this process's variables, its path, and the file of its main program."""
    return dict(os.environ), sys.path, getattr(sys.modules["__main__"], "__file__", None)


def instructions(report=None):
    """Return what NumPy and its linear algebra compute with in this process."""
    import numpy as np
    from threadpoolctl import threadpool_info

    at = 0.1 + np.arange(1000) / 7.0
    kernels = {
        one["architecture"] for one in threadpool_info() if one["internal_api"] == "openblas"
    }
    return kernels, np.log(at).tobytes()


def hang(folder, name, report=None):
    """Write this process's id into a file, and never end."""
    (Path(folder) / name).write_text(str(os.getpid()))
    report("here")
    threading.Event().wait()


def tidy(file, report=None):
    """Report for ever; leave a file behind when told to end."""
    try:
        while True:
            report("on")
    finally:
        Path(file).write_text("tidied up")


def refuse(report=None):
    raise DataError("the data are not there")


def divide(report=None):
    return 1 / 0


def exits(report=None):
    os._exit(17)


def unsendable(report=None):
    return threading.Lock()


def kill_parent(report=None):
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)


def wait_for(condition, seconds=240.0):
    """Wait until it holds; fail if it never does."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return found


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def written(folder):
    """Return the process ids that `hang` wrote."""
    return [int(text) for p in Path(folder).iterdir() if (text := p.read_text())]


def endings(events):
    """Return each job's last event, as (kind, value) by key."""
    return {e.key: (e.kind, e.value) for e in events if e.kind not in ("started", "stage")}


class Pulled:
    """Jobs that note how many had not ended yet whenever one is asked for."""

    def __init__(self, jobs):
        self.jobs = jobs
        self.under_way = 0
        self.seen = []

    def __iter__(self):
        for job in self.jobs:
            self.seen.append(self.under_way)
            self.under_way += 1
            yield job

    def consume(self, events):
        found = []
        for event in events:
            self.under_way -= event.kind not in ("started", "stage")
            found.append(event)
        return found


def hears_ctrl_c(report):
    return signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
