"""What ``import polytimbre`` offers, used as a script or a notebook does."""

import ast
import doctest
import importlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

import polytimbre as pt

ROOT = Path(__file__).parent.parent

#: The README's lines and more, without a guard around them, as people write scripts.
SCRIPT = """
import time
started = time.perf_counter()
import polytimbre as pt
seconds = time.perf_counter() - started

import json
import numpy as np

names = pt.models(), pt.datasets()
data = pt.load("rendered-full")
run = pt.run("logistic_regression", data, seed=0, pooling="mean")
metrics, scores, history = run.metrics["mAP"], run.scores["test"], run.history
runs = pt.published("rendered-full")
result = pt.compare(run, [one for one in runs if one.label in ("attention", "constant")],
                    features="logmel", resamples=200)
frames = result.frame, result.pairs, result.per_class
figure = result.plot()
mine = {part: np.full(run.scores[part].shape, 0.5) for part in ("select", "test")}
extra = pt.compare(run, extra={"mine": mine}, resamples=200)


class Mine(pt.Model):
    '''Always the same score.'''

    name = "mine"
    seeded = False

    def fit(self, train, stop, *, seed, report=None):
        self.n_classes_ = len(train.classes)
        history = pt.History("fit")
        scores = self.predict_proba(train.X), self.predict_proba(stop.X)
        history.record(1, train, stop, *scores, report)
        return history

    def predict_proba(self, X):
        return np.full((len(X), self.n_classes_), 0.5, np.float32)

    def save(self, folder):
        (folder / "n").write_text(str(self.n_classes_))

    def load(self, folder):
        self.n_classes_ = int((folder / "n").read_text())


print(json.dumps({
    "seconds": seconds,
    "files": [pt.__file__, __import__("benchmark").__file__, __import__("reports").__file__],
    "names": names,
    "mAP": metrics,
    "shape": scores.shape,
    "history": list(history.columns),
    "models": frames[0]["model"].tolist(),
    "pairs": len(frames[1]),
    "classes": len(frames[2]),
    "figure": type(figure).__module__,
    "extra": extra.frame["model"].tolist(),
    "mine": pt.run(Mine, data).metrics["mAP"],
}))
"""


@pytest.mark.parametrize("source", ["checkout", "wheel"])
def test_a_script_runs_beside_somebody_elses_packages(source, request, tmp_path):
    home = ROOT if source == "checkout" else request.getfixturevalue("wheel")
    for name in ("models", "reports"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("THEIRS = True\n")
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = {
        **os.environ,
        "PYTHONPATH": str(home),
        "POLYTIMBRE_RESULTS": str(ROOT / "paper" / "results"),
    }
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert all(Path(file).is_relative_to(home) for file in told["files"])
    assert "cnn" in told["names"][0] and "rendered" in told["names"][1]
    assert 0.25 < told["mAP"] < 0.3 and told["shape"] == [1435, 20]
    assert told["history"] == ["fit_loss", "stop_loss", "fit_mAP", "stop_mAP"]
    assert told["models"] == ["attention", "logistic_regression (pooling=mean)", "constant"]
    assert (told["pairs"], told["classes"]) == (3, 60)
    assert told["figure"] == "matplotlib.figure"
    assert told["extra"] == ["logistic_regression (pooling=mean)", "mine"]
    assert 0.15 < told["mine"] < 0.16


def test_the_wheel_holds_every_file(wheel):
    packages = ("benchmark", "models", "reports")
    ours = {
        path.relative_to(ROOT)
        for package in packages
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {
        path.relative_to(wheel)
        for path in wheel.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert ours | {Path("polytimbre.py")} <= packed
    assert {path.parts[0] for path in packed if "dist-info" not in path.parts[0]} == {
        "polytimbre.py", *packages,
    }  # fmt: skip


def test_importing_it_imports_nothing_heavy():
    code = (
        "import sys, polytimbre\n"
        "print([m for m in ('numpy', 'pandas', 'matplotlib', 'jax') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_name_is_there_for_people_and_for_editors():
    for name in pt.__all__:
        assert getattr(pt, name) is not None and name in dir(pt)
    tree = ast.parse(Path(pt.__file__).read_text())
    typed = {
        (node.module, alias.asname)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    listed = {(module, name) for module, names in pt.EXPORTS.items() for name in names}
    assert typed == listed
    with pytest.raises(AttributeError, match="no attribute 'modles'"):
        pt.modles  # noqa: B018


def test_every_public_function_says_what_it_is_and_shows_its_use(monkeypatch):
    """The examples run, and each function of the API has one; none shows an interval."""
    monkeypatch.setattr("benchmark.api.comparing.RESAMPLES", 200)
    modules = [pt] + [importlib.import_module(m) for m in pt.EXPORTS if ".api." in m]
    without = set()
    for module in modules:
        for test in doctest.DocTestFinder().find(module):
            result = doctest.DocTestRunner().run(test)
            assert result.failed == 0, test.name
        names = pt.EXPORTS.get(module.__name__, ())
        without |= {n for n in names if ">>> import polytimbre as pt" not in getattr(pt, n).__doc__}
    assert without <= {"Prediction", "PublishedRuns", "ShownTable"}


@pytest.fixture(scope="module")
def data():
    return pt.load("rendered")


@pytest.fixture(scope="module")
def small():
    """A data set of one's own, that no plugin knows."""
    rng = np.random.default_rng(0)
    y_true = (rng.random((240, 3)) < 0.4).astype(np.float32)
    return pt.Dataset(
        name="small", X=rng.normal(size=(240, 2, 4)).astype(np.float32), y_true=y_true,
        y_mask=rng.random(y_true.shape) < 0.8, keys=np.array([f"clip{i}" for i in range(240)]),
        groups=np.array([f"work{i // 2}" for i in range(240)]),
        partition=np.where(np.arange(240) < 180, "train", "test"), citation="none",
        licence="CC0", classes=("cello", "flute", "voice"), audio_path=lambda key: Path(key),
    )  # fmt: skip


class Slope(pt.Model):
    """Scores along one random direction; three stages."""

    name = "slope"

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    def fit(self, train, stop, *, seed, report=None):
        self.weight_ = np.random.default_rng(seed).normal(size=(train.X.shape[2], 3))
        history = pt.History("round")
        for number in (1, 2, 3):
            scores = self.predict_proba(train.X), self.predict_proba(stop.X)
            history.record(number, train, stop, *scores, report)
        return history

    def predict_proba(self, X):
        return np.float32(1 / (1 + np.exp(-self.scale * (X.mean(axis=1) @ self.weight_))))

    def save(self, folder):
        np.save(folder / "weight.npy", self.weight_)

    def load(self, folder):
        self.weight_ = np.load(folder / "weight.npy")


@pytest.fixture(scope="module", autouse=True)
def environment():
    """Give back what a run in this process changes; other tests may have imported JAX here."""
    before = dict(os.environ)
    os.environ["PJRT_NPROC"] = "1"  # no model that is run here uses JAX
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def runs(small, tmp_path_factory):
    """A store with two models' runs on the small data set."""
    folder = tmp_path_factory.mktemp("api") / "store"
    for seed in np.arange(2):  # NumPy's whole numbers will do
        pt.run(Slope, small, seed=seed, store=folder)
    pt.run("constant", small, store=folder)
    return pt.store(folder)


def test_a_store_shows_one_data_set_and_tables_their_names(runs):
    assert len(pt.store(runs.path, "small")) == len(runs) == 3
    with pytest.raises(pt.UnknownNameError, match="unknown data set 'smal' of the stored runs"):
        list(pt.store(runs.path, "smal"))
    tables = pt.compare(runs).tables
    shown = repr(tables).splitlines()
    assert [line.split()[0] for line in shown] == list(tables) and "small" in shown[0]


def test_a_run_is_that_of_the_command(polytimbre, tmp_path):
    """The same id and the same bits, and what is stored isn't run again."""
    polytimbre("run", "--dataset", "rendered", "--model", "constant")
    (stored,) = pt.store(polytimbre.store)
    before = (polytimbre.store / "runs" / stored.id / "record.json").read_bytes()
    ours, kept = (
        pt.run("constant", pt.load("rendered"), store=place) for place in (None, polytimbre.store)
    )
    assert ours.id == stored.id == kept.id
    assert all(np.array_equal(ours.scores[part], stored.scores[part]) for part in stored.scores)
    assert (polytimbre.store / "runs" / stored.id / "record.json").read_bytes() == before


def test_a_run_is_looked_at(runs, small):
    run = next(one for one in runs if one.label == "slope")
    assert run.scores["test"].shape == (60, 3) and run.metrics["mAP"] > 0
    assert run.history.index.name == "round" and run.history.index.tolist() == [1, 2, 3]
    part = pt.divide(small).part("test")
    assert np.array_equal(run.labels["test"].y_true, part.y_true)
    mine = pt.run(Slope(scale=2.0), small, seed=1)
    assert "PYTHONSAFEPATH" not in os.environ  # programs that are started from here are as before
    assert np.array_equal(mine.model.predict_proba(part.X), mine.scores["test"])
    assert mine.model.scale == 2.0 and mine.id != run.id
    mAP = f"{run.metrics['mAP']:.3f}"
    assert repr(run) == f"<Run {run.id}: slope on small, seed 0, features own, mAP {mAP}>"
    assert mAP in run._repr_html_()
    assert "60 test" in repr(small) and "<td>small" not in small._repr_html_()
    assert len(runs) == 3 and runs[run.id[:8]].id == run.id
    assert set(runs.frame["model"]) == {"slope", "constant"}
    assert run.id in runs._repr_html_() and str(runs.path) in repr(runs)


def test_a_name_a_class_and_an_instance_of_a_plugin_are_one(small):
    from models.constant import Constant

    first = pt.run("constant", small)
    assert first.id == pt.run(Constant(), small).id
    assert first.model.name == "constant"


class Fails(pt.Model):
    name = "fails"

    def fit(self, train, stop, *, seed, report=None):
        raise ZeroDivisionError("a bug in the plugin")

    def predict_proba(self, X):
        raise NotImplementedError

    save = load = predict_proba


class Careless(pt.Model):
    """It changes what it is given, which `polytimbre check` refuses."""

    name = "careless"

    def fit(self, train, stop, *, seed, report=None):
        return pt.History("fit")

    def predict_proba(self, X):
        scores = X.mean(axis=tuple(range(1, X.ndim)), dtype=np.float32) / 1e6
        X[:] = 0
        return np.repeat(scores[:, None], 3, axis=1).clip(0, 1)

    def save(self, folder):
        pass

    load = save


def test_a_model_that_changes_what_it_is_given_spoils_no_scores(small):
    run, division = pt.run(Careless, small), pt.divide(small)
    for part, scores in run.scores.items():
        assert division.part(part).X.any()
        np.testing.assert_array_equal(scores, Careless().predict_proba(division.part(part).X))


@pytest.mark.parametrize(
    ("model", "params", "error", "message"),
    [
        ("cn", {}, pt.UnknownNameError, "unknown model 'cn'. Did you mean 'cnn'"),
        ("cnn:published", {"epoch": 3}, pt.UnknownNameError, "Did you mean 'epochs'"),
        ("constant", {"protocol": "no"}, pt.UnknownNameError, "unknown protocol 'no'"),
        ("constant", {"seed": 1.5}, pt.ProtocolError, "seed must be a whole number"),
        ("constant", {"seed": -1}, pt.ProtocolError, "seed must be a whole number"),
        ("constant", {"seed": True}, pt.ProtocolError, "seed must be a whole number"),
        ("constant", {"store": ""}, pt.ProtocolError, "store is empty"),
        (dict, {}, pt.PluginError, "it is no subclass of Model but <class 'dict'>"),
        (pt.NeuralNetwork, {}, pt.PluginError, "class NeuralNetwork lacks"),
        (Fails, {}, pt.PluginError, "model 'fails' failed: ZeroDivisionError: a bug in the plugin"),
    ],
)
def test_what_can_not_be_run_is_refused_with_a_sentence(small, model, params, error, message):
    with pytest.raises(error, match=message) as caught:
        pt.run(model, small, **params)
    assert isinstance(caught.value, pt.PolytimbreError)
    if model is Fails:
        assert "in fit" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda runs: pt.load(3), "name must be text, got 3"),
        (lambda runs: pt.load("rendered", layer=True), "layer must be a whole number or None"),
        (lambda runs: pt.load("rendered", split=""), "split is empty: leave it out"),
        (lambda runs: pt.published(3), "name must be text, got 3"),
        (lambda runs: pt.published("rendered", b"x"), "results must be text or a path or None"),
        (lambda runs: pt.store(""), "folder is empty$"),
        (lambda runs: pt.run("constant", pt.load("rendered"), protocol=[]), "protocol must be te"),
        (lambda runs: pt.compare(runs, features=3), "features must be text or a path or None"),
        (lambda runs: pt.compare(runs, part=["test"]), "part must be text, got"),
        (lambda runs: pt.compare(runs, extra={3: {}}), "each name in extra must be text, got 3"),
        (lambda runs: pt.predict(b"x.wav"), "file must be text or a path"),
        (lambda runs: pt.predict("x.wav", run=5), "run must be text or None, got 5"),
        (lambda runs: pt.predict("x.wav", hop="1"), "hop must be a number or None, got '1'"),
    ],
)
def test_an_argument_of_another_kind_is_named(runs, call, message):
    with pytest.raises(pt.ProtocolError, match=message):
        call(runs)


def test_numbers_of_numpy_are_parameters(small):
    model = pt.run("random_forest", small, n_estimators=np.int64(2), balance=np.float32(0.5))
    assert model.record.spec.params["n_estimators"] == 2


def test_data_that_is_none_is_refused():
    with pytest.raises(pt.ProtocolError, match="run takes a data set"):
        pt.run("constant", "rendered")
    with pytest.raises(pt.DataError, match="data_root="):
        pt.load("audioset20")


def test_runs_are_compared(runs, tmp_path):
    result = pt.compare(runs)
    assert result.frame["model"].tolist() == ["slope", "constant"]
    assert {"mAP", "mAP low", "mAP high", "F1"} <= set(result.frame)
    assert result.pairs[["model", "against"]].values.tolist() == [["slope", "constant"]]
    assert len(result.per_class) == 6 and {"AP low", "AP high"} <= set(result.per_class)
    assert any("resamples" in note for note in result.notes)
    figure = result.plot()
    assert isinstance(figure, Figure) and figure._repr_html_().startswith("<figure")
    figure.savefig(tmp_path / "comparison.png")  # in the report's style, whose dots are finer
    assert Image.open(tmp_path / "comparison.png").width == int(figure.get_figwidth() * 200)
    assert "<caption>" in result._repr_html_() and "slope" in repr(result)
    with pytest.raises(pt.UnknownNameError, match="unknown figure 'comparisn'"):
        result.plot("comparisn")
    assert pt.compare(*runs).frame.equals(result.frame)


def test_scores_of_ones_own_are_compared(runs):
    labels = next(iter(runs)).labels
    right = {part: labels[part].y_true * 0.8 + 0.1 for part in ("select", "test")}
    seeds = {part: np.stack([scores, scores * 0.9]) for part, scores in right.items()}
    frame = pt.compare(runs, extra={"right": right, "seeds": seeds}).frame.set_index("model")
    assert frame.loc["right", "mAP"] == frame.loc["seeds", "mAP"] == 1
    assert frame.loc["seeds", "seeds"] == 2 and pd.isna(frame.loc["right", "fit (s)"])
    result = pt.compare(runs, extra={"right": right})
    assert "right" in result._repr_html_() and isinstance(result.plot(), Figure)
    for wrong, message in (
        ({"right": {"test": right["test"]}}, "lacks scores of the select part"),
        ({"right": {**right, "test": right["select"]}}, r"must have shape \(60, 3\)"),
        ({"right": {**right, "test": right["test"] * 2}}, r"must be in \[0, 1\]"),
        ({"right": {**right, "test": right["test"] * np.nan}}, r"must be in \[0, 1\]"),
        ({"right": {**right, "test": seeds["test"]}}, "different numbers of seeds"),
        ({"constant": right}, "has the name of a model"),
        ({"right": {**right, "test": right["test"] + 0j}}, "part: Cannot cast array data from dt"),
    ):
        with pytest.raises(pt.ProtocolError, match=message):
            pt.compare(runs, extra=wrong)


def test_what_can_not_be_compared_is_refused(runs, data, small, tmp_path):
    other = pt.run("constant", data)
    with pytest.raises(pt.ProtocolError, match="their data set differs"):
        pt.compare(other, *runs)
    with pytest.raises(pt.ProtocolError, match="their data set differs"):
        pt.compare(other, runs)
    published = pt.run("constant", data, protocol="published")
    with pytest.raises(pt.ProtocolError, match="their protocol differs"):
        pt.compare(other, published)
    (tmp_path / "empty" / "runs").mkdir(parents=True)
    for nothing in ((), ([],), (pt.store(tmp_path / "empty"),)):
        with pytest.raises(
            pt.ProtocolError, match=r"no run: give it .* compare\(store\(FOLDER\)\)"
        ):
            pt.compare(*nothing)
    rendered = pt.load("rendered")
    changed = replace(rendered, X=255 - rendered.X)
    with pytest.raises(pt.ProtocolError, match="their fingerprint differs"):
        pt.compare(pt.run("constant", changed), pt.published("rendered"))
    for protocol in ("default", "published"):
        pt.run("logistic_regression", data, protocol=protocol, store=tmp_path)
    compared = pt.compare(published, pt.store(tmp_path)).frame["model"].tolist()
    assert sorted(compared) == ["constant", "logistic_regression"]


def test_what_is_published_is_read(tmp_path):
    published = pt.published("audioset20")
    table = published.tables["comparison"].keep("rank", "model", "mAP")
    assert list(table.frame) == ["rank", "model", "mAP", "mAP low", "mAP high"]
    assert 'class="interval"' in table._repr_html_() and "<li>" in table._repr_html_()
    assert isinstance(published.plot("comparison"), Figure)
    run = next(iter(published))
    assert run.id in repr(run)
    with pytest.raises(pt.StoreError, match="may not be shipped"):
        pt.compare(published)
    with pytest.raises(pt.StoreError, match="--keep FOLDER` fits it again"):
        run.model  # noqa: B018
    with pytest.raises(pt.UnknownNameError, match="Did you mean 'rendered'"):
        pt.published("renderd")
    with pytest.raises(pt.StoreError, match="no store"):
        pt.store(tmp_path / "typo")
    assert list(tmp_path.iterdir()) == []


def test_a_model_whose_code_was_changed_is_not_loaded(runs, monkeypatch):
    run = next(one for one in pt.store(runs.path) if one.label == "constant")
    monkeypatch.setattr("benchmark.api.running.source_hash", lambda cls: "another")
    with pytest.raises(pt.StoreError, match="was changed since"):
        run.model  # noqa: B018


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda runs, data: pt.divide(None), "divide takes a Dataset"),
        (lambda runs, data: pt.divide(data, "default"), "a Protocol .*, got 'default'"),
        (lambda runs, data: pt.divide(data).part("tset"), "Did you mean 'test'"),
        (lambda runs, data: list(pt.check_model("constant")), "a model's class, got 'constant'"),
        (lambda runs, data: list(pt.check_dataset("rendered", None)), "a data set's class, got"),
        (lambda runs, data: list(pt.check_dataset(int, None)), "data set <class 'int'>: it has no"),
        (lambda runs, data: pt.compare(runs).plot(3), "name must be text, got 3"),
        (lambda runs, data: pt.compare(runs).slices(["source"]), "by must be text"),
        (lambda runs, data: pt.compare(runs).slices(None), "by must be text, got None"),
        (lambda runs, data: pt.compare(np.array(3)), "collections of them, .* got ndarray"),
        (lambda runs, data: pt.store("a\0b"), "folder holds a null character"),
        (lambda runs, data: pt.load("folder", "a\0b"), "root holds a null character"),
        (lambda runs, data: pt.Within(3), "an interval is a text"),
        (lambda runs, data: runs[0], r"`list\(runs\)\[0\]` is the first"),
        (lambda runs, data: runs[b"1"], "a run is named by its id, a text"),
        (lambda runs, data: next(iter(runs)).attributes("tset"), "Did you mean 'test'"),
        (lambda runs, data: next(iter(runs)).attributes(None), "unknown part None"),
    ],
)
def test_arguments_of_a_wrong_kind_are_refused_in_one_sentence(runs, data, call, message):
    with pytest.raises(pt.PolytimbreError, match=message) as caught:
        call(runs, data)
    assert "\n" not in str(caught.value)
