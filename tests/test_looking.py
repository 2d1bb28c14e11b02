"""Commands that look at runs: they write nothing; what they advise helps; what can be forgotten."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import QUICKLY, SEVERAL, install
from test_store import swap_labels, tree

from benchmark.runs.store import Store

TINY = ("--dataset", "tiny")
RUN = ("run", *TINY, "--workers", 0)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A store of two models of two seeds."""
    polytimbre = install(tmp_path_factory.mktemp("first"))
    polytimbre(*RUN, "--model", "guess", "--model", "dial", "--seeds", 2)
    return polytimbre


@pytest.fixture
def copied(polytimbre, first):
    """The command with a copy of these runs."""
    shutil.copytree(first.store, polytimbre.store)
    return polytimbre


LOOKS = (
    ("compare", "--resamples", 200),
    ("gap", "--resamples", 200),
    ("list", "runs"),
    ("thresholds", "--trials", 1, "--resamples", 600),
    ("ensemble", "--resamples", 600),
    ("calibration",),
    ("audit", "--dataset", "tiny"),
    (*RUN, "--dry-run", "--model", "guess"),
)


def test_looking_at_no_store_makes_none(polytimbre, tmp_path):
    nowhere = tmp_path / "nowhere"
    looks = [look for look in LOOKS if "--dry-run" not in look]
    looks += [("show", "a"), ("study",), ("publish", "a"), ("forget", "a"), ("reproduce", "a")]
    outcomes = polytimbre.several(*((*look, "--store", nowhere) for look in looks))
    for look, (code, out) in zip(looks, outcomes, strict=True):
        assert (code, out.count("\n")) == (2, 1), (look, out)
        assert f"there is no store {nowhere}" in out
    ((code, out),) = polytimbre.several((*RUN, "--dry-run", "--model", "guess"))
    assert (code, out.count("waits")) == (0, 3)
    assert not nowhere.exists() and not polytimbre.store.exists()


def test_a_store_on_a_read_only_disk_is_looked_at(first):
    """Mounted so in a namespace of its own, where the system lets us."""
    mount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0"'
    isolated = ["unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', str(first.store)]
    probe = [*isolated, "touch", str(first.store / "probe")]
    if not shutil.which("unshare"):
        pytest.skip("no namespaces here")
    if "Read-only" not in subprocess.run(probe, capture_output=True, text=True).stderr:
        pytest.skip("nothing may be mounted here")
    run_id = Store(first.store).ids()[0]
    looks = [*LOOKS, ("show", run_id), ("reproduce", run_id, "--store", first.store)]
    before = tree(first.store)
    arguments = json.dumps([[*map(str, look)] for look in (*looks, (*RUN, "--model", "guess"))])
    done = subprocess.run(
        [*isolated, sys.executable, "-c", QUICKLY + SEVERAL, arguments],
        env=first.environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout)
    for look, (code, out) in zip(looks, outcomes, strict=False):
        assert code == 0, (look, out)
    code, out = outcomes[-1]
    assert code == 2 and "can't be used (Read-only file system)" in out
    assert tree(first.store) == before


def test_missing_and_changed_labels_are_mended_as_advised(copied):
    (path,) = (copied.store / "labels").iterdir()
    before = copied("compare", "--resamples", 200)
    run = (*RUN, "--model", "guess", "--model", "dial", "--seeds", 2)
    for spoil in (path.unlink, lambda: swap_labels(path)):
        spoil()
        refused = copied("compare", "--resamples", 200, code=2)
        assert f"the labels {path} can't be used" in refused and "Run `polytimbre run`" in refused
        created = {r.run_id: r.created for r in Store(copied.store)}
        assert copied(*run).count("its labels are stored again") == 4
        assert {r.run_id: r.created for r in Store(copied.store)} == created  # none ran again
        assert copied("compare", "--resamples", 200) == before
    assert "all 4 runs are cached" in copied(*run)


def test_the_version_that_was_asked_for_last_is_compared_and_the_others_are_forgotten(copied):
    plugins = copied.site / "tiny_plugins.py"
    source = plugins.read_text()
    compare = ("compare", "--resamples", 200, "--format", "json")

    def shown():
        content = json.loads(copied(*compare))
        return {row["model"]: row["mAP"] for row in content["rows"]}, content["notes"]

    before, _ = shown()
    run = (*RUN, "--model", "guess", "--seeds", 2)
    plugins.write_text(source.replace("2550.0", "255.0"))
    copied(*run)
    edited, notes = shown()
    assert edited["guess"] != before["guess"] and edited["dial"] == before["dial"]
    assert any("changed code, libraries or data, left out: 2" in note for note in notes)
    plugins.write_text(source)
    copied(*run)  # found stored: from here on it counts again
    assert shown()[0] == before
    plugins.write_text(source.replace("make_part(240, 5", "make_part(240, 66"))
    copied(*run)
    other, notes = shown()
    assert other.keys() == {"guess"}
    assert any("changed code, libraries or data, left out: 6" in note for note in notes)

    ids = set(Store(copied.store).ids())
    (answer, out), (missing, _) = copied.several(
        ("forget", "--older"), ("forget", "--older", "--dataset", "other")
    )
    assert (answer, missing) == (2, 2)  # nobody answered
    assert out.count("finished") == 1 and "Remove 6 runs" in out and "--yes" in out
    assert set(Store(copied.store).ids()) == ids
    assert "removed 6 runs" in copied("forget", "--older", "--yes")
    assert shown()[0] == other
    assert not any("older" in note for note in shown()[1])
    kept = Store(copied.store).ids()
    assert len(kept) == 2 and set(kept) < ids


def test_what_to_forget_is_named(copied, tmp_path):
    ids = Store(copied.store).ids()
    damaged = copied.store / "runs" / ids[0] / "record.json"
    damaged.write_text("{}")
    shutil.copytree(copied.store, tmp_path / "set")
    (tmp_path / "set" / "set.json").write_text("{}")
    outcomes = copied.several(
        ("forget",),
        ("forget", ids[0], "--older"),
        ("forget", "x"),
        ("forget", "--dataset", "rendered"),
        ("forget", ids[0], ids[1][:6], "--yes"),
        ("forget", "--model", "dial", "--yes"),
    )
    assert [code for code, _ in outcomes] == [2, 2, 2, 2, 0, 0]
    for (_, out), sentence in zip(
        outcomes,
        (
            "say what to remove",
            "not by both",
            "unknown run 'x'",
            "unknown data set 'rendered'",
            f"{ids[0]}  can't be read",
            "removed",
        ),
        strict=True,
    ):
        assert sentence in out
    assert {r.spec.model for r in Store(copied.store)} <= {"guess"}


def test_misspelt_models_and_several_matches_are_refused(copied):
    ids = Store(copied.store).ids()
    damaged, *_ = copied.several(
        ("compare", "--model", "guess", "--model", "dail"),
        ("calibration", "--model", "gues"),
    )
    assert damaged[0] == 2 and "'dail' among the stored runs. Did you mean 'dial'?" in damaged[1]
    for run_id in ("e0", "e1"):
        (copied.store / "runs" / run_id).mkdir()
    several, empty, damaged = copied.several(("show", "e"), ("show", ""), ("show", "e0"))
    begun = sum(one.startswith("e") for one in (*ids, "e0", "e1"))
    assert several[0] == 2 and f"{begun} runs have an id that begins with 'e'" in several[1]
    assert empty[0] == 2 and "it is empty: name one" in empty[1]
    assert damaged[0] == 2 and "its file record.json is missing" in damaged[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("compare", "--store", ""), "it is empty: name one"),
        (("run", "--data-root", ""), "it is empty: name one"),
        (("new", "model", "x", "--package", ""), "it is empty: name one"),
        (("run", "--seed", 1, "--seeds", 2), "it stands beside --seed"),
        (("run", "--seeds", 10**9), "Invalid value for '--seeds'"),
        (("tune", "--trials", 10**12), "Invalid value for '--trials'"),
        (("run", "--param", "a=1", "--param", "a=2"), "a is given twice"),
        ((*RUN, "--data-root", "."), "leave out --data-root"),
        (("compare", "--store", "x" * 300), "can't be read (File name too long)"),
        (("run", "--store", "x" * 300), "can't be used (File name too long)"),
        (("run", "--dataset", "folder", "--data-root", "x" * 300), "(File name too long); check"),
        (("--nope",), "No such option: --nope"),
        (("lst",), "No such command 'lst'"),
    ],
    ids=lambda value: "-".join(map(str, value))[:30] if isinstance(value, tuple) else "",
)
def test_options_that_mean_nothing_are_refused(polytimbre, arguments, message):
    ((code, out),) = polytimbre.several(arguments)
    assert code == 2
    assert message in out and out.startswith("error: ") and out.count("\n") == 1, out


def test_what_is_named_twice_runs_once_and_an_empty_variable_is_none(polytimbre, tmp_path):
    polytimbre.environment["POLYTIMBRE_STORE"] = ""
    twice = (*RUN, "--model", "guess", "--model", "guess", "--seed", 0, "--seed", 0)
    (dry, shown), (done, out), (again, forced) = polytimbre.several(
        (*twice, "--dry-run", "--store", polytimbre.store),
        (*twice, "--store", polytimbre.store),
        (*twice, "--store", polytimbre.store, "--force"),
    )
    assert (dry, done, again) == (0, 0, 0), (shown, out, forced)
    assert shown.count("waits") == out.count("done") == forced.count("done") == 1
    assert "cached" not in forced
    (record,) = Store(polytimbre.store)
    assert record.labels and len(Store(polytimbre.store)) == 1
    assert "/polytimbre-store" in polytimbre("info")


def test_what_failed_without_a_record_is_not_to_be_shown(polytimbre):
    crashed = polytimbre("run", *TINY, "--model", "crash", "--seed", 0, code=2)
    assert "Nothing is stored of what failed" in crashed and "show" not in crashed
    failed = polytimbre(*RUN, "--model", "raises", "--seed", 0, code=2)
    (record,) = Store(polytimbre.store)
    assert f"`polytimbre show {record.run_id}` shows the traceback" in failed
    assert "ZeroDivisionError" in polytimbre("show", record.run_id)


def test_a_model_that_ends_the_process_or_cannot_read_a_file_is_that_models_failure(polytimbre):
    for name, method, line in (
        ("quits", "fit", "raise SystemExit(0)"),
        ("reads", "fit", "open('/nowhere/at/all')"),
        ("fills", "save", "raise OSError(28, 'No space left on device')"),
    ):
        source = (
            f"from tiny_plugins import Guess\nclass Own(Guess):\n    name = {name!r}\n"
            f"    def {method}(self, *parts, **rest):\n        {line}\n"
        )
        polytimbre.add_plugin(name, source, "polytimbre.models", name, "Own")
    models = [f"--model={name}" for name in ("quits", "reads", "fills", "guess")]
    out = polytimbre("run", *TINY, "--seed", 0, *models, code=2)
    assert "3 of 4 runs failed" in out
    assert f"the store {polytimbre.store} is full (No space left on device)" in " ".join(
        out.split()
    )
    errors = {r.spec.model: r.error for r in Store(polytimbre.store)}
    assert errors.keys() == {"quits", "reads", "guess"} and errors["guess"] is None
    assert "SystemExit" in errors["quits"] and "/nowhere/at/all" in errors["reads"]


def test_stored_scores_that_break_their_contract_are_named(copied):
    store = Store(copied.store)
    record = store.records()[0]
    folder = copied.store / "runs" / record.run_id
    scores = store.scores(record)
    scores["test"] = scores["test"] + np.float32(1)
    with store.staging(record.run_id) as staged:
        np.savez(staged / "scores.npz", **scores)
        shutil.rmtree(folder)
        store.add(record, staged)
    out = copied("compare", code=2)
    assert f"run {record.run_id} is damaged: its scores.npz holds scores outside [0, 1]" in out
