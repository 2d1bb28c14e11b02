"""What a run ran on: machine, library versions, git state."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

#: Distributions that ship the same import package under another name.
VARIANTS = {"xgboost": ("xgboost-cpu", "xgboost")}


def backend() -> str:
    """Return the Keras backend's name."""
    return os.environ["KERAS_BACKEND"]


def library_versions(libraries: Iterable[str]) -> dict[str, str]:
    """Return the versions of Python, NumPy and the given distributions.

    ``keras`` adds its backend. A distribution that is not installed has version ``"none"``.
    """
    names = {"numpy", *libraries}
    if "keras" in names:
        names.add(backend())
    versions = {"python": ".".join(platform.python_version_tuple()[:2])}
    for name in sorted(names):
        versions[name] = _version(name)
    return versions


def packages(libraries: Iterable[str]) -> dict[str, str]:
    """Return the versions of the given distributions and of all that they require, by name.

    Bits may depend on any of them: Keras's on jaxlib's compiler, scikit-learn's on SciPy.
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    waiting = [name for name in library_versions(libraries) if name != "python"]
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
    """Return processor, its instruction set and caches, cores, memory (GiB) and platform.

    The instruction set and the sizes of caches choose the kernels that networks are computed by.
    """
    return {
        "processor": _said_of_processor("model name") or platform.processor() or platform.machine(),
        "instructions": _instructions(),
        "caches": _caches(),
        "cores": os.cpu_count(),
        "memory_gib": round(_memory() / 2**30, 1),
        "platform": platform.platform(),
        "python": platform.python_version(),
    }


def _said_of_processor(what: str) -> str:
    """Return what Linux says of the first processor; empty where it says nothing."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(what):
                return line.partition(":")[2].strip()
    return ""


def _instructions() -> str:
    flags = _said_of_processor("flags").split()
    wide = (name for flag, name in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in flags)
    return next(wide, platform.machine())


def _caches() -> str:
    """Return the sizes of one core's first and second cache of data, as in ``"32K, 512K"``."""
    sizes = {}
    with suppress(OSError):
        for one in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
            if (one / "type").read_text().strip() != "Instruction":
                sizes[(one / "level").read_text().strip()] = (one / "size").read_text().strip()
    return ", ".join(sizes[level] for level in ("1", "2") if level in sizes) or "not known"


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
