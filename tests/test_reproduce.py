"""Runs that are run again: to the last bit, within tolerance, or not."""

import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_studies import wait_for

from benchmark.analysis.reproduction import (
    Circumstance,
    Difference,
    Reproduction,
    ScoresOfPart,
    circumstances,
)
from benchmark.runs import environment
from benchmark.runs.files import sha256
from benchmark.runs.published import FORMAT
from benchmark.runs.record import Record, RunSpec, digest
from benchmark.runs.store import Store
from benchmark.scoring.evaluation import evaluate
from benchmark.workers.jobs import WORKER_THREADS
from reports.tables import reproduction as report

TINY = ("--dataset", "tiny")
RUN = ("run", *TINY, "--workers", 0, "--seeds", 1)


def content(folder: Path):
    files = [p for p in sorted(folder.rglob("*")) if p.is_file()]
    return {p.relative_to(folder): sha256(p) for p in files}


def records(polytimbre):
    return {r.spec.label: r for r in Store(polytimbre.store).records()}


def rewrite(store, record, scores=None, **changes):
    """Change a stored run, its record consistently."""
    folder = store / "runs" / record.run_id
    changed = replace(record, **changes)
    if scores is not None:
        np.savez(folder / "scores.npz", **scores)
        changed.files = {**record.files, "scores.npz": sha256(folder / "scores.npz")}
    (folder / "record.json").write_text(changed.to_json())


def publish(target, store, runs, parts, off=0.0):
    """Publish runs with the scores of some parts, or with their metrics, `off` by so much."""
    rows = []
    for record in runs:
        folder = target / "tiny" / "runs" / record.run_id
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(record.to_json())
        scores = store.scores(store.get(record.run_id))
        if parts:
            np.savez_compressed(folder / "scores.npz", **{name: scores[name] for name in parts})
        if record.spec.fraction == 1:
            summary = evaluate(scores, store.labels(record.spec.division_id)).summary()
            rows.append({"run": record.run_id, **{k: v + off for k, v in summary.items()}})
    values = [list(row.values()) for row in rows]
    table = {"title": "runs", "columns": list(rows[0]), "rows": values, "notes": []}
    (target / "tiny" / "results.json").write_text(json.dumps({"runs": table}))
    listed = {
        "format": FORMAT,
        "complete": bool(parts),
        "runs": [record.run_id for record in runs],
        "audit": [],
        "files": {k.as_posix(): v for k, v in content(target / "tiny").items()},
    }
    sealed = json.dumps({**listed, "digest": digest(listed)})
    (target / "tiny" / "set.json").write_text(sealed)


def test_stored_runs_come_out_to_the_last_bit_and_nothing_is_touched(polytimbre):
    tuned = ("run", *TINY, "--workers", 0, "--seed", 1, "--model", "dial", "--tuned")
    study = ("tune", *TINY, "--workers", 0, "--model", "dial", "--trials", 3)
    found = polytimbre.several(
        (*RUN, "--model", "guess", "--param", "stages=2"), study, (*tuned, "--refit")
    )
    assert {code for code, _ in found} == {0}, found
    (polytimbre.store / "studies.journal").unlink()  # the records say what was chosen
    before = content(polytimbre.store)
    runs = records(polytimbre)
    assert runs.keys() == {"guess", "dial tuned", "dial tuned refit"}
    kept = polytimbre.store.parent / "kept"
    plain, refit = polytimbre.several(
        ("reproduce", runs["guess"].run_id[:6]),
        ("reproduce", runs["dial tuned refit"].run_id, "--store", polytimbre.store, "--keep", kept),
    )
    for code, out in (plain, refit):
        assert (code, "environment" in out) == (0, False), out
        assert out.strip().endswith(
            "reproduced to the last bit, on the same machine with the same code and packages"
        )
    assert f"of the store {polytimbre.store}: dial tuned refit seed 1 on tiny" in refit[1]
    assert "two-class F1, per-class thresholds" in plain[1]
    assert content(polytimbre.store) == before
    (copy,) = Store(kept)
    assert copy.run_id == runs["dial tuned refit"].run_id in refit[1]
    assert [p.name for p in Store(kept).model_folder(copy).iterdir()] == ["weight.json"]
    assert Store(kept).labels(copy.spec.division_id)["test"].keys.size


def test_what_differs_is_counted_and_said(polytimbre):
    polytimbre(*RUN, "--model", "guess")
    store = Store(polytimbre.store)
    (record,) = store.records()
    scores = store.scores(record)
    scores["test"][3, 2] = np.nextafter(scores["test"][3, 2], np.float32(2))
    scores["fit"][0, :2] = 1 - scores["fit"][0, :2]
    rewrite(polytimbre.store, record, scores)
    out = polytimbre("reproduce", record.run_id, "--format", "csv", code=1)
    rows = dict(line.split(",", 1) for line in out.splitlines() if line.count(",") == 4)
    assert rows["test"].split(",")[1] == "1"
    assert rows["fit"].split(",")[1] == "2"
    assert rows["stop"].split(",")[1:] == ["0", "0", "0.0"]
    assert "not reproduced" in out and "every bit should be the same, but 3 of " in out
    other = {**record.machine, "processor": "another"}
    rewrite(polytimbre.store, record, scores, machine=other)
    assert "not reproduced" in polytimbre("reproduce", record.run_id, code=1)  # it is no network
    del other["caches"]  # as recorded before any model was held to instructions
    rewrite(
        polytimbre.store,
        record,
        scores,
        machine=other,
        packages={**record.packages, "numpy": "1.0"},
    )
    shown = polytimbre("reproduce", record.run_id)  # mAP on test is the same
    assert "numpy is " in shown and "recorded 1.0" in shown
    assert "`pip install -r requirements.lock`" in shown
    assert "reproduced within 1e-06 mAP, on another machine, with other versions" in shown
    assert "another" in next(line for line in shown.splitlines() if "processor" in line)


def test_changed_code_and_changed_data(polytimbre):
    polytimbre(*RUN, "--model", "guess")
    (record,) = Store(polytimbre.store).records()
    plugins = polytimbre.site / "tiny_plugins.py"
    source = plugins.read_text()
    plugins.write_text(source.replace("2550.0", "255.0"))
    out = polytimbre("reproduce", record.run_id, code=1)
    assert "source of the model" in out
    assert "The code is not the recorded one, so this is not the same run" in out
    assert "not reproduced: with other code, mAP differs by" in out
    plugins.write_text(source.replace("make_part(240, 5", "make_part(240, 66"))
    out = polytimbre("reproduce", record.run_id, code=2)
    assert "was made on other data: the fingerprint of data set 'tiny'" in out
    plugins.write_text(source.replace("stages", "steps"))
    out = polytimbre("reproduce", record.run_id, code=2)
    assert "can't be made by this code: unknown parameter 'stages' of model guess" in out
    plugins.write_text(source.replace("history = History", "1 / 0\n        history = History"))
    out = polytimbre("reproduce", record.run_id, code=1)
    assert "not reproduced: it fails here: guess seed 0: ZeroDivisionError" in out


def test_published_runs(polytimbre, tmp_path):
    polytimbre(*RUN, "--model", "guess")
    polytimbre("learning-curve", *TINY, "--model", "guess", "--seeds", 1)
    store = Store(polytimbre.store)
    runs = [r for r in store.records() if (r.spec.fraction, r.spec.order) in ((0.1, 1), (1, 0))]
    whole, part = sorted(runs, key=lambda r: -r.spec.fraction)
    publish(tmp_path / "scores", store, runs, ("select", "test"))
    publish(tmp_path / "metrics", store, runs, ())
    publish(tmp_path / "off", store, [replace(whole, files={})], (), off=1e-9)
    polytimbre.store = polytimbre.environment["POLYTIMBRE_STORE"] = str(tmp_path / "none")
    found = polytimbre.several(
        ("reproduce", whole.run_id, "--results", tmp_path / "scores"),
        ("reproduce", whole.run_id, "--results", tmp_path / "metrics"),
        ("reproduce", part.run_id, "--results", tmp_path / "metrics", "--format", "json"),
        ("reproduce", whole.run_id, "--results", tmp_path / "off"),
        ("reproduce", "f" * 16, "--results", tmp_path / "scores"),
        ("reproduce", whole.run_id, "--store", tmp_path / "scores" / "tiny"),
    )
    assert [code for code, _ in found] == [0, 0, 0, 1, 2, 0], found
    assert "of the published set 'tiny'" in found[5][1]
    assert "scores are published for select, test alone" in found[0][1]
    for code, out in found[:3]:
        assert code == 0 and "reproduced to the last bit" in out
    for _, out in found[1:3]:
        assert "no scores are published; by the SHA-256 in the record, those of all parts" in out
    assert "no metrics on test are published: judged by mAP on stop, in training" in found[2][1]
    table, _ = json.JSONDecoder().raw_decode(found[2][1], found[2][1].index("{"))
    assert [row["difference"] for row in table["rows"]] == [0.0]
    assert table["notes"][0].startswith("reproduced to the last bit")
    assert "every bit should be the same, but" in found[3][1]
    assert not Path(polytimbre.store).exists()


def test_a_published_run_is_preferred_unless_the_store_is_named(polytimbre, tmp_path):
    polytimbre(*RUN, "--model", "guess")
    store = Store(polytimbre.store)
    publish(tmp_path / "results", store, store.records(), ("select", "test"))
    run_id = store.records()[0].run_id
    shutil.copytree(polytimbre.store, tmp_path / "copy")
    (first, published), (second, stored) = polytimbre.several(
        ("reproduce", run_id, "--results", tmp_path / "results"),
        ("reproduce", run_id, "--store", tmp_path / "copy"),
    )
    assert (first, second) == (0, 0)
    assert "of the published set 'tiny'" in published
    assert f"of the store {tmp_path / 'copy'}: guess" in stored


def test_bad_input_is_refused_in_one_sentence(polytimbre, tmp_path):
    polytimbre(*RUN, "--model", "guess", "--model", "raises", code=2)
    runs = records(polytimbre)
    run_id = runs["guess"].run_id
    elsewhere, unknown = tmp_path / "elsewhere", tmp_path / "unknown"
    for store, changes in (
        (elsewhere, {"dataset": "audioset20"}),
        (unknown, {"protocol_id": "0" * 16}),
    ):
        shutil.copytree(polytimbre.store, store)
        rewrite(store, runs["guess"], spec=replace(runs["guess"].spec, **changes))
    last = "0" if run_id[-1] != "0" else "1"
    refused = {
        ("reproduce", run_id[:-1] + last): f"Did you mean '{run_id}'?",
        ("reproduce", runs["raises"].run_id): "failed (ZeroDivisionError: a bug in the plugin)",
        ("reproduce", run_id, "--store", elsewhere): "say where it lies with --data-root",
        ("reproduce", run_id, "--store", elsewhere, "--data-root", tmp_path / "x"): "not exist",
        ("reproduce", run_id, "--store", unknown): "protocol 0000000000000000, which this code",
        ("reproduce", run_id, "--store", tmp_path / "nowhere"): "there is no store",
        ("reproduce", run_id, "--results", tmp_path / "nowhere"): "nothing is published in",
    }
    found = polytimbre.several(*refused)
    for (code, out), (arguments, sentence) in zip(found, refused.items(), strict=True):
        assert (code, sentence in out, out.count("\n")) == (2, True, 1), (arguments, out)


def test_ctrl_c_leaves_nothing_behind(polytimbre, tmp_path):
    polytimbre(*RUN, "--model", "dial", "--param", "quality=0.9")
    (record,) = Store(polytimbre.store).records()
    before = content(polytimbre.store)
    gate = {**record.spec.params, "gate": str(tmp_path / "never")}
    rewrite(polytimbre.store, record, spec=replace(record.spec, params=gate))
    changed = content(polytimbre.store)
    assert changed != before
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    polytimbre.environment["TMPDIR"] = str(temporary)
    process = polytimbre.start("reproduce", record.run_id)
    wait_for(lambda: list(temporary.glob("polytimbre-*/tmp/*-*")))
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in err) == (130, False), err
    assert "interrupted; nothing was stored" in err
    assert not list(temporary.glob("polytimbre-*"))
    assert content(polytimbre.store) == changed


@pytest.fixture(scope="module")
def record():
    """A run that was recorded here."""
    spec = RunSpec("tiny", "official", True, "f", "d", "p", "guess", None, {}, 0, "source")
    return Record(
        "id", spec, environment.library_versions(()), WORKER_THREADS, "finished", "now",
        packages=environment.packages(()), machine=environment.machine(),
    )  # fmt: skip


def bears(record, **changes):
    made = replace(record, **changes)
    found = circumstances(made, made.spec.source, ())
    return {one.what: one.bears for one in found}


def test_another_lock_is_named(record):
    packages = [Circumstance(f"p{i}", "1", "2", "packages") for i in range(8)]
    python = Circumstance("Python", "3.11.7", "3.13.0", "packages")
    (said,) = report.advice(record, [python, *packages])
    assert said.startswith("The lock differs: Python is 3.13.0, recorded 3.11.7; p0 is 2")
    assert ", and 3 more. " in said
    assert said.endswith("`pip install -r requirements.lock` under Python 3.11")
    assert report.advice(record, [replace(python, bears="")]) == []


def test_what_bears_on_bits(record):
    machine = {**record.machine, "platform": "Linux-6.1.0-13-amd64-x86_64-with-glibc2.36"}

    def on(platform, python="3.12.4"):
        return {**machine, "platform": platform, "python": python}

    assert bears(record) == {}
    assert bears(record, threads=8) == {"threads": "threads"}
    assert bears(record, packages={"numpy": "1.0"}) == {"numpy": "packages"}
    assert bears(record, packages={"scipy": "1.0"}) == {"scipy": "packages"}
    system, _, rest = record.machine["platform"].partition("-")
    kernel, _, other = rest.partition("-")
    assert bears(
        record, machine={**record.machine, "platform": f"{system}-0.{kernel}-{other}"}
    ) == {"platform": ""}
    found = bears(record, machine=on("Windows-11-10.0.22631-SP0", "2.7.18"))
    assert found == {"platform": "machine", "Python": "packages"}
    patch = ".".join([*record.machine["python"].split(".")[:2], "99"])
    assert bears(record, machine={**record.machine, "python": patch}) == {"Python": ""}


@pytest.mark.parametrize(
    ("model", "backend", "bearing", "difference", "reproduced", "sentence"),
    [
        ("xgboost", None, "", 0.0, True, "reproduced to the last bit, on the same machine"),
        ("xgboost", None, "", 1e-9, False, "not reproduced: on the same machine with the same"),
        ("xgboost", None, "machine", 0.0, True, "reproduced to the last bit, though on another"),
        ("xgboost", None, "machine", 9e-7, True, "within 1e-06 mAP, on another machine: mAP"),
        ("xgboost", None, "machine", -2e-6, False, "the 1e-06 that models of other kinds may"),
        ("logistic_regression", None, "machine", 6e-6, True, "reproduced within 0.0001 mAP"),
        ("logistic_regression", None, "machine", 2e-4, False, "that linear models may"),
        ("cnn", "jax", "packages", 0.009, True, "reproduced within 0.01 mAP, with other versions"),
        ("cnn", "jax", "machine", -0.011, False, "more than the 0.01 that networks"),
    ],
)
def test_the_verdict(record, model, backend, bearing, difference, reproduced, sentence):
    spec = replace(record.spec, model=model)
    recorded = replace(record, spec=spec, backend=backend)
    changed = [Circumstance("what", "a", "b", bearing)]
    scores = [ScoresOfPart("test", 100, int(difference != 0), int(difference != 0), 0.1)]
    metrics = [Difference("mAP", 0.5, 0.5 + difference), Difference("stop_mAP", 0.4, 0.9)]
    metrics = metrics[:1] if difference == 0 else metrics
    found = Reproduction(recorded, record, changed, scores, metrics)
    assert found.reproduced == reproduced
    assert sentence in report.verdict(found)
