"""Jobs in this process and in processes of their own."""

import os
import shutil
import sys
import time
from multiprocessing import active_children

import jobs
import numpy as np
import pytest
from conftest import NETWORK

from benchmark.errors import PolytimbreError, StoreError
from benchmark.protocol import PARTS
from benchmark.runs import suite
from benchmark.runs.store import Store
from benchmark.workers.connect import connect
from benchmark.workers.in_process import InProcess
from benchmark.workers.jobs import Event, Executor, Job
from benchmark.workers.processes import Processes
from benchmark.workers.threads import SINGLE_THREAD


@pytest.fixture
def in_process(monkeypatch):
    """An `InProcess` whose thread variables are put back after the test."""
    for name in SINGLE_THREAD:
        monkeypatch.setenv(name, "1")
    return InProcess()


@pytest.fixture(params=["in process", "processes"])
def executor(request, in_process):
    return in_process if request.param == "in process" else Processes(2)


def test_the_next_job_is_asked_for_when_a_place_is_free(executor):
    pulled = jobs.Pulled([Job(str(i), jobs.count, (2,)) for i in range(5)])
    events = pulled.consume(executor.run(pulled))
    assert len(pulled.seen) == 5
    assert max(pulled.seen) == executor.workers - 1
    assert jobs.endings(events) == {str(i): ("done", "all 2") for i in range(5)}


def test_both_give_the_same_events(in_process):
    todo = [
        Job("a", jobs.count, (3,)),
        Job("b", jobs.refuse, ()),
        Job("c", jobs.divide, ()),
    ]
    events = list(in_process.run(todo))
    assert events == list(Processes(1).run(todo))
    assert [(e.key, e.kind, e.value) for e in events] == [
        ("a", "started", None),
        *(("a", "stage", number) for number in (1, 2, 3)),
        ("a", "done", "all 3"),
        ("b", "started", None),
        ("b", "refused", "the data are not there"),
        ("c", "started", None),
        ("c", "crashed", "ZeroDivisionError: division by zero"),
    ]


def test_a_job_has_one_thread_and_a_process_of_its_own(in_process, monkeypatch):
    for name in SINGLE_THREAD:
        monkeypatch.delenv(name)
    monkeypatch.delitem(sys.modules, "jax", raising=False)  # another test may have imported it
    found = jobs.endings(Processes(2).run([Job(str(i), jobs.look, ()) for i in range(3)]))
    assert {threads for _, (threads, _) in found.values()} == {1}
    assert len({pid for _, (_, pid) in found.values()} | {os.getpid()}) == 4
    assert "PJRT_NPROC" not in os.environ
    found = jobs.endings(in_process.run([Job("a", jobs.look, ())]))
    assert found == {"a": ("done", (1, os.getpid()))}


def test_jax_with_more_threads_is_refused_in_process(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", sys)
    monkeypatch.delenv("PJRT_NPROC", raising=False)
    with pytest.raises(PolytimbreError, match="imported with PJRT_NPROC="):
        next(InProcess().run([Job("a", jobs.look, ())]))


def test_stop_in_process_takes_effect_at_the_stage_it_answers(in_process):
    events = in_process.run([Job("a", jobs.count, (10,)), Job("b", jobs.count, (10,))])
    found = []
    for event in events:
        found.append(event)
        if event == Event("a", "stage", 4):
            in_process.stop("a")
    assert jobs.endings(found) == {"a": ("done", "stopped at 4"), "b": ("done", "all 10")}


def test_stop_reaches_one_process(tmp_path):
    executor = Processes(2)
    todo = [Job("a", jobs.count, (100_000, 0.01)), Job("b", jobs.count, (20, 0.01))]
    found = []
    for event in executor.run(todo):
        found.append(event)
        if event == Event("a", "stage", 4):
            executor.stop("a")
            executor.stop("not there")
    ends = jobs.endings(found)
    assert ends["b"] == ("done", "all 20")
    assert ends["a"][1].startswith("stopped at ")


def test_a_job_that_takes_too_long_is_ended(tmp_path):
    todo = [
        Job("slow", jobs.hang, (tmp_path, "slow"), seconds=2.5),
        Job("quick", jobs.count, (3,), seconds=500),
        Job("free", jobs.count, (3,)),
    ]
    events = list(Processes(2).run(todo))
    assert jobs.endings(events) == {
        "slow": ("crashed", "took longer than 2.5 s"),
        "quick": ("done", "all 3"),
        "free": ("done", "all 3"),
    }
    assert not any(map(jobs.alive, jobs.written(tmp_path)))


def test_a_result_that_was_sent_before_the_limit_counts(monkeypatch):
    events = Processes(1).run([Job("a", jobs.count, (2,), seconds=3600)])
    assert next(events).kind == "started"
    jobs.wait_for(lambda: not active_children())
    later = time.monotonic() + 4000  # who asks is late, the job wasn't
    monkeypatch.setattr("benchmark.workers.processes.time.monotonic", lambda: later)
    assert [(e.kind, e.value) for e in events] == [
        ("stage", 1),
        ("stage", 2),
        ("done", "all 2"),
    ]


def test_a_crash_takes_nothing_else_along():
    todo = [
        Job("exits", jobs.exits, ()),
        Job("unsendable", jobs.unsendable, ()),
        Job("good", jobs.count, (2,)),
    ]
    found = jobs.endings(Processes(1).run(todo))
    assert found["exits"] == ("crashed", "its process died (17)")
    assert found["unsendable"][0] == "crashed"
    assert "can't be sent" in found["unsendable"][1]
    assert found["good"] == ("done", "all 2")


def test_closing_ends_the_processes(tmp_path):
    executor = Processes(2)
    events = executor.run([Job(str(i), jobs.hang, (tmp_path, str(i))) for i in range(3)])
    while len(jobs.written(tmp_path)) < 2:
        next(events)
    events.close()
    assert not any(map(jobs.alive, jobs.written(tmp_path)))
    assert len(jobs.written(tmp_path)) == 2


def test_a_fault_where_jobs_come_from_ends_the_processes(tmp_path):
    def todo():
        yield Job("a", jobs.hang, (tmp_path, "a"))
        jobs.wait_for(lambda: jobs.written(tmp_path))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(Processes(2).run(todo()))
    assert not any(map(jobs.alive, jobs.written(tmp_path)))


def test_closing_in_process_lets_the_job_tidy_up(in_process, tmp_path):
    file = tmp_path / "end"
    events = in_process.run([Job("a", jobs.tidy, (file,))])
    assert [next(events).kind for _ in range(3)] == ["started", "stage", "stage"]
    events.close()
    assert file.read_text() == "tidied up"


def test_connect_says_where_jobs_run():
    assert isinstance(connect(0, None), InProcess)
    assert connect(3, None).workers == 3
    assert connect(None, None).workers == os.cpu_count()
    with pytest.raises(PolytimbreError, match="not both"):
        connect(2, "tcp://127.0.0.1:8786")


def test_a_cluster_without_the_extra_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(PolytimbreError, match=r"pip install 'polytimbre\[distributed\]'"):
        connect(None, "tcp://127.0.0.1:8786")


@pytest.mark.xdist_group("cluster")
def test_two_empty_stores_hold_the_same_bits_from_workers_and_in_process(
    polytimbre, network, tmp_path
):
    shutil.copytree(network, polytimbre.store)
    polytimbre(*NETWORK, "--workers", 0, "--store", tmp_path / "in process")
    tiny = ("run", "--dataset", "tiny", "--seeds", 1)
    commands = (
        ("--model=guess", "--model=constant", "--model=logistic_regression"),
        ("--model=random_forest", "--param=n_estimators=10"),
        ("--model=xgboost", "--param=n_rounds=20"),
    )
    for models in commands:
        polytimbre(*tiny, *models, "--workers", 2)
        polytimbre(*tiny, *models, "--workers", 0, "--store", tmp_path / "in process")
    one, two = Store(polytimbre.store), Store(tmp_path / "in process")
    records = one.records()
    assert {r.run_id for r in records} == {r.run_id for r in two.records()}
    assert len(records) == 6
    for record in records:
        ours, theirs = one.scores(record), two.scores(two.get(record.run_id))
        for part in PARTS:
            np.testing.assert_array_equal(ours[part], theirs[part])


class Elsewhere(Executor):
    """Claims that each job has made the run it was told to."""

    workers = 1

    def __init__(self, run_id):
        self.run_id = run_id

    def run(self, jobs):
        for job in jobs:
            record = type("Record", (), {"run_id": self.run_id})
            yield Event(job.key, "done", record)

    def stop(self, key):
        pass


def test_a_run_on_another_machine_must_be_the_one_asked_for_and_be_here(tmp_path, monkeypatch):
    monkeypatch.setattr(suite, "TO_APPEAR", 0.0)
    Store(tmp_path)
    unit = suite.Unit(None, "0123abcd", "guess seed 0", cached=False)
    (event,) = suite.run([unit], tmp_path, executor=Elsewhere("ffff"))
    assert event.kind == "crashed"
    assert "as run ffff" in event.value
    with pytest.raises(StoreError, match="same store"):
        list(suite.run([unit], tmp_path, executor=Elsewhere("0123abcd")))
    (tmp_path / "runs" / "0123abcd").mkdir()
    (event,) = suite.run([unit], tmp_path, executor=Elsewhere("0123abcd"))
    assert event.kind == "done"


@pytest.mark.skipif(os.name == "nt", reason="signals can't be blocked there")
def test_processes_never_hear_ctrl_c():
    """Not while they import, either, which would show a traceback."""
    (_, done) = Processes(1).run([Job("a", jobs.hears_ctrl_c, ())])
    assert (done.kind, done.value) == ("done", False)
    assert jobs.hears_ctrl_c(None)
