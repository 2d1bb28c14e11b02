"""What the tests of tuning share: the tiny study's commands, and what came of them."""

import os
import signal
import time
from collections import Counter

from benchmark.errors import PolytimbreError
from benchmark.tuning import studies

TUNE = ("tune", "--dataset", "tiny", "--model", "dial")
HERE = ("--workers", 0)


def trials(address, name="tiny-dial"):
    """Return what is stored so far; nothing before there is a study."""
    try:
        return studies.read(name, str(address)).get_trials(deepcopy=False)
    except PolytimbreError:
        return []


def journal(polytimbre):
    return polytimbre.store / "studies.journal"


def states(address, name="tiny-dial"):
    return Counter(trial.state.name for trial in trials(address, name))


def outcomes(address, name="tiny-dial"):
    return [(t.number, t.state.name, t.params, t.value) for t in trials(address, name)]


def held(address):
    """Return the trials that wait at the gate, by number."""
    running = [t for t in trials(address) if t.number and t.state.name == "RUNNING"]
    return {t.number: t for t in running if t.intermediate_values}


def wait_for(condition, seconds=180):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.2)


def kill(process):
    """Kill -9 the command alone: its trials' processes have to end with it."""
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()

    def gone():
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    wait_for(gone)
