"""Hold a fit on this processor to the same bits as on one with AVX2 and other caches.

``pytest tests/simulations/test_instructions.py -s -o addopts=`` fits models twice: on
this machine, and on a Haswell processor that QEMU emulates (``qemu-user``; some 5 minutes).
"""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.workers.settings import settings

#: Whose bits no processor changes; but for histogram boosting, in which QEMU 7.2 crashes.
HELD = ("logistic_regression", "random_forest", "xgboost")
#: Those of networks depend on caches and instructions: they are shown.
NETWORKS = ("attention", "cnn", "probe")
PROGRAM = Path(__file__).parents[1] / "fitted_bits.py"


def fitted(*emulator):
    """Return each model's hash, from a process with a worker's settings."""
    kept = {name: value for name, value in os.environ.items() if name not in settings()}
    given = {name: value for name, value in settings().items() if value is not None}
    # the interpreter itself: QEMU doesn't find a virtual environment's packages by its link
    python = [*emulator, os.path.realpath(sys.executable)]
    environment = {**kept, **given, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [*python, str(PROGRAM), *HELD, *NETWORKS], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(line.split() for line in done.stdout.splitlines())


def test_a_processor_with_avx2_alone_gives_the_same_bits():
    emulator = shutil.which("qemu-x86_64")
    if emulator is None or platform.machine() != "x86_64":
        pytest.skip("no processor can be emulated: qemu-x86_64 (qemu-user) is not here")
    here, there = fitted(), fitted(emulator, "-cpu", "Haswell-v4")
    print("\n| model | this processor | AVX2 alone |\n| --- | --- | --- |")
    for name in here:
        print(f"| {name} | {here[name]} | {there[name]} |")
    assert [here[name] for name in HELD] == [there[name] for name in HELD]
