"""A real Dask cluster: a scheduler and workers, in processes of their own."""

import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import jobs
import numpy as np
import pytest
from conftest import ENTRY_POINTS, NETWORK, TINY, Command
from test_features import EXTRACT, SUNG_PLUGIN

from benchmark.protocol import PARTS
from benchmark.runs.store import Store
from benchmark.workers.dask import Cluster
from benchmark.workers.jobs import Event, Job

distributed = pytest.importorskip("distributed", reason="needs the extra `distributed`")
pytestmark = pytest.mark.xdist_group("cluster")

HERE = Path(__file__).parent


@contextmanager
def dask(folder, log, *arguments, **variables):
    """Run `python -m dask ...` with its output in a file."""
    paths = (str(folder), str(HERE), str(HERE.parent))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **variables}
    with (folder / log).open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", *arguments],
            env=environment,
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield folder / log
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def address_in(log):
    found = re.search(r"Scheduler at:\s+(tcp://\S+)", log.read_text())
    return found and found.group(1)


def sing(command):
    """Install the data set of 60 clips of audio."""
    command.add_plugin(*SUNG_PLUGIN)
    (command.site / "sung").mkdir()
    (command.site / "sung" / "gate").touch()


@contextmanager
def running_cluster(folder, n_workers, daemon="False"):
    """Give the address of a scheduler whose workers have the tests' plugins and `jobs`."""
    (folder / "tiny_plugins.py").write_text(TINY)
    info = folder / "tiny_plugins-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny_plugins\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    sing(Command(folder, folder / "store"))
    own = ("--host", "127.0.0.1", "--no-dashboard")
    with ExitStack() as stack:
        variables = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
        command = dask(folder, "scheduler.log", "scheduler", *own, "--port", "0", **variables)
        log = stack.enter_context(command)
        address = jobs.wait_for(lambda: address_in(log))
        for number in range(n_workers):
            arguments = ("worker", address, *own, "--nthreads", "1")
            variables = {"DASK_DISTRIBUTED__WORKER__DAEMON": daemon}
            stack.enter_context(dask(folder, f"worker{number}.log", *arguments, **variables))
        with distributed.Client(address, set_as_default=False) as client:
            client.wait_for_workers(n_workers, timeout=60)
        yield address


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The address of a scheduler with two workers of one thread, restarted when they die."""
    with running_cluster(tmp_path_factory.mktemp("cluster"), 2) as found:
        yield found


@pytest.fixture
def cluster(address):
    with distributed.Client(address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
    with Cluster(address) as found:
        yield found


def same_scores(one, two):
    records = one.records()
    assert {r.run_id for r in records} == {r.run_id for r in two.records()}
    for record in records:
        ours, theirs = one.scores(record), two.scores(two.get(record.run_id))
        for part in PARTS:
            np.testing.assert_array_equal(ours[part], theirs[part])
    return len(records)


def busy_worker(client, store):
    """Return the address of a worker in the middle of a fit, if there is one."""
    for worker, keys in client.processing().items():
        for key in keys:
            if list((store / "tmp").glob(key.rpartition("-")[2] + "-*")):
                return worker
    return None


def test_a_suite_survives_a_killed_worker_with_the_same_bits(
    polytimbre, network, address, tmp_path
):
    slow = ("--model", "guess", "--seeds", 4, "--param", "pause=0.5", "--param", "stages=4")
    command = ("run", "--dataset", "tiny")
    shutil.copytree(network, tmp_path / "serial")
    polytimbre(*command, *slow, "--workers", 0, "--store", tmp_path / "serial")
    there = tmp_path / "cluster"
    # a relative store is made absolute before it is sent to the workers
    relative = os.path.relpath(there, HERE.parent)
    cluster = ("--scheduler", address, "--store", relative)
    process = polytimbre.start(*command, *slow, *cluster)
    with distributed.Client(address, set_as_default=False) as client:
        worker = jobs.wait_for(lambda: there.exists() and busy_worker(client, there))
        pid = client.run(os.getpid, workers=[worker])[worker]
        os.kill(pid, signal.SIGKILL)
        jobs.wait_for(lambda: worker not in client.nthreads())
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, out + err
    assert out.count("done") == 4
    polytimbre(*NETWORK, *cluster)
    assert same_scores(Store(tmp_path / "serial"), Store(there)) == 5
    assert not list((there / "aside").iterdir())  # nothing was written twice
    assert not list((there / "tmp").iterdir())


def test_the_library_s_own_log_stays_silent(cluster):
    for name in ("batched", "client", "comm.tcp"):
        assert not logging.getLogger(f"distributed.{name}").isEnabledFor(logging.ERROR), name


def test_jobs_are_handed_out_one_a_thread_and_their_stages_come_back(cluster):
    assert cluster.workers == 2
    pulled = jobs.Pulled([Job(str(i), jobs.count, (3, 0.05)) for i in range(5)])
    events = pulled.consume(cluster.run(pulled))
    assert max(pulled.seen) == 1
    for i in range(5):
        assert [(e.kind, e.value) for e in events if e.key == str(i)] == [
            ("started", None),
            *(("stage", number) for number in (1, 2, 3)),
            ("done", "all 3"),
        ]


def test_refusals_crashes_and_limits_are_told_apart(cluster, tmp_path):
    todo = [
        Job("refuses", jobs.refuse, ()),
        Job("raises", jobs.divide, ()),
        Job("exits", jobs.exits, ()),
        Job("slow", jobs.hang, (tmp_path, "slow"), seconds=2.5),
        Job("one thread", jobs.look, ()),
    ]
    found = jobs.endings(cluster.run(todo))
    assert found.pop("one thread")[1][0] == 1
    assert found == {
        "refuses": ("refused", "the data are not there"),
        "raises": ("crashed", "ZeroDivisionError: division by zero"),
        "exits": ("crashed", "its process died (17)"),
        "slow": ("crashed", "took longer than 2.5 s"),
    }


def test_stop_reaches_one_job(cluster):
    todo = [Job("a", jobs.count, (100_000, 0.02)), Job("b", jobs.count, (30, 0.02))]
    found = []
    for event in cluster.run(todo):
        found.append(event)
        if event == Event("a", "stage", 3):
            cluster.stop("a")
    ends = jobs.endings(found)
    assert ends["a"][1].startswith("stopped at ")
    assert ends["b"] == ("done", "all 30")


def test_closing_ends_what_runs_on_the_workers(cluster, tmp_path):
    events = cluster.run([Job(str(i), jobs.hang, (tmp_path, str(i))) for i in range(3)])
    while len(jobs.written(tmp_path)) < 2:
        next(events)
    events.close()
    jobs.wait_for(lambda: not any(map(jobs.alive, jobs.written(tmp_path))))
    assert len(jobs.written(tmp_path)) == 2
    assert jobs.endings(cluster.run([Job("next", jobs.count, (1,))])) == {"next": ("done", "all 1")}


def test_ctrl_c_ends_what_runs_on_the_workers(polytimbre, cluster):
    hour = ("--model", "guess", "--seeds", 3, "--param", "pause=3600")
    command = ("run", "--dataset", "tiny", *hour, "--scheduler", cluster.address)
    process = polytimbre.start(*command)
    folder = polytimbre.store / "tmp"
    jobs.wait_for(lambda: folder.exists() and len(list(folder.glob("[0-9a-f]*-*"))) >= 2)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 130
    assert err.startswith("warning: interrupted; finished runs are kept")
    assert err.count("\n") == 1
    # both places are free again
    todo = [Job(str(i), jobs.count, (1,)) for i in range(2)]
    assert len(jobs.endings(cluster.run(todo))) == 2


def test_a_job_that_kills_its_workers_is_given_up(cluster):
    todo = [Job("kills", jobs.kill_parent, ()), Job("good", jobs.count, (2,))]
    assert jobs.endings(cluster.run(todo)) == {
        "kills": ("crashed", "the 2 workers that it ran on died"),
        "good": ("done", "all 2"),
    }


def test_workers_that_may_not_start_processes_are_refused(polytimbre, tmp_path):
    folder = tmp_path / "cluster"
    folder.mkdir()
    with running_cluster(folder, 1, daemon="True") as address:
        out = polytimbre("run", "--dataset", "tiny", "--scheduler", address, code=2)
    assert "DASK_DISTRIBUTED__WORKER__DAEMON=False" in out


def test_a_scheduler_that_dies_is_one_sentence(polytimbre, tmp_path):
    folder = tmp_path / "cluster"
    folder.mkdir()
    slow = ("--model", "guess", "--seeds", 2, "--param", "pause=1")
    with running_cluster(folder, 1) as address:
        with distributed.Client(address, set_as_default=False) as client:
            pid = client.run_on_scheduler(os.getpid)
        process = polytimbre.start("run", "--dataset", "tiny", *slow, "--scheduler", address)
        jobs.wait_for(lambda: (polytimbre.store / "tmp").exists())
        jobs.wait_for(lambda: list((polytimbre.store / "tmp").glob("[0-9a-f]*-*")))
        os.kill(pid, signal.SIGKILL)
        _, err = process.communicate(timeout=240)
    assert process.returncode == 2
    assert err.startswith("error: the Dask scheduler ")
    assert err.count("\n") == 1


def test_a_scheduler_that_is_not_there_is_one_sentence(polytimbre):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        command = ("run", "--dataset", "tiny", "--model", "guess", "--scheduler")
        out = polytimbre(*command, nobody, code=2)
    assert out.startswith(f"error: no Dask scheduler can be reached at {nobody}")
    assert out.count("\n") == 1
    assert "missing port" in polytimbre(*command, "localhost", code=2)
    assert "not both" in polytimbre(*command, nobody, "--workers", 1, code=2)


def test_features_that_workers_extract_are_the_same_bits(polytimbre, address, tmp_path):
    sing(polytimbre)
    found = []
    for place, where in (("here", ("--workers", 0)), ("there", ("--scheduler", address))):
        polytimbre.environment["POLYTIMBRE_CACHE"] = str(tmp_path / place)
        found.append(Path(polytimbre(*EXTRACT, *where).split()[-1]))
    with np.load(found[0]) as here, np.load(found[1]) as there:
        assert np.array_equal(here["key"], there["key"]) and np.array_equal(here["X"], there["X"])
    assert [path.is_relative_to(tmp_path / "there") for path in found] == [False, True]
    rendered_here = (polytimbre.site / "sung" / "log").read_text().split()
    assert len(rendered_here) == 60  # the workers rendered the others
