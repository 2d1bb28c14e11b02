"""What a parameter may be is declared beside its default, and everything else is refused."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
import pytest
from conftest import TINY, Command, along
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import RidgeClassifier

from benchmark.bases.network import NeuralNetwork
from benchmark.bases.per_class import BinaryRelevance
from benchmark.contracts.dataset import Part
from benchmark.contracts.model import Model
from benchmark.contracts.parameters import Count, Share, Within, declared
from benchmark.errors import ParameterError, PluginError, UnknownNameError
from benchmark.plugins import registry
from benchmark.plugins.checks import check_model, make_part

POOLING = "'mean', 'mean_std', 'mean_max', 'mean_std_max' or 'all'"
REFUSED = [
    ("constant", "strategy", "garbage", "'prior' or 'yes'"),
    ("constant", "strategy", "", "'prior' or 'yes'"),
    ("constant", "strategy", None, "'prior' or 'yes'"),
    ("constant", "strategy", [], "'prior' or 'yes'"),
    ("xgboost", "learning_rate", 0, "a number in (0, 1]"),
    ("xgboost", "learning_rate", float("nan"), "a number in (0, 1]"),
    ("xgboost", "colsample_bytree", 0, "a number in (0, 1]"),
    ("xgboost", "patience", -1, "a whole number in [1, inf)"),
    ("xgboost", "stop_on", None, "'loss', 'mAP' or 'none'"),
    ("xgboost", "n_rounds", 0, "a whole number in [1, inf)"),
    ("xgboost", "n_rounds", -1, "a whole number in [1, inf)"),
    ("xgboost", "n_rounds", 2.5, "a whole number in [1, inf)"),
    ("xgboost", "pooling", "median", POOLING),
    ("random_forest", "n_estimators", True, "a whole number in [1, inf)"),
    ("random_forest", "max_features", "all", "'sqrt', 'log2' or a number in (0, 1]"),
    ("logistic_regression", "C", True, "a number in (0, inf)"),
    ("logistic_regression", "C", "0.1", "a number in (0, inf)"),
    ("hist_gradient_boosting", "max_leaf_nodes", 1, "a whole number in [2, inf)"),
    ("cnn", "filters", [], "a list of at least one entry, each a whole number in [1, inf)"),
    ("cnn", "filters", 0, "a list of at least one entry, each a whole number in [1, inf)"),
    ("cnn", "filters", [64, 0], "a list of at least one entry, each a whole number in [1, inf)"),
    ("cnn", "filters", "64", "a list of at least one entry, each a whole number in [1, inf)"),
    ("cnn", "kind", "3d", "'1d' or '2d'"),
    ("cnn", "epochs", 0, "a whole number in [1, inf)"),
    ("cnn", "batch_size", 0, "a whole number in [1, inf)"),
    ("cnn", "batch_size", -4, "a whole number in [1, inf)"),
    ("cnn", "time_roll", 1, "true or false"),
    ("cnn", "stop_at", 0, "a whole number in [1, inf) or null (None)"),
    ("attention", "dropout", 1.0, "a number in [0, 1)"),
    ("attention", "optimizer", "sgd", "'adam', 'nadam' or 'rmsprop'"),
]


@pytest.mark.parametrize(("model", "name", "value", "allowed"), REFUSED)
def test_a_value_out_of_range_is_refused_with_what_is_allowed(model, name, value, allowed):
    with pytest.raises(ParameterError) as refused:
        registry.models().get(model).from_params(**{name: value})
    sentence = f"parameter {name!r} of model {model!r} must be {allowed}, got {value!r}"
    assert str(refused.value) == sentence


def test_the_command_refuses_before_it_loads_data(polytimbre: Command):
    out = polytimbre(
        "run", "--dataset", "openmic2018", "--model", "xgboost", "--param", "n_rounds=0", code=2
    )
    assert "parameter 'n_rounds' of model 'xgboost' must be a whole number in [1, inf)" in out


@pytest.mark.parametrize("name", along(registry.models()))
def test_every_parameter_of_ours_is_declared(name):
    for parameter, allowed in declared(registry.models().get(name)).items():
        assert object not in allowed.kinds, parameter


def test_a_whole_number_is_a_float_where_one_is_meant():
    """So that 1 and 1.0 are one run."""
    model = registry.models().get("random_forest").from_params(max_features=1)
    assert type(model.max_features) is float
    assert type(model.from_params(n_estimators=1).n_estimators) is int


@given(st.floats(-5, 5), st.integers(-3, 3), st.integers(-3, 3), st.sampled_from(["()", "[]"]))
def test_intervals(value, low, high, marks):
    text = f"{marks[0]}{low}, {high}{marks[1]}"
    if low >= high:
        with pytest.raises(PluginError, match="is no interval"):
            Within(text)
        return
    inside = low <= value <= high if marks == "[]" else low < value < high
    assert (value in Within(text)) == inside
    assert [*Within(text).limits()] == ([low, high] if marks == "[]" else [])


@pytest.mark.parametrize("text", ["", "1", "(1", "(1)", "(a, 2]", "0, 1", "[2, 1]"])
def test_what_is_no_interval_is_refused(text):
    with pytest.raises(PluginError, match="is no interval"):
        Within(text)


class Bare(Model):
    """A model that does nothing, for its parameters."""

    name = "bare"
    fit = predict_proba = save = load = lambda self, *args: None


def bare(init):
    return type("Made", (Bare,), {"__init__": init})


def test_what_cannot_be_recorded_is_said_when_a_run_is_asked_for():
    def keywords(self, **kw):
        self.kw = kw

    def renamed(self, depth: int = 3):
        self.n = depth

    def single(self, rate=np.float32(0.1)):  # noqa: B008
        self.rate = rate

    def endless(self, rate=float("inf")):
        self.rate = rate

    for init, message in (
        (keywords, r"__init__ takes '\*\*kw'; name each parameter"),
        (renamed, "must keep the parameter 'depth' as self.depth"),
        (single, r"parameter 'rate' of model 'bare' is np.float32\(0.1\), which a run's record"),
        (endless, "parameter 'rate' of model 'bare' is inf, which a run's record can't hold"),
    ):
        with pytest.raises(PluginError, match=message):
            bare(init).from_params()


def test_without_annotations_anything_that_fits_into_json_is_allowed():
    def plain(self, depth=3, names=None):
        self.depth, self.names = depth, names

    assert bare(plain).from_params(depth="deep", names=[]).get_params() == {
        "depth": "deep",
        "names": [],
    }
    assert Bare.from_params().get_params() == {}


def test_a_network_needs_no_decorator():
    class Mine(NeuralNetwork):
        name = "mine"
        units: Count = 8
        sizes: Sequence[Annotated[float, Within("[0, 2]")]] = (1.0,)
        kind: Literal["a", "b"] | None = None

        def layers(self, inputs, n_classes):
            """Return nothing."""

    class Wider(Mine):
        name = "wider"
        units: Count = 16
        more: Share = 0.5

    assert Mine.from_params(units=4, epochs=2).units == 4
    assert Wider.from_params(more=0).get_params()["units"] == 16
    assert Wider.from_params(sizes=[1, 2]).sizes == [1.0, 2.0]
    with pytest.raises(ParameterError, match="'kind' of model 'wider' must be 'a', 'b' or null"):
        Wider.from_params(kind="c")
    with pytest.raises(UnknownNameError, match="Did you mean 'units'"):
        Mine.from_params(unit=4)


QUICK = {
    "cnn": {"filters": [4], "dense": 4, "epochs": 1},
    "cnn_pretrained": {"filters": [4], "dense": 4, "epochs": 1},
    "probe": {"hidden": [4], "epochs": 1},
    "attention": {"units": 4, "embedding": 1, "epochs": 1},
    "random_forest": {"n_estimators": 2, "max_depth": 2},
    "hist_gradient_boosting": {"max_iter": 1},
    "xgboost": {"n_rounds": 1, "max_depth": 1},
}


@pytest.mark.usefixtures("quick_compiler")
@pytest.mark.parametrize("name", registry.models().names())
def test_hundreds_of_classes_survive_saving(name, tmp_path):
    """What `check` tries with 1, 2, 5 and 120 classes; of 527, few are observed, to be quick."""
    classes = tuple(f"class {i}" for i in range(527))
    train, stop, new = (make_part(24, seed, 2, 4, classes) for seed in (1, 2, 3))
    observed = train.y_mask & np.isin(np.arange(527), [3, 26, 99, 100, 126, 400, 526])
    train = replace(train, y_mask=observed)
    cls = registry.models().get(name)
    model = cls.from_params(**QUICK.get(name, {}))
    model.fit(train, stop, seed=1)
    scores = model.predict_proba(new.X)
    assert scores.shape == (24, 527)
    model.save(tmp_path)
    loaded = cls.from_params(**QUICK.get(name, {}))
    loaded.load(tmp_path)
    np.testing.assert_array_equal(loaded.predict_proba(new.X), scores)


def test_attention_on_one_frame_has_nothing_to_attend_to(recwarn):
    part = make_part(24, 1, n_frames=1, n_features=4)
    model = registry.models().get("attention").from_params(**QUICK["attention"])
    model.fit(part, part, seed=1)
    assert model.predict_proba(part.X).shape == (24, 20)
    assert not [w for w in recwarn if "axis" in str(w.message)]


class Half:
    """An estimator that scikit-learn does not define."""

    def fit(self, X, y):
        """Keep the share of positives."""
        self.share = float(y.mean())

    def predict_proba(self, X):
        """Return it for every clip."""
        return np.full((len(X), 2), self.share)


class Foreign(BinaryRelevance):
    """Another library's estimator, without a format of its own."""

    name = "foreign"
    seeded = False

    def __init__(self, pooling: Literal["mean"] = "mean") -> None:
        self.pooling = pooling

    def estimator(self, seed):
        """Return the estimator."""
        return Half()


class Stored(Foreign):
    """The same one, with a format."""

    name = "stored"
    suffix = ".txt"

    def save_estimator(self, estimator, path):
        """Write one number."""
        path.write_text(repr(estimator.share))

    def load_estimator(self, path):
        """Read it."""
        estimator = Half()
        estimator.share = float(path.read_text())
        return estimator


def test_an_estimator_outside_scikit_learn_brings_its_format(tmp_path):
    part: Part = make_part(24, 1)
    model = Foreign()
    model.fit(part, part, seed=1)
    with pytest.raises(PluginError, match=r"hold test_parameters\.Half.*override `suffix`"):
        model.save(tmp_path)
    rules = [*check_model(Stored)]
    assert rules[-1].startswith("`libraries` names")


class Unpooled(Foreign):
    """One that does not say how frames become a vector."""

    name = "unpooled"

    def __init__(self) -> None:
        pass


def test_an_estimator_a_class_without_pooling_is_told_to_declare_it():
    with pytest.raises(PluginError, match=r"needs `pooling`: take it in __init__"):
        list(check_model(Unpooled))


class Unscored(BinaryRelevance):
    """A linear classifier that gives no probabilities."""

    name = "unscored"
    libraries = ("scikit-learn",)
    seeded = False

    def __init__(self, pooling: str = "mean") -> None:
        self.pooling = pooling

    def estimator(self, seed):
        return RidgeClassifier()


def test_an_estimator_without_probabilities_is_told_where_scores_come_from():
    with pytest.raises(PluginError, match=r"predict_proba'?: say in `score\(estimator, X\)`"):
        list(check_model(Unscored))


@pytest.fixture
def tiny():
    scope = {"__name__": "tiny_plugins"}
    exec(TINY, scope)
    return scope["Guess"]


def exits(self, *args, **kw):
    sys.exit(0)


def exits_at_once(self):
    sys.exit(0)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"fit": exits}, "broke the rule 'Fit returns a History.*SystemExit: 0"),
        ({"save": exits}, "broke the rule 'A saved and loaded model.*SystemExit: 0"),
        ({"__init__": exits_at_once}, "broke the rule 'Parameters have defaults.*SystemExit: 0"),
    ],
)
def test_a_plugin_that_ends_the_process_breaks_the_rule_that_is_checked(tiny, body, message):
    with pytest.raises(PluginError, match=message):
        list(check_model(type("Exits", (tiny,), {"name": "exits", **body})))


def test_a_limit_that_cannot_be_fitted_is_named(tiny):
    def init(self, stages: Annotated[int, Within("[0, 9]")] = 3, pause=0.0):
        self.stages, self.pause = stages, pause

    def fit(self, train, stop, *, seed, report=None):
        if self.stages == 9:
            raise ValueError("too many")
        return tiny.fit(self, train, stop, seed=seed, report=report)

    with pytest.raises(PluginError, match=r"stages=9 is declared as allowed, but gives ValueError"):
        list(check_model(type("Limit", (tiny,), {"name": "limit", "__init__": init, "fit": fit})))


def test_a_library_that_is_not_declared_is_named(tmp_path, monkeypatch):
    text = TINY.replace('    name = "guess"\n', '    name = "guess"\n    libraries = {}\n')
    text = text.replace("shape = train", "import sklearn.utils\n        shape = train", 1)
    for name, libraries in (("undeclared", "()"), ("declared", "('Scikit_Learn',)")):
        (tmp_path / f"{name}.py").write_text(text.replace("{}", libraries, 1))
    monkeypatch.syspath_prepend(str(tmp_path))
    import declared as good
    import undeclared as bad

    assert len([*check_model(good.Guess)]) == 15
    with pytest.raises(PluginError, match="imports sklearn, so libraries needs 'scikit-learn'"):
        list(check_model(bad.Guess))
