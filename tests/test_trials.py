"""Trials: how they end, what they see, that they can be had again."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
from test_protocol import masked_data
from tiny_studies import HERE, TUNE, held, journal, kill, outcomes, states, trials, wait_for

from benchmark.plugins.checks import make_auxiliary
from benchmark.protocol import divide
from benchmark.runs.request import RunRequest
from benchmark.runs.run import execute
from benchmark.tuning import studies
from benchmark.tuning.trials import Caps, try_out
from models.constant import Constant

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
        tens = lambda stage: report(stage._replace(number=10 * stage.number))
        history = super().fit(train, stop, seed=seed, report=tens)
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
from benchmark.tuning import trials
from benchmark.workers.jobs import Job
from benchmark.workers.processes import Processes
from benchmark.runs.request import DataRequest, RunRequest
from benchmark.runs.store import Store

def job(key, function, args, seconds):
    assert seconds == 0.1 * 4 + 60
    return Job(key, function, args, 3 if args[0].params.get("fate") == "hangs" else seconds)

trials.Job = job
request, caps = RunRequest(DataRequest("tiny"), "fate"), trials.Caps(0.1, 1000)
with trials.open_study(None, request, caps, None, Store(Path(sys.argv[1]))) as study:
    study.plan(1)
    for fate in ("raises", "nan", "exits", "hangs", "large", "slow"):
        study.optuna.enqueue_trial({"fate": fate})
    study.plan(7)
    list(trials.run(study, request, caps, Processes(2)))
"""


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
    assert found["slow"].user_attrs["capped"]
    assert found["fine"].number == 0
    shown = polytimbre("study", "tiny-fate", "--format", "csv")
    assert all(reason in shown.replace('"', "") for reason in reasons.values())
    assert "complete,True" in shown
    # where its fit went to, by the number of the last stage: not how many stages there were
    assert ",3 of 30," in shown and ",1 of 10," in shown and " of 0," not in shown
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
from benchmark.tuning import trials
from benchmark.workers.in_process import InProcess
from benchmark.runs.request import DataRequest, RunRequest
from benchmark.runs.store import Store

clock = SimpleNamespace(**vars(time))
clock.now, clock.monotonic = 0.0, lambda: clock.now
trials.time = clock
request, caps = RunRequest(DataRequest("tiny"), "dial"), trials.Caps()
with trials.open_study(None, request, caps, None, Store(Path(sys.argv[1]))) as study:
    study.plan(9)
    for event in trials.run(study, request, caps, InProcess(), timeout=25):
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
from benchmark import protocol
from benchmark.runs import request as run
from benchmark.plugins import registry
from benchmark.tuning import studies, trials
from benchmark.cli import main
from benchmark.contracts.dataset import Dataset
from benchmark.contracts.seeds import derive_seed
from benchmark.scoring.metrics import mean_average_precision

def part(self, rows, of=Dataset.part):
    assert not (self.partition[rows] == "test").any(), "the test part was read"
    return of(self, rows)

def try_out(request, caps, fold=None, *, report, of=trials.try_out):
    asked = []
    attempt = of(request, caps, fold, report=lambda stage: asked.append(stage) or report(stage))
    lengths.setdefault(str(request.params), len(asked))
    return attempt

lengths = {}
trials.try_out = try_out
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
        assert len(trial.intermediate_values) == lengths[str(trial.user_attrs["params"])] == 8
    else:
        print("pruned after", len(trial.intermediate_values))
        length = lengths[str(trial.user_attrs["params"])]
        assert length == len(trial.intermediate_values) < 8
        assert trial.user_attrs["reason"] == "below the median on the stop part"
""",
        *(*TUNE, *HERE, "--trials", 12, "--param", "stages=8", "--store", polytimbre.store),
    )
    assert out.startswith("guarded")
    assert states(journal(polytimbre))["PRUNED"] == out.count("pruned after") > 0


class Watcher(Constant):
    """Notes the groups of the auxiliary clips that it is fitted with."""

    name = "watcher"
    uses_auxiliary = True
    seen: ClassVar[list[set[str]]] = []

    def fit(self, train, stop, *, seed, report=None):
        self.seen.append(set(train.auxiliary.groups.tolist()))
        return super().fit(train, stop, seed=seed, report=report)


def test_auxiliary_clips_of_other_parts_are_sealed_too(tmp_path):
    """In a trial, a run and a refit; the reference is computed apart from the engine."""
    made = masked_data(400, 2, 0)
    groups = np.unique(made.groups[made.partition == "train"])
    extra = make_auxiliary(len(groups) + 3, 1)
    extra = replace(
        extra, X=extra.X[:, :2, :3], groups=np.array([*groups, "new 1", "new 2", "new 3"])
    )
    data = replace(made, auxiliary=extra)
    rows = divide(data).rows
    parts = {name: set(made.groups[rows[name]].tolist()) for name in rows}
    Watcher.seen.clear()
    try_out(RunRequest(data, Watcher), Caps(), report=lambda stage: False)
    execute(RunRequest(data, Watcher, refit=True), tmp_path / "store")
    new = {"new 1", "new 2", "new 3"}
    assert Watcher.seen == [parts["fit"] | new, parts["fit"] | new, {*groups.tolist()} | new]
    assert not parts["test"] & set.union(*Watcher.seen)


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
