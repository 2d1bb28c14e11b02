"""Fixtures: a tiny data set and helper models, installed as real entry-point plugins."""

import atexit
import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import forked
import pytest
from postgres import Server

if TYPE_CHECKING:
    from benchmark.plugins.registry import Registry

# a shell that starts the tests in the background has them, and what they start, ignore Ctrl-C
signal.signal(signal.SIGINT, signal.default_int_handler)
# one that forbids bytecode has each process that they start compile every library anew
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
#: Libraries that a test imports set variables, which are nothing to commands.
ENVIRONMENT = {**os.environ, "COLUMNS": "200"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--report", action="store_true", help="Print what tests/faults did.")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Give one worker all tests of a file that share a fixture: else each would make it."""
    for item in items:
        fixtures = [known[-1] for known in item._fixtureinfo.name2fixturedefs.values()]
        shared = any(one.scope == "module" for one in fixtures)
        if shared and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    yield
    for item in items:
        grouped = getattr(item, "_nodeid", item.nodeid)
        if grouped != item.nodeid:  # xdist 3.8 writes an item's group where pytest 9.2 reads none
            item._id = type(item._id).parse(grouped)


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    """Print the table of faults: what was done, and what was said."""
    if not config.getoption("--report"):
        return
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    for report in reports:
        told = dict(report.user_properties)
        if "fault" in told and report.when == "call":
            cause, kind, done, code = told["fault"]
            outcome = "holds" if report.passed else "FAILS"
            terminalreporter.write_line(f"{outcome}  {cause:>2}  {kind:<9}  {done}")
            terminalreporter.write_line(f"{'':>22}exit {code}: {told.get('told', '')}")


TINY = '''
"""A tiny data set and models that misbehave, for the tests."""

import json
import time
from pathlib import Path

import numpy as np

from benchmark.plugins.checks import make_part
from benchmark.contracts.dataset import CLASSES, Dataset, DatasetPlugin
from benchmark.contracts.model import History, Model


class Tiny(DatasetPlugin):
    name = "tiny"
    description = "made clips"
    citation = "none"
    licence = "CC0"
    splits = ("official", "other")
    needs_root = False

    def load(self, root, split):
        part = make_part(240, 5, classes=(*CLASSES[:4], "voice"))
        n = len(part)
        train = np.arange(n) % 4 < 3
        return Dataset(
            name=self.name, X=part.X, y_true=part.y_true, y_mask=part.y_mask,
            keys=np.array([f"clip{i:03d}" for i in range(n)]),
            groups=np.array([f"group{i:03d}" for i in range(n)]),
            partition=np.where(train, "train", "test"),
            citation=self.citation, licence=self.licence, classes=part.classes,
            split=split, official=split == "official",
        )


class Guess(Model):
    """Random scores, right but useless."""

    name = "guess"

    def __init__(self, stages=3, pause=0.0):
        self.stages = stages
        self.pause = pause

    def fit(self, train, stop, *, seed, report=None):
        shape = train.X.shape[2], len(train.classes)
        self.weight_ = np.random.default_rng(seed).normal(size=shape)
        history = History("epoch")
        for number in range(1, self.stages + 1):
            time.sleep(self.pause)
            scores = self.predict_proba(train.X), self.predict_proba(stop.X)
            if history.record(number, train, stop, *scores, report):
                break
        return history

    def predict_proba(self, X):
        return np.float32(1 / (1 + np.exp(-np.einsum("ntf,fc->nc", X / 2550.0, self.weight_))))

    def save(self, folder):
        (folder / "weight.json").write_text(json.dumps(self.weight_.tolist()))

    def load(self, folder):
        self.weight_ = np.array(json.loads((folder / "weight.json").read_text()))


class Shape(Guess):
    name = "shape"

    def predict_proba(self, X):
        return super().predict_proba(X)[:, :3]

    def fit(self, train, stop, *, seed, report=None):
        shape = train.X.shape[2], len(train.classes)
        self.weight_ = np.random.default_rng(seed).normal(size=shape)
        return History("epoch")


class NotANumber(Shape):
    name = "nan"

    def predict_proba(self, X):
        return Guess.predict_proba(self, X) * np.float32("nan")


class Range(Shape):
    name = "range"

    def predict_proba(self, X):
        return Guess.predict_proba(self, X) * np.float32(3)


class Crash(Guess):
    name = "crash"

    def fit(self, train, stop, *, seed, report=None):
        import os

        os._exit(17)


class Raises(Guess):
    name = "raises"

    def fit(self, train, stop, *, seed, report=None):
        raise ZeroDivisionError("a bug in the plugin")


class Peeks(Guess):
    """Uses labels that were not observed."""

    name = "peeks"

    def fit(self, train, stop, *, seed, report=None):
        history = super().fit(train, stop, seed=seed, report=report)
        self.weight_ = self.weight_ + train.y_true.mean()
        return history


class Dial(Guess):
    """As right as `quality` says; `idle` does nothing.

    But for the default, the first stage is followed by a wait until the file `gate` is there.
    """

    name = "dial"

    def __init__(self, quality=0.3, idle=0.5, stages=3, pause=0.0, gate=""):
        self.quality = quality
        self.idle = idle
        self.gate = gate
        super().__init__(stages, pause)

    @staticmethod
    def search_space(trial):
        return {
            "quality": trial.suggest_float("quality", 0.0, 1.0),
            "idle": trial.suggest_float("idle", 0.0, 1.0),
        }

    def fit(self, train, stop, *, seed, report=None):
        history = History("epoch")
        yes, no = train.y_positive, train.y_mask & ~train.y_positive
        right, far = ((train.X.mean(axis=1).T @ w) / np.maximum(w.sum(0), 1) for w in (yes, no))
        right = right - far
        wrong = np.random.default_rng(seed).normal(size=right.shape) * right.std()
        for number in range(1, self.stages + 1):
            time.sleep(self.pause)
            self.weight_ = self.quality * right + (1 - self.quality) * wrong
            scores = self.predict_proba(train.X), self.predict_proba(stop.X)
            if history.record(number, train, stop, *scores, report):
                break
            for _ in range(3000 if self.gate and self.quality != 0.3 else 0):
                if Path(self.gate).exists():
                    break
                time.sleep(0.02)
        return history
'''

ENTRY_POINTS = """
[polytimbre.models]
guess = tiny_plugins:Guess
shape = tiny_plugins:Shape
nan = tiny_plugins:NotANumber
range = tiny_plugins:Range
crash = tiny_plugins:Crash
raises = tiny_plugins:Raises
peeks = tiny_plugins:Peeks
dial = tiny_plugins:Dial

[polytimbre.datasets]
tiny = tiny_plugins:Tiny
"""


COMMAND = """
import sys
from benchmark.cli import main

sys.argv[0] = "polytimbre"
main()
"""

SEVERAL = """
import contextlib, io, json, sys
from benchmark.cli import main

found = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["polytimbre", *arguments]
    out, code = io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
    found.append((code, out.getvalue()))
print(json.dumps(found))
"""

#: Lets what a command derives rest on few resamples, and few draws and trials of a search.
QUICKLY = """
import inspect
from benchmark.analysis import threshold_gains, threshold_policies
from benchmark.analysis.derivation import Analysis

threshold_policies.N_REPEATS, threshold_gains.N_REFITS = 1, 3
few = {"n_resamples": 1000, "n_trials": 1}
defaults = {p.name: p.default for p in inspect.signature(Analysis).parameters.values()}
del defaults["store"]
Analysis.__init__.__defaults__ = (*{**defaults, **few}.values(),)
"""

#: Variables that nothing reads before a command does.
INHERITED = ("POLYTIMBRE_", "PYTEST_", "PYTHONPATH", "JAX_")

#: Where commands run.
ROOT = Path(__file__).parent.parent

#: Folders of plugins, each with a table of those that come along in its README.
PLUGINS = ("models", "benchmark/datasets")


@functools.cache
def added() -> frozenset[Path]:
    """Return the files of a user's own plugins in this checkout: those that git doesn't track.

    Where nothing is tracked, as in an unpacked archive, they are those that no table names.
    """
    files = {path for folder in PLUGINS for path in (ROOT / folder).glob("[!_]*.py")}
    tracked: set[Path] = set()
    with suppress(FileNotFoundError):  # no git
        done = subprocess.run(
            ["git", "ls-files", *PLUGINS], cwd=ROOT, capture_output=True, text=True
        )
        tracked = {ROOT / name for name in done.stdout.splitlines()}
    if not tracked:
        named = "".join((ROOT / f"{folder}/README.md").read_text("utf-8") for folder in PLUGINS)
        named = named.replace("-", "_")
        tracked = {path for path in files if f"| `{path.stem}` |" in named}
    return frozenset(files - tracked)


def along(plugins: "Registry") -> list[str]:
    """Return the names of the plugins that come along, neither added nor installed."""
    return [
        name
        for name, cls in plugins.plugins.items()
        if (path := ROOT / f"{cls.__module__.replace('.', '/')}.py").exists()
        and path not in added()
    ]


@functools.cache
def server() -> forked.Server:
    """Return the process that forks for each command; it ends with the tests."""
    made = forked.Server(ENVIRONMENT)
    atexit.register(made.close)
    return made


class Command:
    """The command ``polytimbre`` in a process of its own, with its own store and plugins."""

    def __init__(self, site: Path, store: Path) -> None:
        self.site = site
        self.store = store
        self.environment = {
            **ENVIRONMENT,
            "PYTHONPATH": str(site),
            "POLYTIMBRE_STORE": str(store),
        }
        #: Python code that commands, but for those that are started, begin with.
        self.first = ""

    def start(self, *args: object) -> subprocess.Popen:
        """Start it in a new Python and return the process."""
        return self._start("-m", "benchmark", *args)

    def _start(self, *args: object) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, *map(str, args)],
            env=self.environment,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __call__(self, *args: object, code: int = 0) -> str:
        """Run it and return what it printed; fail unless it exits with `code`."""
        returned, out, err = self._run(args, self.first + COMMAND if self.first else None)
        assert returned == code, f"exit {returned}\n{out}\n{err}"
        assert code != 2 or "Traceback" not in err, err
        return out + err

    def several(self, *commands: tuple[object, ...]) -> list[tuple[int, str]]:
        """Run commands one after the other in one process; return their codes and outputs."""
        arguments = json.dumps([[*map(str, command)] for command in commands])
        return json.loads(self.python(self.first + SEVERAL, arguments))

    def python(self, code: str, *args: object) -> str:
        """Run Python code where the plugins are found and return what it printed."""
        returned, out, err = self._run(args, code)
        assert returned == 0, f"exit {returned}\n{out}\n{err}"
        return out

    def _run(self, args: tuple[object, ...], python: str | None = None) -> tuple[int, str, str]:
        """Run the command or code in a fork: a new Python would import for a second or two.

        Only where a test sets a variable that isn't of `INHERITED` it is a new Python, which may
        read the variable as it starts.
        """
        own, others = self.environment, server().environment
        changed = {name for name in own | others if own.get(name) != others.get(name)}
        if not all(name.startswith(INHERITED) for name in changed):
            process = self._start(*(("-c", python) if python else ("-m", "benchmark")), *args)
            out, err = process.communicate(timeout=300)
            return process.returncode, out, err
        with tempfile.NamedTemporaryFile("r", encoding="utf-8") as out:
            done = server()(
                folder=str(ROOT), argv=[*map(str, args)], python=python, sites=[str(self.site)],
                variables={name: own.get(name) for name in changed}, to=out.name,
            )  # fmt: skip
            return done.code, out.read(), done.out

    def add_plugin(self, module: str, source: str, group: str, name: str, cls: str) -> None:
        """Install one more plugin module with its entry point."""
        (self.site / f"{module}.py").write_text(source)
        info = self.site / f"{module}-0.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 0.1\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}:{cls}\n")


def install(folder: Path) -> Command:
    """Return the command with the tiny plugins and an empty store, both in `folder`."""
    site = folder / "site"
    info = site / "tiny_plugins-0.1.dist-info"
    info.mkdir(parents=True)
    (site / "tiny_plugins.py").write_text(TINY)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny_plugins\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    return Command(site, folder / "store")


@pytest.fixture
def polytimbre(tmp_path: Path) -> Command:
    """The command with the tiny plugins and an empty store."""
    return install(tmp_path)


#: Runs a small network.
NETWORK = (
    "run", "--dataset=tiny", "--model=cnn", "--seed=0", "--param=epochs=2",
    "--param=filters=[8]", "--param=dense=8",
)  # fmt: skip


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the run of `NETWORK`, that a worker process made.

    What compares with it belongs to the group "cluster", so that it is made once.
    """
    polytimbre = install(tmp_path_factory.mktemp("network"))
    polytimbre(*NETWORK, "--workers", 1)
    return polytimbre.store


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """The file that ``dial``'s searched trials wait for after their first stage."""
    return tmp_path / "gate"


@pytest.fixture
def quick_compiler(compile_cache: None) -> Iterator[None]:
    """Networks are compiled in half the time, and run slower; nothing of it stays behind."""
    import jax

    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
    jax.clear_caches()


@pytest.fixture(scope="session")
def compile_cache(request: pytest.FixtureRequest) -> None:
    """Networks of one shape are compiled once, for this and later sessions, not in every fit.

    Not in the processes that commands start: those show that another compilation changes no bit.
    """
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    jax.config.update("jax_compilation_cache_dir", str(request.config.cache.mkdir("jax")))
    jax.config.update("jax_compilation_cache_max_size", 1 << 29)  # and its files are locked
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    compilation_cache.reset_cache()  # where something was compiled before


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A private PostgreSQL server; its tests belong to one group, ``xdist_group("postgres")``."""
    server = Server()
    yield server
    server.close()


@pytest.fixture
def database(postgres: Server) -> str:
    """The URL of an empty PostgreSQL database."""
    return postgres.database()


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    """The folder that this checkout's wheel is unpacked in, as an installer does."""
    folder = tmp_path_factory.mktemp("wheel")
    return unpack_wheel(Path(__file__).parent.parent, folder / "site")


def unpack_wheel(project: Path, site: Path) -> Path:
    """Build a project's wheel, unpack it in a new folder, and return that."""
    from hatchling.builders.wheel import WheelBuilder

    with tempfile.TemporaryDirectory() as folder:
        (file,) = WheelBuilder(str(project)).build(directory=folder, versions=["standard"])
        with zipfile.ZipFile(file) as archive:
            archive.extractall(site)
    return site


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data, where there is one."""
    folder = os.environ.get("POLYTIMBRE_DATA")
    if not folder:
        pytest.skip("POLYTIMBRE_DATA is not set: no real data here")
    return Path(folder)
