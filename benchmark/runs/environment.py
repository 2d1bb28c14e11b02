"""What a run ran on: machine, library versions, git state."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from benchmark.workers.instructions import INSTRUCTIONS

#: Distributions that ship the same import package under another name.
VARIANTS = {"xgboost": ("xgboost-cpu", "xgboost")}


def backend() -> str:
    """Return the Keras backend's name."""
    return os.environ["KERAS_BACKEND"]


def library_versions(libraries: Iterable[str]) -> dict[str, str]:
    """Return the versions of Python, NumPy and the given distributions.

    ``keras`` adds its backend and the instruction set, which networks' bits depend on as on a
    version. A distribution that is not installed has version ``"none"``.
    """
    names = {"numpy", *libraries}
    if "keras" in names:
        names.add(backend())
    versions = {"python": ".".join(platform.python_version_tuple()[:2])}
    for name in sorted(names):
        versions[name] = _version(name)
    if "keras" in names:
        versions["instructions"] = INSTRUCTIONS
    return versions


def packages(libraries: Iterable[str]) -> dict[str, str]:
    """Return the versions of the given distributions and of all that they require, by name.

    Bits may depend on any of them: Keras's on jaxlib's compiler, scikit-learn's on SciPy.
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    waiting = list(library_versions(libraries).keys() - {"python", "instructions"})
    installed: dict[str, str] = {}
    while waiting:
        name = canonicalize_name(waiting.pop())
        name = next((v for v in VARIANTS.get(name, ()) if _version(v) != "none"), name)
        if name in installed or _version(name) == "none":
            continue
        installed[name] = _version(name)
        needed = map(Requirement, requires(name) or ())
        waiting += [r.name for r in needed if not r.marker or r.marker.evaluate()]
    return dict(sorted(installed.items()))


def _version(name: str) -> str:
    for candidate in VARIANTS.get(name, (name,)):
        try:
            return version(candidate)
        except PackageNotFoundError:
            continue
    return "none"


def machine() -> dict[str, Any]:
    """Return processor and instruction set, cores, memory (GiB) and platform."""
    return {
        "processor": _processor(),
        "instructions": INSTRUCTIONS,
        "cores": os.cpu_count(),
        "memory_gib": round(_memory() / 2**30, 1),
        "platform": platform.platform(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 0


def peak_memory_mib() -> float | None:
    """Return this process's highest resident memory in MiB; None where it isn't counted."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)


def git_state() -> dict[str, Any]:
    """Return commit and dirty flag of the checkout this code runs from, None outside one."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return {"commit": None, "dirty": None}

    def git(*args: str) -> str:
        command = ["git", "-C", str(root), *args]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}
