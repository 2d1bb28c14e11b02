"""What a worker process is started with: pinned settings, nothing of the working folder."""

import json
import math
import os
import platform
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import jobs
import numpy as np
import pytest
from conftest import NETWORK, Command

from benchmark.errors import PolytimbreError
from benchmark.runs.store import Store
from benchmark.workers import settings
from benchmark.workers.jobs import Job
from benchmark.workers.processes import Processes

PROGRAM = Path(sys.executable).with_name("polytimbre")
TINY = ("--dataset", "tiny", "--model", "guess", "--workers", 2)


@pytest.fixture
def hostile(tmp_path) -> Path:
    """A folder with a file for each module that a process might import; each leaves a mark."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    names = {n for n in sys.stdlib_module_names if not n.startswith("__")}
    for name in names | {"numpy", "optuna", "rich", "typer", "filelock", "torch", "tiny"}:
        (folder / f"{name}.py").write_text(
            f"open({str(folder / 'marks')!r}, 'a').write(__name__ + '\\n')\n"
            "raise ImportError('a file of the working folder was imported')\n"
        )
    return folder


def marks(folder: Path) -> list[str]:
    path = folder / "marks"
    return path.read_text().split() if path.exists() else []


def run_in(folder: Path, polytimbre: Command, *arguments: object, program=(PROGRAM,)) -> str:
    done = subprocess.run(
        [*map(str, program), *map(str, arguments)],
        env=polytimbre.environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_files_would_be_imported(hostile):
    # Without this, the tests below could pass on files that nothing imports.
    done = subprocess.run([sys.executable, "-c", "import signal"], cwd=hostile)
    assert done.returncode and marks(hostile)


def test_nothing_of_the_working_folder_is_imported(polytimbre, hostile):
    run_in(hostile, polytimbre, "run", *TINY, "--seeds", 2)
    run_in(hostile, polytimbre, "learning-curve", *TINY, "--seeds", 1)
    (record, *_) = Store(polytimbre.store).records()
    run_in(hostile, polytimbre, "reproduce", record.run_id)
    tuned = ("--dataset", "tiny", "--model", "dial", "--workers", 2)
    run_in(hostile, polytimbre, "tune", *tuned, "--trials", 2)
    assert marks(hostile) == []


def test_nor_where_the_engine_runs_as_a_module(polytimbre, hostile):
    for name in ("signal", "pickle", "select", "threading", "socket", "struct", "numpy", "typer"):
        (hostile / f"{name}.py").rename(hostile / f"{name}.kept")
    for path in hostile.glob("*.py"):
        path.unlink()  # Python itself imports some of these before anything of ours runs
    for path in hostile.glob("*.kept"):
        path.rename(path.with_suffix(".py"))
    module = (sys.executable, "-m", "benchmark")
    run_in(hostile, polytimbre, "run", *TINY, "--seeds", 1, program=module)
    assert marks(hostile) == []


def test_a_program_is_not_run_again_by_the_workers_that_it_starts(polytimbre, hostile):
    program = hostile.parent / "program.py"
    program.write_text(
        "import sys\nfrom benchmark.cli import main\nprint('started')\n"
        f"sys.argv[1:] = {[*map(str, ('run', *TINY, '--seeds', 2))]!r}\nmain()\n"
    )
    out = run_in(hostile, polytimbre, program, program=(sys.executable,))
    assert out.count("started") == 1
    assert marks(hostile) == []


@pytest.mark.xdist_group("cluster")
def test_nor_by_the_workers_of_a_cluster(polytimbre, hostile, tmp_path):
    distributed = pytest.importorskip("distributed", reason="needs the extra `distributed`")
    from test_cluster import address_in

    program = str(PROGRAM.with_name("dask"))
    own = ("--host", "127.0.0.1", "--no-dashboard")
    environment = {
        **polytimbre.environment,
        "PYTHONSAFEPATH": "1",  # for Dask's own processes, as the README advises
        "DASK_DISTRIBUTED__WORKER__DAEMON": "False",
    }

    def start(stack: ExitStack, log: Path, *arguments: str) -> None:
        command = [program, *arguments]
        with log.open("w") as output:
            process = subprocess.Popen(
                command, env=environment, cwd=hostile, stdout=output, stderr=subprocess.STDOUT
            )
        stack.callback(process.wait, 60)
        stack.callback(process.terminate)

    with ExitStack() as stack:
        log = tmp_path / "scheduler.log"
        start(stack, log, "scheduler", *own, "--port", "0")
        address = jobs.wait_for(lambda: address_in(log))
        start(stack, tmp_path / "worker.log", "worker", address, *own, "--nthreads", "1")
        with distributed.Client(address, set_as_default=False) as client:
            client.wait_for_workers(1, timeout=60)
        run_in(hostile, polytimbre, "run", *TINY[:4], "--seeds", 1, "--scheduler", address)
    assert marks(hostile) == []
    assert len(Store(polytimbre.store).records()) == 1


def scores(store: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(store.glob("runs/*/scores.npz"))]


@pytest.mark.xdist_group("cluster")
def test_settings_from_outside_change_no_bit(polytimbre, network, tmp_path):
    (tmp_path / "home" / ".keras").mkdir(parents=True)
    outside = {"image_data_format": "channels_first", "floatx": "float16", "epsilon": 0.1}
    (tmp_path / "home" / ".keras" / "keras.json").write_text(json.dumps(outside))
    variables = {
        "HOME": str(tmp_path / "home"),
        "JAX_ENABLE_X64": "1",
        "JAX_DEFAULT_PRNG_IMPL": "rbg",
        "JAX_DEFAULT_MATMUL_PRECISION": "bfloat16",
        "JAX_DEBUG_NANS": "1",
        "XLA_FLAGS": "--xla_cpu_enable_fast_math=true",
        "KERAS_MAX_EPOCHS": "1",
        "KERAS_BACKEND": "",
        "KERAS_NNX_ENABLED": "true",
    }
    store = tmp_path / "another store"
    polytimbre.environment |= {**variables, "POLYTIMBRE_STORE": str(store)}
    polytimbre(*NETWORK, "--workers", 0)
    assert scores(store) == scores(network)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("JAX_PLATFORMS", "cuda", "the variable JAX_PLATFORMS asks for 'cuda'"),
        ("JAX_PLATFORM_NAME", "gpu", "the variable JAX_PLATFORM_NAME asks for 'gpu'"),
        ("KERAS_BACKEND", "not_there", "KERAS_BACKEND asks for 'not_there', which isn't installed"),
    ],
)
@pytest.mark.parametrize("workers", [0, 1])
def test_a_setting_that_cannot_be_had_is_named(polytimbre, name, value, sentence, workers):
    polytimbre.environment[name] = value
    assert sentence in polytimbre("run", *TINY[:4], "--workers", workers, code=2)


def test_figures_need_no_screen():
    """Whatever a user draws on: Matplotlib fails to be imported for a screen that isn't there."""
    code = (
        "import sys; from benchmark.cli import main; sys.argv[1:] = ['--version']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "import matplotlib; print(matplotlib.get_backend())"
    )
    environment = {**os.environ, "MPLBACKEND": "not_there"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "agg", done.stderr


def test_a_worker_has_what_this_process_keeps(monkeypatch):
    monkeypatch.setenv("JAX_ENABLE_X64", "1")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    before, path = dict(os.environ), sys.path[:]
    ends = jobs.endings(Processes(1).run([Job("a", jobs.surroundings, ())]))
    variables, folders, main = ends["a"][1]
    assert "JAX_ENABLE_X64" not in variables and variables["PJRT_NPROC"] == "1"
    assert (Path(variables["KERAS_HOME"]) / "keras.json").is_file()
    assert str(Path.cwd()) not in folders[:-1] and "" not in folders
    assert main is None
    assert dict(os.environ) == before and sys.path == path


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors have one kind each")
def test_a_worker_computes_with_the_instructions_that_every_processor_has():
    kernels, logarithms = jobs.endings(Processes(1).run([Job("a", jobs.instructions, ())]))["a"][1]
    assert kernels == {"Haswell"}
    # NumPy's own functions of AVX-512 give other bits; those of the C library are the same anywhere
    assert logarithms == np.array([math.log(0.1 + i / 7.0) for i in range(1000)]).tobytes()


def test_what_is_set_while_a_process_starts_stays(monkeypatch):
    monkeypatch.setenv("JAX_ENABLE_X64", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    with settings.starting():
        assert "JAX_ENABLE_X64" not in os.environ and os.environ["OMP_NUM_THREADS"] == "1"
        os.environ["OMP_NUM_THREADS"] = "5"
    assert (os.environ["JAX_ENABLE_X64"], os.environ["OMP_NUM_THREADS"]) == ("1", "5")


def test_what_was_imported_before_is_named(monkeypatch):
    class Config:
        jax_enable_x64 = True

    class Jax:
        config = Config()
        __spec__ = None

    monkeypatch.setenv("PJRT_NPROC", "1")
    monkeypatch.setitem(sys.modules, "jax", Jax)
    monkeypatch.setattr(settings.importlib.util, "find_spec", lambda name: True)
    with pytest.raises(PolytimbreError, match="imported with jax_enable_x64=True"):
        settings.pin()


def test_a_module_that_hides_the_engine_is_named(polytimbre, tmp_path):
    (tmp_path / "benchmark.py").write_text("")
    environment = {**polytimbre.environment, "PYTHONPATH": str(tmp_path)}
    (tmp_path / "script.py").write_text("import polytimbre\npolytimbre.models()\n")
    for program, code in (([PROGRAM, "list", "models"], 2), ([sys.executable, "script.py"], 1)):
        done = subprocess.run(
            program, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=100
        )
        assert done.returncode == code
        assert f"{tmp_path / 'benchmark.py'} hides polytimbre's own package" in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_output_that_cannot_encode_a_mark_is_written(polytimbre, tmp_path, encoding):
    environment = {**polytimbre.environment, "PYTHONIOENCODING": encoding}
    arguments = [*TINY[:4], "--seed", "0", "--workers", "1"]
    done = subprocess.run(
        [PROGRAM, "run", *arguments], env=environment, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0 and "? guess seed 0" in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device is always full here")
def test_a_full_disk_of_the_output_is_one_sentence(polytimbre):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [PROGRAM, "table"],
            env=polytimbre.environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=100,
        )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: the output can't be used: No space left")
