"""Every registered model and data set holds to its contract; breaking it is named."""

import gzip
import importlib
import inspect
import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from conftest import TINY

from benchmark.contracts.dataset import Dataset
from benchmark.contracts.model import History, Model
from benchmark.errors import DataError, PluginError, UnknownNameError
from benchmark.plugins import registry
from benchmark.plugins.checks import check_dataset, check_model, make_auxiliary, make_part

ROOTS = {"audioset20": "audioset", "audioset-world": "audioset"}


#: Defaults that say how long a fit lasts: no rule of the contract needs them larger.
QUICK = {
    "epochs": 4, "pretraining_epochs": 2, "n_estimators": 6, "max_iter": 4, "n_rounds": 4,
    "embedding": 1, "units": 8, "filters": (8,), "dense": 8, "hidden": (8,),
}  # fmt: skip


def quicken(cls, monkeypatch):
    """Let the parameters of a class in `QUICK` have smaller defaults until the test ends."""
    init = cls.__init__
    defaults = {
        name: QUICK.get(name, parameter.default)
        for name, parameter in inspect.signature(init).parameters.items()
        if parameter.default is not parameter.empty
    }
    if init.__kwdefaults__:  # of a dataclass
        monkeypatch.setattr(init, "__kwdefaults__", defaults)
    else:
        monkeypatch.setattr(init, "__defaults__", tuple(defaults.values()))


@pytest.mark.usefixtures("quick_compiler")
@pytest.mark.parametrize("name", registry.models().names())
def test_model_contract(name, monkeypatch):
    cls = registry.models().get(name)
    quicken(cls, monkeypatch)
    assert len(list(check_model(cls))) == 15 + cls.uses_auxiliary


@pytest.mark.parametrize("name", registry.datasets().names())
def test_dataset_contract(name):
    plugin = registry.datasets().get(name)
    root = None
    if plugin.needs_root:
        if name not in ROOTS or not os.environ.get("POLYTIMBRE_DATA"):
            pytest.skip(f"the data of {name} are not here: POLYTIMBRE_DATA is not set or lacks it")
        root = Path(os.environ["POLYTIMBRE_DATA"]) / ROOTS[name]
    assert len(list(check_dataset(plugin, root))) == 5 + len(plugin.feature_files)


def test_no_plugin_failed():
    assert registry.models().failures == {}
    assert registry.datasets().failures == {}


def test_importing_plugins_is_light():
    """Heavy libraries are imported where they are used, so that listing is quick."""
    code = (
        "import sys; from benchmark.plugins import registry; registry.models();"
        "registry.datasets();"
        "print([m for m in ('keras', 'jax', 'sklearn', 'xgboost', 'pandas') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def broken(name, message):
    return pytest.param(name, message, id=name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        broken("shape", "must return an array of shape"),
        broken("nan", "returned NaN"),
        broken("range", r"values in \[0, 1\]"),
        broken("history", "got NoneType"),
        broken("unseeded", "derive every random draw from `seed`"),
        broken("ignores", "the same bits, seeded = True"),
        broken("peeks", "unobserved labels reach the model"),
        broken("endless", "Fit stops where report returns True"),
        broken("no_report", "report saw other stages"),
        broken("unlocks", "stop.X is another, or can be written to"),
        broken("scribbles", "train.y_true is another"),
        broken("links", "pickle is written': elsewhere is neither a file nor"),
        broken("pipes", "pickle is written': pipe is neither a file nor a folder"),
        broken("batch", "does not depend on the clips beside it"),
        broken("forgets", "the loaded model scores differently"),
        broken("pickles", "looks like a pickle"),
        broken("zero", "load reads a pickle, and none is ever loaded"),
        broken("packed", "load reads a pickle"),
        broken("objects", "load reads a pickle"),
        broken("abroad", "load reads .*abroad, which save wrote outside its folder"),
        broken("whole_path", "same bits, and .*FileNotFoundError"),
        broken("swaps", r"scores of train, an array of shape .*= \(80, 20\), got \(40, 20\)"),
        broken("nothing", "as scores of train, a plain NumPy array, got NoneType"),
        broken("masked", "a plain NumPy array, got MaskedArray"),
        broken("things", "an array of float32, got object"),
        broken("worded", "the stages' numbers as whole numbers that rise, got '1'"),
        broken("falls", "whole numbers that rise, got 1 after 2"),
        broken("unitless", "what a History counts must be a text .* got None"),
        broken("writes", "leave the arrays as they are, read-only': ValueError: assignment"),
        broken("empties", "leave the arrays as they are, read-only': train.y_true is another"),
        broken("regroups", "leave the arrays as they are, read-only': ValueError: assignment"),
        broken("replaces", "leave the arrays as they are, read-only': FrozenInstanceError"),
        broken("dice", "two calls of predict_proba with the same clips score them differently"),
        broken("lines", "reports each of its stages': ValueError: in two lines$"),
        broken("wordless", "reports each of its stages': ValueError$"),
        broken("family", "`family` is 3, and must be 'network' or"),
        broken("flag", "`seeded` is 'no', and must be True or False"),
        broken("one_text", "`libraries` is 'numpy', and must be a tuple"),
        broken("not_there", "'nosuch' is not installed, so no run can record its version"),
        broken("listed", "`presets` is .*, and must be a dict of dicts"),
        broken("preset", r"the preset 'a:b/../ü\\n' may hold letters"),
        broken("../x", "its name may hold letters"),
        broken("params", "Parameters have defaults"),
        broken("nowhere", r"that __init__ takes': .* must return a dict of parameters, got None"),
        broken("sparse", "that __init__ takes': .* suggests 'depth', known: stages, pause"),
        broken("wide", "that __init__ takes': .* 'stages' .* which a run's record can't hold"),
        broken("pointless", "default_point must be a dict"),
        broken("wasteful", "scores the same with train.auxiliary and without"),
        broken("needy", "fitted without too': AttributeError"),
        broken("nosy", "unobserved labels reach the model"),
    ],
)
def test_each_broken_rule_is_named(name, message, tmp_path):
    scope: dict = {"__name__": "tiny_plugins"}
    exec(TINY, scope)
    with pytest.raises(PluginError, match=message):
        list(check_model(_breakers(scope["Guess"], tmp_path / "abroad")[name]))


def raises(error):
    raise error


def _breakers(Guess, abroad):
    def fit_with(change):
        def fit(self, train, stop, *, seed, report=None):
            return change(self, train, stop, seed, report)

        return fit

    def scores_with(change):
        return {"predict_proba": lambda self, X: change(Guess.predict_proba(self, X))}

    def late(change):
        """Break predict_proba only after fit, whose history needs it whole."""

        def predict(self, X):
            scores = Guess.predict_proba(self, X)
            return change(scores) if getattr(self, "done_", False) else scores

        def fit(self, train, stop, *, seed, report=None):
            self.done_ = False
            history = Guess.fit(self, train, stop, seed=seed, report=report)
            self.done_ = True
            return history

        return {"predict_proba": predict, "fit": fit}

    def unseeded(self, train, stop, seed, report):
        return Guess.fit(self, train, stop, seed=np.random.SeedSequence().entropy, report=report)

    def peeks(self, train, stop, seed, report):
        history = Guess.fit(self, train, stop, seed=seed, report=report)
        self.weight_ = self.weight_ + train.y_true.mean()
        return history

    def quiet(self, train, stop, seed, report):
        return Guess.fit(self, train, stop, seed=seed)

    def deaf(self, train, stop, seed, report):
        return Guess.fit(
            self, train, stop, seed=seed, report=lambda s: report and report(s) and False
        )

    def forget(self, folder):
        self.weight_ = np.zeros((16, 20))

    def pickles(self, folder):
        (folder / "model.bin").write_bytes(b"\x80\x04.")

    def saves(write, read):
        return {
            "save": lambda self, folder: write(folder, self.weight_),
            "load": lambda self, folder: setattr(self, "weight_", read(folder)),
        }

    def whole_path(folder, weight):
        np.save(folder / "weight.npy", weight)
        (folder / "where").write_text(f"{folder / 'weight.npy'}")

    def before(change):
        def fit(self, train, stop, seed, report):
            change(train)
            return Guess.fit(self, train, stop, seed=seed, report=report)

        return {"fit": fit_with(fit)}

    def empties(train):
        train.y_true.flags.writeable = True
        train.y_true[:] = 0

    def recorded(*numbers, unit="epoch", swapped=False):
        def fit(self, train, stop, seed, report):
            history = Guess.fit(self, train, stop, seed=seed)
            history.stages, history.unit = [], History(unit).unit
            parts = (stop, train) if swapped else (train, stop)
            for number in numbers:
                scores = (self.predict_proba(part.X) for part in parts)
                history.record(number, train, stop, *scores, report)
            return history

        return {"fit": fit_with(fit)}

    def unlocks(self, train, stop, seed, report):
        stop.X.flags.writeable = True
        return Guess.fit(self, train, stop, seed=seed, report=report)

    def scribbles(self, train, stop, seed, report):
        train.y_true.flags.writeable = True
        train.y_true[0, 0] = 1
        train.y_true.flags.writeable = False
        return Guess.fit(self, train, stop, seed=seed, report=report)

    def needy(self, train, stop, seed, report):
        history = Guess.fit(self, train, stop, seed=seed, report=report)
        self.weight_ = self.weight_ * train.auxiliary.y_mask.mean()
        return history

    def nosy(self, train, stop, seed, report):
        history = Guess.fit(self, train, stop, seed=seed, report=report)
        if train.auxiliary is not None:
            self.weight_ = self.weight_ + train.auxiliary.y_true.mean()
        return history

    def space(suggested):
        return {"search_space": staticmethod(lambda trial: suggested)}

    bodies = {
        "zero": saves(
            lambda folder, w: (folder / "w").write_bytes(pickle.dumps(w, protocol=0)),
            lambda folder: pickle.loads((folder / "w").read_bytes()),
        ),
        "packed": saves(
            lambda folder, w: (folder / "w").write_bytes(gzip.compress(pickle.dumps(w))),
            lambda folder: pickle.loads(gzip.decompress((folder / "w").read_bytes())),
        ),
        "objects": saves(
            lambda folder, w: np.save(folder / "w.npy", np.array({"w": w}, dtype=object)),
            lambda folder: np.load(folder / "w.npy", allow_pickle=True).item()["w"],
        ),
        "abroad": saves(
            lambda folder, w: abroad.write_text(json.dumps(w.tolist())),
            lambda folder: np.array(json.loads(abroad.read_text())),
        ),
        "whole_path": saves(whole_path, lambda folder: np.load((folder / "where").read_text())),
        "swaps": recorded(1, swapped=True),
        "nothing": scores_with(lambda s: None),
        "masked": scores_with(np.ma.masked_array),
        "things": scores_with(lambda s: s.astype(object)),
        "worded": recorded("1"),
        "falls": recorded(2, 1),
        "unitless": recorded(1, unit=None),
        "writes": before(lambda train: train.X.fill(0)),
        "empties": before(empties),
        "regroups": before(lambda train: train.groups.fill("one")),
        "replaces": before(lambda train: setattr(train, "X", train.X + 1)),
        "dice": scores_with(lambda s: s * np.float32(np.random.default_rng().random())),
        "lines": before(lambda train: raises(ValueError("in\ntwo\nlines"))),
        "wordless": before(lambda train: raises(ValueError)),
        "family": {"family": 3},
        "flag": {"seeded": "no"},
        "one_text": {"libraries": "numpy"},
        "not_there": {"libraries": ("nosuch",)},
        "listed": {"presets": ["deep"]},
        "preset": {"presets": {"a:b/../ü\n": {}}},
        "../x": {},
        "nowhere": space(None),
        "sparse": space({"depth": 3}),
        "wide": space({"stages": {3}}),
        "pointless": {"default_point": None},
        "wasteful": {"uses_auxiliary": True},
        "needy": {"uses_auxiliary": True, "fit": fit_with(needy)},
        "nosy": {"uses_auxiliary": True, "fit": fit_with(nosy)},
        "shape": late(lambda s: s[:, :3]),
        "nan": late(lambda s: s * np.float32("nan")),
        "range": late(lambda s: s * np.float32(3)),
        "history": {"fit": fit_with(lambda *a: None)},
        "unseeded": {"fit": fit_with(unseeded)},
        "ignores": {"fit": fit_with(lambda m, t, s, _, r: Guess.fit(m, t, s, seed=0, report=r))},
        "peeks": {"fit": fit_with(peeks)},
        "endless": {"fit": fit_with(deaf)},
        "no_report": {"fit": fit_with(quiet)},
        "batch": scores_with(lambda s: s / s.max()),
        "forgets": {"load": forget},
        "pickles": {"save": pickles},
        "links": {"save": lambda self, folder: (folder / "elsewhere").symlink_to("/etc/hostname")},
        "pipes": {"save": lambda self, folder: os.mkfifo(folder / "pipe")},
        "unlocks": {"fit": fit_with(unlocks)},
        "scribbles": {"fit": fit_with(scribbles)},
        "params": {"__init__": lambda self, depth=3: Guess.__init__(self, stages=depth)},
    }
    return {name: type(name, (Guess,), {"name": name, **body}) for name, body in bodies.items()}


def test_what_is_kept_in_the_process_is_not_saved(tmp_path, monkeypatch):
    kept = (
        "    def save(self, folder):\n        {0} = self.weight_\n\n"
        "    def load(self, folder):\n        self.weight_ = {0}\n\n"
    )
    places = {"on_class": "type(self).kept", "in_module": "MADE['kept']"}
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, place in places.items():
        text = TINY.replace("    def save(", "    def saved(").replace(
            "    def load(", "    def loaded("
        )
        text = text.replace("class Guess(", "MADE = {}\n\n\nclass Guess(")
        text = text.replace("    def saved(", kept.format(place) + "    def saved(", 1)
        (tmp_path / f"keeps_{name}.py").write_text(text)
        cls = importlib.import_module(f"keeps_{name}").Guess
        with pytest.raises(PluginError, match="A saved and loaded model .* 'kept'"):
            list(check_model(cls))


def test_a_model_without_a_docstring():
    cls = type("Silent", (registry.models().get("constant").__base__,), {"name": "silent"})
    with pytest.raises(PluginError, match="class Silent has no docstring"):
        list(check_model(cls))


def files(**texts):
    """Make a registry of modules with these texts, as of the files in ``models/``."""
    found = registry.Registry("model", Model)
    for name, text in texts.items():
        module = ModuleType(f"models.{name}")
        found.attempt(module.__name__, lambda: exec(text, vars(module)))  # noqa: B023
        found.add_module(module)
    return found


MINE = "from models.constant import Constant\n\n\nclass Mine(Constant):\n    name = {!r}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise ValueError('in\\ntwo')", r"ValueError: in two \(in models\.mine\)"),
        ("raise ValueError", r"ValueError \(in models\.mine\)"),
        ("class Mine:\n    name = 'mine'\n", r"no subclass of Model \(in models\.mine\)"),
        (
            MINE.format("other"),
            r"only models of other names: 'other' \(in models\.mine",
        ),
        (MINE.format("a/b"), r"its name may hold letters.* \(in models\.mine:Mine\)"),
        (MINE.format("first"), r"have the name 'first'; .* \(in models\.mine:Mine\)"),
    ],
)
def test_a_file_that_gives_no_model_of_its_name_says_why(text, said):
    found = files(first=MINE.format("first"), mine=text)
    with pytest.raises(PluginError, match=f"model 'mine' can't be used: .*{said}"):
        found.get("mine")


def test_model_without_a_name():
    with pytest.raises(PluginError, match="has no `name`"):
        list(check_model(type("Nameless", (Model,), {})))


def test_unknown_preset_and_parameter_have_advice():
    cls = registry.models().get("cnn")
    with pytest.raises(UnknownNameError, match="Did you mean 'published'"):
        cls.from_params("publishd")
    with pytest.raises(UnknownNameError, match="Did you mean 'dropout'"):
        cls.from_params(dropot=0.1)


def make_dataset(**changes):
    part = make_part(8, 0)
    fields = {
        "name": "made",
        "X": part.X,
        "y_true": part.y_true,
        "y_mask": part.y_mask,
        "keys": np.array([f"k{i}" for i in range(8)]),
        "groups": np.array([f"g{i}" for i in range(8)]),
        "partition": np.array(["train"] * 5 + ["test"] * 3),
        "citation": "-",
        "licence": "-",
    }
    return Dataset(**{**fields, **changes})


X, Y, M = make_part(8, 0).X, make_part(8, 0).y_true, make_part(8, 0).y_mask
ON = np.ones_like(M)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"X": X[:, 0]}, "X must have shape"),
        ({"X": X.astype(np.int64)}, "X must be uint8 or float32, got int64"),
        ({"X": np.full(X.shape, np.nan, np.float32)}, "NaN or infinite values, first in clip 'k0'"),
        ({"y_true": Y[:5]}, r"y_true must have shape \(8, 20\)"),
        ({"y_mask": M.astype(np.int8)}, "y_mask must be bool"),
        ({"y_true": np.full_like(Y, np.nan), "y_mask": ON}, "y_true holds NaN"),
        ({"y_true": Y + 1, "y_mask": ON}, r"relevance outside \[0, 1\]"),
        ({"attributes": {"genre": np.arange(8)}}, "attribute 'genre' must be an array of str"),
        ({"attributes": {"genre": np.array(["a"] * 7)}}, r"of shape \(8,\), got <U1 of shape"),
        ({"attributes": {" ": np.array(["a"] * 8)}}, "an attribute's name must be text"),
        ({"keys": np.array(["k"] * 8)}, "duplicate key 'k'"),
        ({"keys": np.arange(8)}, "keys must be an array of str"),
        ({"groups": np.array(["g"] * 8)}, r"1 group\(s\) are in both partitions, first 'g'"),
        ({"partition": np.array(["valid"] * 8)}, "got 'valid'"),
        ({"partition": np.array(["train"] * 8)}, "the test partition is empty"),
        ({"classes": ("a",) * 20}, "a name twice"),
        ({"classes": tuple(range(20))}, "classes must be a tuple of text"),
        ({"classes": None}, "classes must be a tuple of text"),
        ({"name": None}, "name must be text, got None"),
        ({"split": None}, "split must be text, got None"),
        ({"licence": 3}, "licence must be text, got 3"),
        ({"X": X.tolist()}, "X must be a NumPy array without a mask, got list"),
        ({"X": np.ma.masked_array(X)}, "X must be a NumPy array without a mask, got MaskedArray"),
        ({"attributes": ["a"]}, "attributes must be a mapping, got list"),
        ({"auxiliary": 3}, "auxiliary must be an Auxiliary, got int"),
    ],
)
def test_dataset_refuses(changes, message):
    with pytest.raises(DataError, match=message):
        make_dataset(**changes)


A = make_auxiliary(6, 1)


def with_groups(*groups):
    return replace(A, groups=np.array(groups))


@pytest.mark.parametrize(
    ("auxiliary", "message"),
    [
        (replace(A, X=A.X[:, 0]), "auxiliary clips: X must have shape"),
        (replace(A, X=A.X[:, :9]), r"must have the frames and features of X, \(10, 16\), got \(9"),
        (replace(A, X=A.X.astype(np.float32)), "must have the type of X, uint8, got float32"),
        (replace(A, y_mask=A.y_mask[:, :2]), r"auxiliary clips: y_mask must have shape \(6, 3\)"),
        (with_groups("a", "b", "c", "d", "e"), r"auxiliary clips: groups must have shape \(6,\)"),
        (with_groups("a", "b", "c", "d", "g7", "g6"), r"2 test group\(s\) have .* first 'g6'"),
    ],
)
def test_dataset_refuses_auxiliary_clips(auxiliary, message):
    with pytest.raises(DataError, match=message):
        make_dataset(auxiliary=auxiliary)


def test_auxiliary_clips_are_checked_hashed_and_immutable():
    plain, data = make_dataset(), make_dataset(auxiliary=A)
    assert (
        len({d.fingerprint for d in (plain, data, make_dataset(auxiliary=make_auxiliary(6, 2)))})
        == 3
    )
    hidden = replace(A, y_true=np.where(A.y_mask, A.y_true, np.float32(0.5)))
    assert make_dataset(auxiliary=hidden).fingerprint == data.fingerprint
    with pytest.raises(ValueError, match="read-only"):
        data.auxiliary.X[0] = 0
    assert "6 clips of 3 classes" in repr(data) and "auxiliary" not in repr(plain)


def test_dataset_hides_unobserved_labels_and_is_immutable():
    data = make_dataset()
    hidden = np.where(M, Y, np.float32(0.5))
    assert make_dataset(y_true=hidden).fingerprint == data.fingerprint
    assert (make_dataset(y_true=hidden).y_true[~M] == 0).all()
    with pytest.raises(ValueError, match="read-only"):
        data.X[0] = 0
    with pytest.raises(AttributeError):
        data.name = "other"
    assert replace(data, keys=data.keys[::-1]).fingerprint != data.fingerprint


def test_attributes_are_no_part_of_the_fingerprint_and_immutable():
    genre = np.array(["folk", ""] * 4)
    dataset = make_dataset(attributes={"genre": genre})
    assert dataset.fingerprint == make_dataset().fingerprint
    genre[0] = "jazz"
    assert dataset.attributes["genre"].tolist() == ["folk", ""] * 4
    with pytest.raises(ValueError, match="read-only"):
        dataset.attributes["genre"][0] = "jazz"
