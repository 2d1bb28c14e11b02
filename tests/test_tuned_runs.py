"""What tuning leads to: refusals, tuned runs, refits, the history of a study."""

import json
from unittest import mock

import numpy as np
import optuna
import pytest

from benchmark.cli import runs
from benchmark.runs.request import Chosen
from benchmark.runs.store import Store
from benchmark.tuning import choice, studies
from benchmark.tuning import history as study_history
from reports.tables import studies as report

TINY = ("--dataset", "tiny")
TUNE = ("tune", *TINY, "--workers", 0, "--trials", 1, "--model")
RUN = ("run", *TINY, "--workers", 0, "--seeds", 1, "--tuned", "--model")

#: Arguments that are refused where ``tiny-dial`` has one trial, and what is said.
REFUSED = {
    "seed": ((*TUNE, "dial", "--seed", 1), "'tiny-dial' can't be continued, its seed differs"),
    "cap": ((*TUNE, "dial", "--trial-seconds", 5), "its --trial-seconds differs (it has 60.0"),
    "weights": ((*TUNE, "dial", "--max-parameters", 5), "its --max-parameters differs"),
    "fixed": ((*TUNE, "dial", "--param", "stages=4"), "its fixed parameters differs"),
    "trials": (("tune", "--trials", 0), "Invalid value for '--trials'"),
    "timeout": (("tune", "--timeout", -5), "Invalid value for '--timeout'"),
    "trial-seconds": (("tune", "--trial-seconds", -1), "Invalid value for '--trial-seconds'"),
    "model": ((*TUNE, "dail"), "unknown model 'dail'. Did you mean 'dial'?"),
    "second": ((*TUNE, "dial", "--model", "dail"), "Did you mean 'dial'?"),
    "param": ((*TUNE, "dial", "--param", "qualty=1"), "Did you mean 'quality'?"),
    "no space": ((*TUNE, "guess"), "model 'guess' has no search space: nothing to tune"),
    "one study": ((*TUNE, "dial", "--model", "cnn", "--study", "x"), "--study names one study"),
    "unknown study": (("study", "tiny-dail"), "unknown study 'tiny-dail'. Did you mean 'tiny-dial"),
    "unknown tuned": ((*RUN, "dial", "--study", "tiny-dail"), "Did you mean 'tiny-dial'?"),
    "untuned": ((*RUN, "xgboost"), "unknown study 'tiny-xgboost'"),
    "nothing tuned": (("run", "--tuned"), "no model has a study on 'rendered' yet"),
    "not tuned": (("run", *TINY, "--model", "dial", "--study", "tiny-dial"), "add --tuned"),
    "other model": ((*RUN, "guess", "--study", "tiny-dial"), "its model is dial, not"),
    "other data": (
        ("run", "--tuned", "--model", "dial", "--study", "tiny-dial"),
        "chose for something else: its dataset is tiny, not rendered",
    ),
    "other protocol": (
        (*RUN, "dial", "--protocol", "published"),
        "the study 'tiny-dial' chose for something else",
    ),
    "no server": (
        (*TUNE, "dial", "--storage", "postgresql://user:secret@127.0.0.1:1/x"),
        "postgresql://user:***@127.0.0.1:1/x can't be used (",
    ),
    "dialect": ((*TUNE, "dial", "--storage", "postgrsql://u:secret@host/x"), "postgrsql"),
    "journal": ((*TUNE, "dial", "--storage", "/proc/nowhere/x"), "can't be used ("),
}  # fmt: skip


def test_bad_input_is_refused_in_one_sentence(polytimbre):
    first, *outputs, last = polytimbre.several(
        (*TUNE, "dial"), *(arguments for arguments, _ in REFUSED.values()), (*TUNE, "dial")
    )
    assert (first[0], last[0]) == (0, 0)
    assert "1 of 1 trials have ended" in last[1]  # nothing was computed by the others
    assert "compared again" not in last[1]  # of one there is nothing to compare
    for (case, (_, sentence)), (code, out) in zip(REFUSED.items(), outputs, strict=True):
        assert (code, "Traceback" in out) == (2, False), (case, out)
        assert sentence in out, case
        assert "secret" not in out, case
        assert out.startswith("error: ") and out.count("\n") == 1, (case, out)


def test_a_search_space_that_is_none_is_refused_before_a_trial(polytimbre):
    spaces = {
        "bug": ("1 / 0", "search_space raised ZeroDivisionError"),
        "nothing": ("None", "search_space must return a dict of parameters, got None"),
        "unknown": ("{'depth': trial.suggest_int('depth', 1, 9)}", "suggests 'depth', known: qua"),
        "rare": ("{'depth': 1} if trial.suggest_int('idle', 0, 9) else {}", "suggests 'depth'"),
    }
    for name, (space, _) in spaces.items():
        source = f"from tiny_plugins import Dial\n\n\nclass Own(Dial):\n    name = {name!r}\n"
        source += f"    search_space = staticmethod(lambda trial: {space})\n"
        polytimbre.add_plugin(f"own_{name}", source, "polytimbre.models", name, "Own")
    outputs = polytimbre.several(*((*TUNE, name) for name in spaces))
    for (name, (_, told)), (code, out) in zip(spaces.items(), outputs, strict=True):
        assert code == 2 and out.startswith(f"error: model {name!r}: ") and told in out, out
        assert out.count("\n") == 1, out


def test_a_study_of_changed_data_or_another_search_space_is_refused(polytimbre):
    polytimbre(*TUNE, "dial")
    plugins = polytimbre.site / "tiny_plugins.py"
    source = plugins.read_text()
    plugins.write_text(source.replace("make_part(240, 5", "make_part(240, 66"))
    found = polytimbre.several((*TUNE, "dial"), (*RUN, "dial"))
    assert [code for code, _ in found] == [2, 2]
    assert "'tiny-dial' can't be continued, its data differs" in found[0][1]
    assert "chose for something else: its fingerprint is" in found[1][1]
    wider = source.replace('("quality", 0.0, 1.0)', '("quality", 0.0, 2.0)')
    plugins.write_text(wider)
    found = polytimbre.several((*TUNE, "dial"), (*TUNE, "dial", "--study", "wider"))
    assert [code for code, _ in found] == [2, 0]
    assert "search space differs (changed: quality). Name a new study with --study" in found[0][1]


#: Prints a trial's mean mAP over the folds, computed apart from the engine of tuning.
HELD_OUT = """
import json, sys
import numpy as np
from benchmark.contracts.seeds import derive_seed
from benchmark.plugins import registry
from benchmark.protocol import N_FOLDS, divide
from benchmark.runs.request import DataRequest, load
from benchmark.scoring.metrics import mean_average_precision

division, values, seen = divide(load(DataRequest("tiny"))), [], []
for fold in range(N_FOLDS):
    held = division.held_out(fold)
    model = registry.models().get("dial").from_params(**json.loads(sys.argv[1]))
    fit, stop, select = (held.part(name) for name in ("fit", "stop", "select"))
    model.fit(fit, stop, seed=derive_seed(0, "model"))
    scores = model.predict_proba(select.X)
    values.append(mean_average_precision(select.y_positive, scores, select.y_mask))
    groups = [set(division.dataset.groups[rows]) for rows in held.rows.values()]
    assert not groups[0] & groups[1] and not (groups[0] | groups[1]) & groups[2]
    seen.append(held.rows["select"])
training = np.flatnonzero(division.dataset.partition == "train")
assert sorted(np.concatenate(seen)) == training.tolist()
print(np.mean(values))
"""


def test_tuned_runs_and_refits_are_stored_with_what_they_cost(polytimbre):
    runs = ("run", *TINY, "--model", "dial", "--seeds", 2, "--workers", 0)
    found = polytimbre.several(
        ("tune", *TINY, "--workers", 0, "--trials", 8, "--model", "dial"),
        runs,
        (*runs, "--tuned"),
        (*runs, "--tuned", "--refit"),
        (*runs, "--tuned", "--refit"),
        ("run", *TINY, "--tuned", "--seed", 1, "--workers", 0),
        ("compare", "--format", "json"),
    )
    assert {code for code, _ in found} == {0}
    assert [out.count("✔") for _, out in found[1:6]] == [2, 2, 2, 0, 0]
    assert "all 2 runs are cached" in found[4][1]
    assert "the run is cached" in found[5][1]  # every tuned model; the study's seed is its own
    rows = json.loads(found[6][1])["rows"]
    assert {row["model"]: row["seeds"] for row in rows} == {
        "dial": 2,
        "dial tuned": 2,
        "dial tuned refit": 2,
    }
    store = Store(polytimbre.store)
    records = {(r.spec.label, r.spec.seed): r for r in store.records()}
    tuned, refit = records["dial tuned", 0], records["dial tuned refit", 0]
    study = studies.read("tiny-dial", str(polytimbre.store / "studies.journal"))
    trials, best = study.trials, choice.chosen(study)
    again = {t.number: choice.cross_validated(study, t.number) for t in choice.leaders(study)}
    assert len(again) == 3
    assert max(again.values()) == again[best.number]
    params = json.dumps(best.user_attrs["params"])
    assert again[best.number] == pytest.approx(float(polytimbre.python(HELD_OUT, params)))
    assert (tuned.spec.study, tuned.spec.trial) == ("tiny-dial", best.number)
    assert tuned.spec.params == {**records["dial", 0].spec.params, **best.params}
    for record in (tuned, refit):
        cost = record.tuning
        assert (cost["tried"], cost["select_mAP"]) == (8, best.value)
        assert cost["complete"] + cost["pruned"] + cost["failed"] == 8
        assert cost["seconds"] == pytest.approx(
            sum(t.user_attrs["seconds"] for t in trials), abs=0.1
        )
        assert cost["storage"] == "studies.journal"
        assert cost["cross_validated_mAP"] == again[best.number]
    assert records["dial", 0].tuning is None
    assert (tuned.base, refit.base, refit.spec.refit) == (None, tuned.run_id, True)
    assert tuned.clips["trained"] == tuned.clips["fit"]
    assert refit.clips["trained"] == sum(refit.clips[part] for part in ("fit", "stop", "select"))
    assert refit.history == tuned.history
    before, after = store.scores(tuned), store.scores(refit)
    for part in ("fit", "stop", "select"):
        np.testing.assert_array_equal(before[part], after[part])
    assert not np.array_equal(before["test"], after["test"])
    read = ("tiny-dial", str(polytimbre.store / "studies.journal"))
    (told,) = (s for s in report.sentences(study_history.read(*read)) if "mean mAP over" in s)
    assert told.startswith("chosen among the best 3 on select")
    with mock.patch.object(choice, "missing", lambda study: [(best, 0)]):
        said = report.sentences(study_history.read(*read))
    assert any(s.startswith("not decided yet: ") and "lacks 1 fit, which" in s for s in said)


@pytest.mark.parametrize(
    ("trial", "undecided", "said"),
    [
        (0, True, "warning: the study s is not decided yet: "),
        (0, False, "s: nothing tried is better than the default\n"),
        (3, False, ""),
    ],
)
def test_what_a_choice_is_worth_is_told_before_runs_rest_on_it(capsys, trial, undecided, said):
    runs._tell_choice(Chosen("s", trial, {}, {}), undecided)
    told = capsys.readouterr().err
    assert told.startswith(said) and bool(told) == bool(said)


def test_a_refit_lasts_as_long_as_the_best_stage(polytimbre):
    out = polytimbre.python(
        """
import json, os, sys
from dataclasses import replace
from pathlib import Path
from benchmark.workers.threads import SINGLE_THREAD

os.environ.update(SINGLE_THREAD)
from benchmark.runs import run
from benchmark.plugins import registry
from benchmark.plugins.checks import make_part
from benchmark.protocol import PARTS

# more classes than the tiny data have are not learnt by heart: fits stop early
part = make_part(240, 5)
tiny = registry.datasets().get("tiny")().load(None, "official")
data = replace(tiny, X=part.X, y_true=part.y_true, y_mask=part.y_mask, classes=part.classes)
fits = []

def fit(*arguments, of=run._fit):
    found = of(*arguments)
    fits.append((len(arguments[2]), found[0]))
    return found

run._fit = fit
settings = {
    "xgboost": {"learning_rate": 1.0, "max_depth": 10, "n_rounds": 60, "patience": 1,
                "stop_on": "loss"},
    "hist_gradient_boosting": {"learning_rate": 0.9, "max_leaf_nodes": 3, "patience": 1,
                               "stop_on": "loss"},
    "cnn": {"filters": [8], "dense": 8, "epochs": 12, "patience": 1, "learning_rate": 0.1,
            "norm": "none", "pooling": "mean", "stop_on": "loss", "averaging": 0.0},
}
for name, params in settings.items():
    fits.clear()
    request = run.RunRequest(data, name, params=params, refit=True)
    record = run.execute(request, Path(sys.argv[1]))
    (n_base, base), (n_refit, refit) = fits
    all_training = sum(record.clips[part] for part in PARTS[:3])
    assert record.finished and record.base and record.clips["trained"] == all_training
    assert (n_base, n_refit) == (record.clips["fit"], all_training)
    last = [history.stages[-1].number for history in (base, refit)]
    print(json.dumps([name, base.best, *last, refit.best]))
""",
        polytimbre.store,
    )
    found = [json.loads(line) for line in out.splitlines() if line.startswith("[")]
    assert [row[0] for row in found] == ["xgboost", "hist_gradient_boosting", "cnn"]
    for name, best, last, refitted, kept in found:
        assert best < last, name  # it did stop early, and went back
        assert refitted == kept == best, name
    xgboost = pytest.importorskip("xgboost")
    store = Store(polytimbre.store)
    record = next(r for r in store.records() if r.spec.model == "xgboost" and r.spec.refit)
    boosters = list(store.model_folder(record).glob("*.ubj"))
    for path in boosters:
        assert xgboost.Booster(model_file=path).num_boosted_rounds() == found[0][1]
    assert boosters


def made_study(path, values, *states):
    """Store a study whose value is what `values` says of two parameters."""
    study = optuna.create_study(
        study_name="made", storage=studies.open_storage(str(path)), direction="maximize"
    )
    study.set_user_attr("planned", len(values) + len(states))
    for state in states:
        study.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState[state]))
    for x, y, value in values:
        params = {"matters": x, "idle": y}
        study.add_trial(
            optuna.trial.create_trial(
                params=params,
                distributions=dict.fromkeys(params, optuna.distributions.FloatDistribution(0, 1)),
                value=value,
                user_attrs={"seconds": 1.5, "params": params},
            )
        )
    return study_history.read("made", str(path))


def test_the_leaders_of_a_study_are_compared_again(tmp_path):
    values = [(0.1, 0.1, 0.50), (0.2, 0.1, 0.53), (0.3, 0.1, 0.52), (0.4, 0.1, 0.51)]
    study = made_study(tmp_path / "journal", values, "FAIL").study
    assert [t.number for t in choice.leaders(study)] == [2, 3, 4]
    assert len(choice.missing(study)) == 15
    assert choice.chosen(study).number == 2

    def compared(number, *found):
        for fold, mAP in enumerate(found):
            study.set_user_attr(choice.key(number, fold), {"mAP": mAP, "seconds": 2.0})

    compared(2, *[0.5] * 5)
    compared(3, *[0.6] * 4, None)  # it fails in one fold
    compared(4, *[0.51] * 4)
    assert choice.chosen(study).number == 2  # one fold is missing
    compared(4, *[0.51] * 4, 0.50)
    assert not choice.missing(study)
    assert choice.chosen(study).number == 4
    history = study_history.read("made", str(tmp_path / "journal"))
    assert (history.best.number, history.seconds_again) == (4, 30)
    (said,) = (text for text in report.sentences(history) if "folds" in text)
    assert "trial 4 0.508, trial 2 0.500 (30 s more)" in said
    study.add_trial(optuna.trial.create_trial(value=0.55))
    assert choice.chosen(study).number == 5  # a new leader that has not been compared yet


def test_the_history_of_a_study(tmp_path):
    values = [(x, y, x + 0.01 * y) for x, y in np.random.default_rng(0).random((20, 2))]
    history = made_study(tmp_path / "journal", values, "FAIL", "PRUNED")
    assert [t.state for t in history.trials[:3]] == ["failed", "pruned", "complete"]
    best = [t.best_so_far for t in history.trials]
    assert np.isnan(best[:2]).all()
    assert best[2:] == list(np.maximum.accumulate([value for _, _, value in values]))
    assert history.best.select_mAP == max(value for _, _, value in values) == best[-1]
    assert history.seconds == 1.5 * 20
    assert list(history.importances) == ["matters", "idle"]
    assert history.importances["matters"] > 0.9
    assert sum(history.importances.values()) == pytest.approx(1)
    assert list(report.importances(history)["parameter"]) == ["matters", "idle"]
    assert report.trials(history, n_best=3)["select mAP"].is_monotonic_decreasing
    assert report.sentences(history)[0].startswith("22 of 22 trials have ended (20 complete")


def test_the_command_says_what_studies_there_are_and_why_importances_are_not(polytimbre, tmp_path):
    """All from a storage that is named: no store is needed for it."""
    made_study(tmp_path / "journal", [(0.1, 0.2, 0.3), (0.2, 0.1, 0.4)])
    at = ("--storage", tmp_path / "journal")
    names, as_json, nameless, short, no_store = polytimbre.several(
        ("study", *at),
        ("study", "--format", "json", *at),
        ("study", "--importances", *at),
        ("study", "made", "--importances", "--format", "json", *at),
        ("study", *at, "--store", tmp_path / "none"),
    )
    assert names == [0, "made\n"]
    assert as_json[0] == 0 and json.loads(as_json[1])["rows"] == [{"study": "made"}]
    assert nameless[0] == 2 and "name it" in nameless[1] and nameless[1].count("\n") == 1
    assert short[0] == 0 and "it takes 6 complete trials beside the default" in short[1]
    assert no_store[0] == 2 and "there is no store" in no_store[1]
    assert not polytimbre.store.exists()


def test_a_short_or_flat_study_says_nothing_of_importances(tmp_path):
    short = made_study(tmp_path / "short", [(0.1, 0.2, 0.3), (0.2, 0.1, 0.4)])
    flat = made_study(tmp_path / "flat", [(x / 10, x / 20, 0.5) for x in range(10)])
    alike = made_study(tmp_path / "alike", [(0.1, 0.2, x / 10) for x in range(10)])
    for history in (short, flat, alike):
        assert history.importances == {}
        assert report.importances(history).empty
