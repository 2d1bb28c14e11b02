"""Tuning by the command: exact counts, kills, failures, caps, pruning, a sealed test part."""

import json
import os
import signal
import time
from collections import Counter

import pytest

from benchmark import studies
from benchmark.errors import PolytimbreError

TUNE = ("tune", "--dataset", "tiny", "--model", "dial")
HERE = ("--workers", 0)

#: A model whose trials end in as many ways as a trial can.
FATE = """
import os
import time

import numpy as np
from tiny_plugins import Dial


class Fate(Dial):
    name = "fate"
    fates = ("fine", "raises", "nan", "exits", "hangs", "large", "slow")

    def __init__(self, fate="fine", quality=0.3):
        self.fate = fate
        super().__init__(quality)

    @classmethod
    def param_names(cls):
        return ["fate", "quality"]

    @staticmethod
    def search_space(trial):
        return {"fate": trial.suggest_categorical("fate", Fate.fates)}

    def n_parameters(self, *shape):
        return 12345 if self.fate == "large" else 10

    def fit(self, train, stop, *, seed, report=None):
        if self.fate in ("raises", "large"):
            raise ZeroDivisionError(f"a bug in the {self.fate} plugin")
        if self.fate == "exits":
            os._exit(17)
        if self.fate == "hangs":
            time.sleep(600)
        history = super().fit(train, stop, seed=seed, report=report)
        if self.fate == "nan":
            self.weight_ = self.weight_ * np.nan
        return history

    def predict_proba(self, X):
        started = time.process_time()
        while self.fate == "slow" and time.process_time() - started < 0.15:
            pass
        return super().predict_proba(X)
"""

#: Lets every fate befall a trial, in processes; the hanging one need not hang for a minute.
ALL_FATES = """
import json, sys
from pathlib import Path
from benchmark import tuning
from benchmark.executor import Job, Processes
from benchmark.run import DataRequest, RunRequest
from benchmark.store import Store

def job(key, function, args, seconds):
    assert seconds == 0.1 * 4 + 60
    return Job(key, function, args, 3 if args[0].params.get("fate") == "hangs" else seconds)

tuning.Job = job
request, caps = RunRequest(DataRequest("tiny"), "fate"), tuning.Caps(0.1, 1000)
with tuning.open_study(None, request, caps, None, Store(Path(sys.argv[1]))) as study:
    study.plan(1)
    for fate in ("raises", "nan", "exits", "hangs", "large", "slow"):
        study.optuna.enqueue_trial({"fate": fate})
    study.plan(7)
    list(tuning.run(study, request, caps, Processes(2)))
"""


@pytest.fixture(
    params=["journal", pytest.param("postgres", marks=pytest.mark.xdist_group("postgres"))]
)
def storage(request, polytimbre):
    """The address of a storage."""
    if request.param == "postgres":
        return request.getfixturevalue("database")
    return str(polytimbre.store / "studies.journal")


@pytest.fixture
def gate(tmp_path):
    """The file that searched trials wait for after their first stage."""
    return tmp_path / "gate"


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


def owners(address):
    return {t.user_attrs["owner"]["token"] for t in trials(address)}


def test_a_study_gets_exactly_the_trials_asked_for(polytimbre):
    first, again, more, fewer, listed, shown = polytimbre.several(
        (*TUNE, *HERE, "--trials", 4),
        (*TUNE, *HERE, "--trials", 4),
        (*TUNE, *HERE, "--trials", 6),
        (*TUNE, *HERE, "--trials", 2),
        ("study",),
        ("study", "tiny-dial", "--format", "json"),
    )
    assert {code for code, _ in (first, again, more, fewer, listed, shown)} == {0}
    assert [out.count("✔") + out.count("✂") for _, out in (first, again, more, fewer)] == [
        4,
        0,
        2,
        0,
    ]
    assert "4 of 4 trials have ended" in again[1]
    found = trials(journal(polytimbre))
    assert [t.number for t in found] == list(range(6))
    assert all(t.state.is_finished() for t in found)
    assert found[0].params == {"quality": 0.3, "idle": 0.5}  # the default
    assert "trial 0, the default:" in more[1]
    assert listed[1].strip() == "tiny-dial"
    rows = json.loads(shown[1])["rows"]
    assert [row["trial"] for row in rows] == list(range(6))
    best = [row["best so far"] for row in rows]
    assert best == sorted(best)


def test_two_commands_share_one_study(polytimbre, storage, gate):
    tune = (*TUNE, *HERE, "--trials", 5, "--storage", storage, "--param", f"gate={gate}")
    processes = [polytimbre.start(*tune) for _ in range(2)]
    wait_for(lambda: len(held(storage)) == 2)
    gate.touch()
    outputs = [process.communicate(timeout=180) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    found = trials(storage)
    assert len(found) == 5
    assert all(t.state.is_finished() for t in found)
    assert len(owners(storage)) == 2
    ended = [out.count("✔") + out.count("✂") for out, _ in outputs]
    assert sum(ended) == 5 and min(ended) >= 1


def test_a_killed_command_goes_on_where_it_was(polytimbre, storage, gate):
    tune = (*TUNE, "--trials", 4, "--storage", storage, "--param", f"gate={gate}")
    process = polytimbre.start(*tune, "--workers", 2)
    wait_for(lambda: len(held(storage)) == 2)
    kill(process)
    before = held(storage)
    gate.touch()
    out = polytimbre(*tune, *HERE)
    assert out.count("✔") + out.count("✂") == 3
    after = trials(storage)
    assert len(after) == 4
    assert all(t.state.is_finished() for t in after)
    for number, trial in before.items():
        assert trial.params == after[number].params
        assert trial.params["quality"] == after[number].user_attrs["params"]["quality"]
    assert len(owners(storage)) == 2  # trial 0 was the killed one's


def test_a_live_command_takes_over_what_a_killed_one_held(polytimbre, storage, gate):
    tune = (*TUNE, *HERE, "--trials", 4, "--storage", storage, "--param", f"gate={gate}")
    killed, live = polytimbre.start(*tune), polytimbre.start(*tune)
    wait_for(lambda: len(held(storage)) == 2)
    kill(killed)
    before = held(storage)
    gate.touch()
    out, err = live.communicate(timeout=180)
    assert live.returncode == 0, out + err
    after = trials(storage)
    assert len(after) == 4
    assert all(t.state.is_finished() for t in after)
    assert all(trial.params == after[number].params for number, trial in before.items())
    live_token = after[3].user_attrs["owner"]["token"]
    assert {t.user_attrs["owner"]["token"] for t in after[1:]} == {live_token}


def test_ctrl_c_lets_go_of_its_trials(polytimbre, gate):
    tune = (*TUNE, "--trials", 3, "--workers", 1, "--param", f"gate={gate}")
    process = polytimbre.start(*tune)
    wait_for(lambda: held(journal(polytimbre)))
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=180)
    assert process.returncode == 130
    assert "interrupted; finished trials are kept" in err
    assert "Traceback" not in err
    assert states(journal(polytimbre)) == {"COMPLETE": 1, "WAITING": 2}
    params = trials(journal(polytimbre))[1].params
    gate.touch()
    polytimbre(*TUNE, *HERE, "--trials", 3, "--param", f"gate={gate}")
    assert states(journal(polytimbre)) == {"COMPLETE": 3}
    assert trials(journal(polytimbre))[1].params == params


def test_a_cut_off_journal_goes_on(polytimbre):
    polytimbre(*TUNE, *HERE, "--trials", 3)
    path = journal(polytimbre)
    os.truncate(path, path.stat().st_size - 40)
    assert states(path)["RUNNING"] == 1  # its end was the last line
    polytimbre(*TUNE, *HERE, "--trials", 4)
    found = trials(path)
    assert len(found) == 4
    assert all(t.state.is_finished() for t in found)


@pytest.mark.xdist_group("postgres")
def test_a_database_that_goes_away_loses_nothing(polytimbre, postgres, database, gate):
    tune = (*TUNE, *HERE, "--trials", 3, "--storage", database, "--param", f"gate={gate}")
    process = polytimbre.start(*tune)
    wait_for(lambda: held(database))
    postgres.stop()
    try:
        gate.touch()
        _, err = process.communicate(timeout=180)
    finally:
        postgres.start()
    assert process.returncode == 2, err
    assert "failed" in err and "the same command goes on from here" in err
    assert "polytimbre:***@127.0.0.1" in err
    assert "kept-to-itself" not in err and "Traceback" not in err
    polytimbre(*tune)
    assert states(database) == {"COMPLETE": 3}


def test_trials_that_fail_say_why_and_stop_nothing(polytimbre):
    polytimbre.add_plugin("fate", FATE, "polytimbre.models", "fate", "Fate")
    polytimbre.python(ALL_FATES, polytimbre.store)
    found = {t.params["fate"]: t for t in trials(journal(polytimbre), "tiny-fate")}
    reasons = {fate: t.user_attrs.get("reason", "") for fate, t in found.items()}
    assert {fate: t.state.name for fate, t in found.items()} == {
        "fine": "COMPLETE",
        "raises": "FAIL",
        "nan": "FAIL",
        "exits": "FAIL",
        "hangs": "FAIL",
        "large": "PRUNED",
        "slow": "COMPLETE",
    }
    assert reasons["raises"] == "ZeroDivisionError: a bug in the raises plugin"
    assert "returned NaN" in reasons["nan"]
    assert "its process died (17)" in reasons["exits"]
    assert "took longer than 3 s" in reasons["hangs"]
    assert reasons["large"] == "12,345 weights, more than 1,000"
    attrs = found["slow"].user_attrs
    assert (attrs["capped"], attrs["stages"]) == (True, 1)
    assert (found["fine"].number, found["fine"].user_attrs["stages"]) == (0, 3)
    shown = polytimbre("study", "tiny-fate", "--format", "csv")
    assert all(reason in shown.replace('"', "") for reason in reasons.values())
    assert "complete (capped)" in shown
    assert "2 complete, 1 pruned, 4 failed" in polytimbre("study", "tiny-fate")


def test_a_study_without_a_complete_trial_ends_with_a_sentence(polytimbre):
    polytimbre.add_plugin("fate", FATE, "polytimbre.models", "fate", "Fate")
    tune = ("tune", "--dataset", "tiny", "--model", "fate", *HERE, "--trials", 2)
    found = polytimbre.several(
        (*tune, "--param", "fate=raises"),
        ("run", "--dataset", "tiny", "--tuned", "--model", "fate"),
        (*tune, "--model", "dial", "--max-parameters", 5, "--study", "x"),
        (*tune, "--model", "dial", "--max-parameters", 5, "--storage", polytimbre.store / "new"),
    )
    assert [code for code, _ in found] == [2, 2, 2, 2]
    assert "no trial is complete of tiny-fate: `polytimbre study tiny-fate`" in found[0][1]
    assert found[0][1].count("ZeroDivisionError: a bug in the raises plugin") == 2
    assert "no trial of the study 'tiny-fate' is complete" in found[1][1]
    assert "--study names one study" in found[2][1]
    assert found[3][1].count("10 weights, more than 5") == 2
    assert "no trial is complete of tiny-fate:" in found[3][1]
    assert states(polytimbre.store / "new") == {"COMPLETE": 2}  # the other study went on


def test_a_timeout_starts_no_further_trial(polytimbre):
    out = polytimbre.python(
        """
import sys, time
from pathlib import Path
from types import SimpleNamespace
from benchmark import tuning
from benchmark.executor import InProcess
from benchmark.run import DataRequest, RunRequest
from benchmark.store import Store

clock = SimpleNamespace(**vars(time))
clock.now, clock.monotonic = 0.0, lambda: clock.now
tuning.time = clock
request, caps = RunRequest(DataRequest("tiny"), "dial"), tuning.Caps()
with tuning.open_study(None, request, caps, None, Store(Path(sys.argv[1]))) as study:
    study.plan(9)
    for event in tuning.run(study, request, caps, InProcess(), timeout=25):
        clock.now += 10 * (event.kind == "done")
    print(study.unfinished())
""",
        polytimbre.store,
    )
    assert out.split() == ["6"]  # they started after 0, 10 and 20 seconds
    assert states(journal(polytimbre)) == {"COMPLETE": 3, "WAITING": 6}


def test_bad_trials_are_pruned_by_the_stop_part_alone(polytimbre):
    """And the test part is never read; the reference is computed apart from the engine."""
    out = polytimbre.python(
        """
import json, sys
import numpy as np
from benchmark import protocol, registry, run, studies
from benchmark.cli import main
from benchmark.contracts import Dataset, derive_seed
from benchmark.metrics import mean_average_precision

def part(self, rows, of=Dataset.part):
    assert not (self.partition[rows] == "test").any(), "the test part was read"
    return of(self, rows)

Dataset.part = part
division = protocol.divide(run.load(run.DataRequest("tiny")))
try:
    division.part("test")
except AssertionError:
    print("guarded")
sys.argv = ["polytimbre", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    assert not end.code
fit, stop, select = map(division.part, protocol.PARTS[:3])
for trial in studies.read("tiny-dial", f"{sys.argv[-1]}/studies.journal").trials:
    model = registry.models().get("dial").from_params(**trial.user_attrs["params"])
    model.fit(fit, stop, seed=derive_seed(0, "model"))
    stop_mAP, select_mAP = (
        mean_average_precision(p.y_positive, model.predict_proba(p.X), p.y_mask)
        for p in (stop, select)
    )
    assert stop_mAP != select_mAP
    assert set(trial.intermediate_values.values()) == {stop_mAP}
    if trial.state.name == "COMPLETE":
        assert trial.value == select_mAP
        assert len(trial.intermediate_values) == trial.user_attrs["stages"] == 8
    else:
        print("pruned after", len(trial.intermediate_values))
        assert trial.user_attrs["stages"] == len(trial.intermediate_values) < 8
        assert trial.user_attrs["reason"] == "below the median on the stop part"
""",
        *(*TUNE, *HERE, "--trials", 12, "--param", "stages=8", "--store", polytimbre.store),
    )
    assert out.startswith("guarded")
    assert states(journal(polytimbre))["PRUNED"] == out.count("pruned after") > 0


TWIN = """
from dataclasses import replace
import numpy as np
from tiny_plugins import Tiny

class Twin(Tiny):
    name = "twin"
    def load(self, root, split):
        data = super().load(root, split)
        test = data.partition == "test"
        X, y_true, y_mask = data.X.copy(), data.y_true.copy(), data.y_mask.copy()
        X[test], y_true[test], y_mask[test] = 255 - X[test], 1 - y_true[test], ~y_mask[test]
        return replace(data, name="twin", X=X, y_true=y_true, y_mask=y_mask)
"""


def test_other_test_clips_change_no_trial(polytimbre):
    polytimbre.add_plugin("twin_plugin", TWIN, "polytimbre.datasets", "twin", "Twin")
    rest = ("--model", "dial", *HERE, "--trials", 11)
    found = polytimbre.several(
        ("tune", "--dataset", "tiny", *rest), ("tune", "--dataset", "twin", *rest)
    )
    assert [code for code, _ in found] == [0, 0]
    path = journal(polytimbre)
    assert outcomes(path) == outcomes(path, "twin-dial")
    specs = [
        studies.read(f"{name}-dial", str(path)).user_attrs["spec"] for name in ("tiny", "twin")
    ]
    assert specs[0]["fingerprint"] != specs[1]["fingerprint"]


def test_one_worker_finds_the_same_again_killed_or_not(polytimbre, gate, tmp_path):
    gate.touch()
    tune = (*TUNE, "--param", f"gate={gate}", "--param", "stages=5")
    one, two = tmp_path / "one.journal", tmp_path / "two.journal"
    polytimbre.several(
        (*tune, *HERE, "--trials", 12, "--storage", one),
        (*tune, *HERE, "--trials", 9, "--storage", two),
    )
    gate.unlink()
    process = polytimbre.start(*tune, "--trials", 12, "--storage", two, "--workers", 1)
    wait_for(lambda: held(two))
    kill(process)
    gate.touch()
    polytimbre(*tune, "--trials", 12, "--storage", two, "--workers", 1)
    assert outcomes(one) == outcomes(two)
    assert [t.intermediate_values for t in trials(one)] == [
        t.intermediate_values for t in trials(two)
    ]
    assert len({t.params["quality"] for t in trials(one)[1:]}) == 11
