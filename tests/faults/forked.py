"""Run commands quickly, each in a process of its own.

A server imports the engine once and forks for every command: that costs milliseconds where a new
Python costs a second, and the child has a folder, an environment, limits and, where the tests run
as root, a user of its own. It reads one JSON request a line and answers with one.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

#: Seconds after which a command counts as hanging.
PATIENCE = 300


@dataclass(frozen=True)
class Outcome:
    """What a command did: `mib` is the memory that it took beside what the engine takes."""

    code: int
    out: str
    seconds: float
    mib: float


class Server:
    """A process that forks for each command."""

    def __init__(self, site: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(site), "COLUMNS": "200"}
        # a command on a full disk would leave half of what it compiled beside the libraries
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        environment.pop("POLYTIMBRE_STORE", None)
        self._process = subprocess.Popen(
            [sys.executable, __file__], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def __call__(self, **request: object) -> Outcome:
        """Run a request; see :func:`_child` for what it may hold."""
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return Outcome(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def _child(
    folder: str,
    argv: list[str] | None = None,
    python: str | None = None,
    variables: dict[str, str] = {},  # noqa: B006
    site: str | None = None,
    user: str | None = None,
    full: int | None = None,
    to: str | None = None,
) -> int:
    """Run a command, or Python code, and return the exit code.

    Parameters
    ----------
    folder : str
        Where it runs.
    site : str, optional
        Holds more plugins.
    user : str, optional
        "another": who may not read and write what isn't theirs, unless everybody may.
    full : int, optional
        Bytes that a file may have, as on a disk that fills.
    to : str, optional
        Where its output goes.
    """
    os.chdir(folder)
    os.environ.update(variables)
    if site:
        sys.path.insert(0, site)
    if to:
        os.dup2(os.open(to, os.O_WRONLY), 1)
    encoding = variables.get("PYTHONIOENCODING", "utf-8")
    sys.stdout, sys.stderr = (os.fdopen(n, "w", encoding=encoding, closefd=False) for n in (1, 2))
    if full is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (full, full))
    if user:
        _give_up_rights()
    from benchmark.cli import main
    from benchmark.errors import PolytimbreError

    try:
        if python is None:
            sys.argv = ["polytimbre", *argv]
            main()
        else:
            exec(compile(python, "<row>", "exec"), {"__name__": "row"})
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    except PolytimbreError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _give_up_rights() -> None:
    """Let root be held to the rights of files as everybody is, by Linux's capset."""
    import ctypes

    every = ctypes.c_uint32 * 6  # effective, permitted and inheritable rights, twice 32
    held = every()
    libc = ctypes.CDLL(None, use_errno=True)
    head = (ctypes.c_uint32 * 2)(0x20080522, 0)
    if libc.capget(head, held) or libc.capset(head, every()):
        raise OSError(ctypes.get_errno(), "rights can't be given up")


def _answer(request: dict, base: int) -> dict:
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reader)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for stream in (1, 2):
            os.dup2(writer, stream)
        os.close(writer)
        signal.alarm(PATIENCE)
        code = 1
        try:
            code = _child(**request)
            sys.stdout.flush()
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as output:
        text = output.read().decode(errors="replace")
    _, status, used = os.wait4(pid, 0)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "out": text,
        "seconds": used.ru_utime + used.ru_stime,
        "mib": (used.ru_maxrss - base) / 1024,
    }


def _serve() -> None:
    import importlib

    sys.path.remove(str(Path(__file__).parent))
    for name in (
        "optuna", "pandas", "matplotlib.pyplot", "rich.progress", "sklearn.linear_model", "scipy",
        "soundfile", "tfrecord", "google.protobuf", "benchmark.cli",
        "benchmark.predict", "benchmark.api.comparing", "benchmark.api.stored",
        "benchmark.plugins.checks", "benchmark.runs.suite", "benchmark.tuning.trials",
        "benchmark.tuning.history", "benchmark.workers.in_process", "reports.publish",
        "reports.tables.results", "reports.html.content", "reports.paper",
    ):  # fmt: skip
        importlib.import_module(name)
    # not ru_maxrss, which a child doesn't begin with
    base = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() >> 10
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line), base)), file=out, flush=True)


if __name__ == "__main__":
    _serve()
