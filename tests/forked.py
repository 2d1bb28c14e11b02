"""Run commands quickly, each in a process of its own.

A server imports the engine once and forks for every command: that costs milliseconds where a new
Python costs a second, and the child has a folder, an environment, limits and, where the tests run
as root, a user of its own. The server reads one JSON request a line and answers with one.
"""

import atexit
import gc
import json
import os
import resource
import signal
import subprocess
import sys
import traceback
from contextlib import suppress
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

    def __init__(self, environment: dict[str, str]) -> None:
        environment = {**environment}
        environment.pop("POLYTIMBRE_STORE", None)
        self.environment = environment
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
    argv: list[str] | tuple[str, ...] = (),
    python: str | None = None,
    variables: dict[str, str | None] = {},  # noqa: B006
    sites: list[str] | tuple[str, ...] = (),
    user: str | None = None,
    full: int | None = None,
    to: str | None = None,
) -> int:
    """Run a command, or Python code, and return the exit code.

    Parameters
    ----------
    folder : str
        Where it runs.
    argv : list of str
        Of the command, or what the code finds in :data:`sys.argv`.
    variables : dict
        Of the environment, in which it lacks those that are None.
    sites : list of str
        Folders with plugins.
    user : str, optional
        "another": who may not read and write what isn't theirs, unless everybody may.
    full : int, optional
        Bytes that a file may have, as on a disk that fills.
    to : str, optional
        Where its output goes.
    """
    os.chdir(folder)
    for name, value in variables.items():
        os.environ.pop(name, None)
        os.environ |= {} if value is None else {name: value}
    sys.path[:0] = sites
    if to:
        os.dup2(os.open(to, os.O_WRONLY), 1)
    encoding = variables.get("PYTHONIOENCODING") or "utf-8"
    sys.stdout, sys.stderr = (os.fdopen(n, "w", encoding=encoding, closefd=False) for n in (1, 2))
    if full is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (full, full))
        # it would leave half of what it compiles beside the libraries
        sys.dont_write_bytecode = True
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    if user:
        _give_up_rights()
    from benchmark.cli import main
    from benchmark.errors import PolytimbreError

    try:
        sys.argv = ["polytimbre" if python is None else "-c", *argv]
        if python is None:
            main()
        else:
            exec(compile(python, "<row>", "exec"), {"__name__": "__main__"})
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException as error:
        if python is not None and isinstance(error, PolytimbreError):
            print(f"error: {error}", file=sys.stderr)
            return 2
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
            with suppress(ValueError):  # absl's log closes the stream that it found
                atexit._run_exitfuncs()
                sys.stdout.flush()
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


def _preload() -> None:
    """Import what commands import, but look for no plugin: a child may have more of them."""
    import importlib
    import pkgutil

    import typer.main

    names = [
        "filelock", "google.protobuf", "matplotlib.pyplot", "multiprocessing.popen_spawn_posix",
        "optuna", "packaging.requirements", "packaging.tags", "pandas", "pyarrow.pandas_compat",
        "rich.progress", "rich.status", "scipy", "sklearn.ensemble", "sklearn.isotonic",
        "sklearn.linear_model", "skops.io", "soundfile", "sqlalchemy.orm", "tfrecord",
        "benchmark.cli",
        "benchmark.predict", "benchmark.api.comparing", "benchmark.api.stored",
        "benchmark.plugins.checks", "benchmark.runs.suite", "benchmark.tuning.trials",
        "benchmark.tuning.history", "benchmark.workers.connect", "benchmark.workers.in_process",
        "reports.publish", "reports.html.content", "reports.paper",
    ]  # fmt: skip
    for package in map(importlib.import_module, ("models", "benchmark.datasets", "reports.tables")):
        names += [
            f"{package.__name__}.{one.name}" for one in pkgutil.iter_modules(package.__path__)
        ]
    for name in names:
        importlib.import_module(name)
    from benchmark.cli import app

    # typer imports a library for values when it first reads some
    typer.main.get_command(app).commands["compare"].make_context("compare", ["--resamples", "200"])


def _serve() -> None:
    sys.path.remove(str(Path(__file__).parent))
    _preload()
    gc.collect()
    gc.freeze()  # a child that looked through all objects would have to copy them
    # not ru_maxrss, which a child doesn't begin with
    base = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() >> 10
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line), base)), file=out, flush=True)


if __name__ == "__main__":
    _serve()
