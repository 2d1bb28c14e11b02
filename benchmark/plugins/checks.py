"""The contract tests: what every plugin has to hold to, with a message for every rule.

A plugin author runs ``polytimbre check NAME``, or :func:`check_model` on the class in a test
of their own. The project's tests run them over everything that is registered.
"""

import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from dataclasses import FrozenInstanceError, replace
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from importlib.util import module_from_spec
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.bases.per_class import BinaryRelevance
from benchmark.contracts import parameters
from benchmark.contracts.dataset import CLASSES, Auxiliary, DatasetPlugin, Part
from benchmark.contracts.model import History, Model, check_array
from benchmark.datasets.reading.embedded import read_features
from benchmark.errors import PluginError, UnknownNameError, told
from benchmark.plugins import loading, registry
from benchmark.plugins.identity import imported_libraries
from benchmark.plugins.rules import BrokenRule, Rule, Rules
from benchmark.protocol import PARTS, divide

#: What a model is given of clips.
ARRAYS = ("X", "y_true", "y_mask", "groups")

#: What `family` may be.
FAMILIES = ("network", "trees", "linear", "baseline", "other")


def check_scores(name: str, scores: Any, shape: tuple[int, int]) -> None:
    """Check what `predict_proba` returned.

    Raises
    ------
    PluginError
        With the rule that was broken.
    """

    def fail(problem: str) -> None:
        raise PluginError(f"model {name!r}: predict_proba {problem}")

    check_array(f"model {name!r}: predict_proba must return", scores, shape)
    if scores.dtype != np.float32:
        fail(f"must return float32, got {scores.dtype}")
    if np.isnan(scores).any():
        fail("returned NaN")
    if scores.min() < 0 or scores.max() > 1:
        fail(f"must return values in [0, 1], got {scores.min():g} to {scores.max():g}")


def suggest(cls: type[Model], trial: Any) -> dict[str, Any]:
    """Return what a model's `search_space` suggests for a trial.

    Raises
    ------
    PluginError
        Where it raises, or suggests what can't be the model's parameters.
    """
    whose = f"model {cls.name!r}: search_space"
    if not isinstance(cls.default_point, Mapping):
        raise PluginError(f"model {cls.name!r}: default_point must be a dict, as {{}} is")
    try:
        suggested = cls.search_space(trial)
    except (Exception, SystemExit) as error:
        raise PluginError(f"{whose} raised {told(error)}") from error
    if not isinstance(suggested, dict):
        raise PluginError(f"{whose} must return a dict of parameters, got {suggested!r}")
    known = cls.param_names()
    for name, value in suggested.items():
        if name not in known:
            raise PluginError(f"{whose} suggests {name!r}, known: {', '.join(known) or 'none'}")
        parameters.check(cls, name, parameters.Allowed(), value)  # that a record can hold it
    return suggested


def make_part(
    n_clips: int,
    seed: int,
    n_frames: int = 10,
    n_features: int = 16,
    classes: tuple[str, ...] = CLASSES,
) -> Part:
    """Make clips whose features tell something about their labels.

    Where there are more than two, the first class is never observed and the second always
    present, as happens in real data. Arrays are read-only: a model may not change what it is
    given.
    """
    rng = np.random.default_rng(seed)
    y_true = (rng.random((n_clips, len(classes))) < 0.4).astype(np.float32)
    y_mask = rng.random(y_true.shape) < 0.6
    if len(classes) > 2:
        y_mask[:, 0], y_true[:, 1] = False, 1.0
    pattern = np.random.default_rng(0).normal(size=(len(classes), n_features))
    X = (y_true @ pattern)[:, None, :] + rng.normal(size=(n_clips, n_frames, n_features))
    X = np.clip(128 + 20 * X, 0, 255).astype(np.uint8)
    y_true = np.where(y_mask, y_true, np.float32(0))
    groups = np.array([f"group {i // 2}" for i in range(n_clips)])
    return _freeze(Part(X=X, y_true=y_true, y_mask=y_mask, groups=groups, classes=classes))


def make_auxiliary(n_clips: int, seed: int) -> Auxiliary:
    """Make auxiliary clips of three classes, beside those of :func:`make_part`."""
    part = make_part(n_clips, seed, classes=("a", "b", "c"))
    labels = {"y_true": part.y_true, "y_mask": part.y_mask, "classes": part.classes}
    groups = np.array([f"auxiliary {i}" for i in range(n_clips)])
    return _freeze(Auxiliary(X=part.X, groups=groups, **labels))


def _freeze(part: Part) -> Part:
    for name in ARRAYS:
        getattr(part, name).flags.writeable = False
    return part


def check_model(cls: type[Model]) -> Iterator[str]:
    """Hold a model class against the contract.

    Parameters
    ----------
    cls : subclass of Model

    Yields
    ------
    str
        Each rule that holds, as it is checked.

    Raises
    ------
    PluginError
        On the first rule that doesn't, named.
    """
    if not isinstance(cls, type):
        raise PluginError(f"what is checked must be a model's class, got {cls!r}")
    if not isinstance(getattr(cls, "name", None), str) or not cls.name:
        raise PluginError(f"model class {cls.__name__} has no `name`")
    rules = _Rules(cls)
    yield from rules.check(
        rules.declared,
        rules.parameters,
        rules.search_space,
        rules.fit_returns_history,
        rules.scores,
        rules.same_scores,
        rules.data_kept,
        rules.clips_apart,
        rules.save_and_load,
        rules.hidden_labels,
        *((rules.auxiliary,) if cls.uses_auxiliary else ()),
        rules.early_stop,
        rules.seed,
        rules.numbers_of_classes,
        rules.limits,
        rules.libraries,
    )


def report_model(name: str, report: Callable[[str], Any]) -> None:
    """Hold a registered model against the contract, and report each rule that holds."""
    for rule in check_model(registry.models().get(name)):
        report(rule)


class _Rules(Rules):
    """The rules for one model class; the sentence of each is its docstring."""

    kind = "model"

    def __init__(self, cls: type[Model]) -> None:
        super().__init__(cls)
        self.train, self.stop, self.new = make_part(80, 1), make_part(40, 2), make_part(30, 3)
        if cls.uses_auxiliary:
            self.train = replace(self.train, auxiliary=make_auxiliary(60, 4))
        self.reported: list[Any] = []

    def _fit(self, train: Part, seed: int = 1, report: Any = None) -> tuple[Model, Any]:
        model = self.cls()
        return model, model.fit(train, self.stop, seed=seed, report=report)

    def explained(self, rule: Rule, error: BaseException) -> BrokenRule:
        """Blame what was done to the data, if anything was, for what came of it."""
        try:
            self.data_kept()
        except BrokenRule as changed:
            return changed
        writes = isinstance(error, ValueError) and "read-only" in str(error)
        if writes or isinstance(error, FrozenInstanceError):
            return self.broken(self.data_kept, f"{told(error)}; work on a copy")
        if isinstance(error, AttributeError) and error.name == "predict_proba":
            hint = "say in `score(estimator, X)` what its scores are, in [0, 1]"
            return self.broken(rule, f"{told(error)}: {hint}")
        return super().explained(rule, error)

    def declared(self) -> None:
        """What a model is and needs is declared: name, docstring, family, libraries, presets."""
        cls, rule = self.cls, self.declared
        self.require(not registry.misnamed(cls.name), rule, f"its name may hold {registry.NAME}")
        documented = next(one for one in cls.__mro__ if one.__doc__)
        own = documented.__module__.partition(".")[0] != "benchmark"
        self.require(own, rule, f"class {cls.__name__} has no docstring, which `list models` shows")
        families = " or ".join(map(repr, FAMILIES))
        self.require(
            cls.family in FAMILIES, rule, f"`family` is {cls.family!r}, and must be {families}"
        )
        for flag in ("seeded", "uses_auxiliary"):
            value = getattr(cls, flag)
            instead = f"`{flag}` is {value!r}, and must be True or False"
            self.require(isinstance(value, bool), rule, instead)
        several = isinstance(cls.libraries, tuple | list)
        named = several and all(isinstance(name, str) for name in cls.libraries)
        instead = f'`libraries` is {cls.libraries!r}, and must be a tuple, as ("scikit-learn",) is'
        self.require(named, rule, instead)
        whole = isinstance(cls.presets, Mapping) and all(
            isinstance(name, str) and name and isinstance(params, Mapping)
            for name, params in cls.presets.items()
        )
        instead = f"`presets` is {cls.presets!r}, and must be a dict of dicts of parameters"
        self.require(whole, rule, instead)
        for name in cls.presets:
            instead = f"the name of the preset {name!r} may hold {registry.NAME}"
            self.require(not registry.misnamed(name), rule, instead)

    def parameters(self) -> None:
        """Parameters have defaults, are stored under their names and fit into JSON."""
        params = self.cls.from_params().get_params()
        if issubclass(self.cls, BinaryRelevance):
            instead = "BinaryRelevance needs `pooling`: take it in __init__, as in pooling='mean', "
            instead += "and keep it as self.pooling"
            self.require(hasattr(self.cls(), "pooling"), self.parameters, instead)
        back = json.loads(json.dumps(params))
        self.require(
            self.cls(**back).get_params() == back, self.parameters, f"get_params gives {params}"
        )
        for preset in self.cls.presets:
            self.cls.from_params(preset)

    def search_space(self) -> None:
        """search_space suggests parameters that __init__ takes."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
        for _ in range(64):  # which visits every branch of a usual space
            self.cls.from_params(**suggest(self.cls, study.ask()))

    def fit_returns_history(self) -> None:
        """Fit returns a History and reports each of its stages."""
        self.model, history = self._fit(self.train, report=self.reported.append)
        rule = self.fit_returns_history
        self.require(isinstance(history, History), rule, f"got {type(history).__name__}")
        self.require(bool(history.stages), rule, "the history has no stage")
        self.require(self.reported == history.stages, rule, "report saw other stages")
        numbers = [stage.number for stage in history.stages]
        self.require(history.best in numbers, rule, f"best is {history.best}, of {numbers}")

    def scores(self) -> None:
        """predict_proba returns float32 of shape (n_clips, n_classes) in [0, 1], no NaN."""
        # copied: a model may return a view on memory that it writes its next answer into
        self.expected = copy(self.model.predict_proba(self.new.X))
        check_scores(self.cls.name, self.expected, self.new.y_mask.shape)

    def same_scores(self) -> None:
        """The same clips get the same scores, asked once more or as float32."""
        again = copy(self.model.predict_proba(self.new.X))
        instead = "two calls of predict_proba with the same clips score them differently"
        self.require(np.array_equal(again, self.expected), self.same_scores, instead)
        as_float = self.model.predict_proba(self.new.X.astype(np.float32))
        instead = "uint8 and float32 features of the same values score differently"
        self.require(np.allclose(as_float, self.expected, atol=1e-5), self.same_scores, instead)

    def data_kept(self) -> None:
        """Fit and predict_proba leave the arrays as they are, read-only."""
        given = {"train": self.train, "stop": self.stop, "new": self.new}
        made = {"train": make_part(80, 1), "stop": make_part(40, 2), "new": make_part(30, 3)}
        if self.cls.uses_auxiliary:
            given["auxiliary"], made["auxiliary"] = self.train.auxiliary, make_auxiliary(60, 4)
        for part, array in product(given, ARRAYS):
            found, whole = (getattr(parts[part], array) for parts in (given, made))
            kept = isinstance(found, np.ndarray) and not found.flags.writeable
            kept = kept and np.array_equal(found, whole)
            self.require(kept, self.data_kept, f"{part}.{array} is another, or can be written to")

    def clips_apart(self) -> None:
        """A clip's score does not depend on the clips beside it."""
        alone = self.model.predict_proba(self.new.X[:1])
        instead = f"scores differ by {np.abs(alone - self.expected[:1]).max():g}"
        self.require(np.allclose(alone, self.expected[:1], atol=1e-5), self.clips_apart, instead)

    def save_and_load(self) -> None:
        """A saved and loaded model gives the same bits, and no pickle is written."""
        rule = self.save_and_load
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name, "saved")
            folder.mkdir()
            with loading.opened() as saved:
                self.model.save(folder)
            for path in folder.rglob("*"):
                plain = (path.is_file() or path.is_dir()) and not path.is_symlink()
                self.require(plain, rule, f"{path.name} is neither a file nor a folder")
                pickled = path.is_file() and path.read_bytes()[:1] == b"\x80"
                self.require(not pickled, rule, f"{path.name} looks like a pickle")
            loaded = _imported_anew(self.cls)(**self.model.get_params())
            with loading.opened() as read:  # as on another computer, where nothing else is
                loading.load_model(loaded, folder.rename(folder.with_name("moved")))
            outside = {path for path, writes in saved if writes and (path, False) in read}
            lies = f"load reads {min(outside, default='')}, which save wrote outside its folder"
            self.require(not outside, rule, lies)
            same = np.array_equal(loaded.predict_proba(self.new.X), self.expected)
        self.require(same, rule, "the loaded model scores differently")

    def hidden_labels(self) -> None:
        """The same seed gives the same bits, whatever the unobserved labels are."""
        hidden = _with_hidden_labels(self.train)
        if self.cls.uses_auxiliary:
            hidden = replace(hidden, auxiliary=_with_hidden_labels(hidden.auxiliary))
        other, _ = self._fit(hidden)
        if np.array_equal(other.predict_proba(self.new.X), self.expected):
            return
        again, _ = self._fit(self.train)
        repeats = np.array_equal(again.predict_proba(self.new.X), self.expected)
        instead = (
            "unobserved labels reach the model: use y_true only where y_mask is True"
            if repeats
            else "two fits with one seed differ: derive every random draw from `seed`"
        )
        self.require(False, self.hidden_labels, instead)

    def early_stop(self) -> None:
        """Fit stops where report returns True."""
        self.other, history = self._fit(self.train, seed=2, report=lambda stage: True)
        instead = f"it went on to stage {history.stages[-1].number}"
        self.require(len(history.stages) == 1, self.early_stop, instead)

    def seed(self) -> None:
        """A model that ignores its seed says so with seeded = False, and only then."""
        if len(self.reported) > 1:  # the other fit was stopped early and differs anyway
            self.other = self._fit(self.train, seed=2)[0]
        same = np.array_equal(self.other.predict_proba(self.new.X), self.expected)
        instead = "seeds 1 and 2 give " + ("the same bits" if same else "different bits")
        self.require(same != self.cls.seeded, self.seed, f"{instead}, seeded = {self.cls.seeded}")

    def numbers_of_classes(self) -> None:
        """1, 2, 5 and 120 classes are fitted, and 1 and 120 saved and loaded, alike."""
        for n in (1, 2, 5, 120):
            classes = tuple(f"class {i}" for i in range(n))
            train, stop, new = (make_part(60, seed, classes=classes) for seed in (1, 2, 3))
            model = self.cls()
            model.fit(train, stop, seed=1, report=lambda stage: True)
            scores = model.predict_proba(new.X)
            check_scores(self.cls.name, scores, new.y_mask.shape)
            if n in (2, 5):  # a network is compiled once more for each
                continue
            with tempfile.TemporaryDirectory() as folder:
                model.save(Path(folder))
                loaded = self.cls()
                loading.load_model(loaded, Path(folder))
                same = np.array_equal(loaded.predict_proba(new.X), scores)
            instead = f"with {n} classes the loaded model scores differently"
            self.require(same, self.numbers_of_classes, instead)

    def limits(self) -> None:
        """A fit takes the least and the most that each parameter is declared to be."""
        limits = {name: [*a.limits()] for name, a in parameters.declared(self.cls).items()}
        limits = {name: values for name, values in limits.items() if values}
        least, most = ({name: v[end] for name, v in limits.items()} for end in (0, -1))
        for params in [least] + [most] * (most != least):  # many have no largest value
            try:  # all at once, and one by one only where that fails
                self._fit_stage(params)
            except (Exception, SystemExit):
                for name, value in params.items():
                    self._fit_limit(name, value)

    def _fit_stage(self, params: dict[str, Any]) -> None:
        model = self.cls.from_params(**params)
        model.fit(self.train, self.stop, seed=1, report=lambda stage: True)
        check_scores(self.cls.name, model.predict_proba(self.new.X), self.new.y_mask.shape)

    def _fit_limit(self, name: str, value: Any) -> None:
        try:
            self._fit_stage({name: value})
        except (Exception, SystemExit) as error:
            problem = f"{name}={value!r} is declared as allowed, but gives {error!r}"
            self.require(False, self.limits, problem)

    def libraries(self) -> None:
        """`libraries` names the distribution of each library that the model's code imports."""
        named = {_spelled(name) for name in self.cls.libraries}
        distributions = packages_distributions()
        known = {_spelled(name) for name in distributions}
        missing = ", ".join(map(repr, sorted(n for n in named - known if not _is_installed(n))))
        instead = f"{missing} is not installed, so no run can record its version"
        self.require(not missing, self.libraries, instead)
        for module in sorted(imported_libraries(self.cls) - {"numpy"}):
            owners = distributions.get(module, [module])
            instead = f"it imports {module}, so libraries needs {' or '.join(map(repr, owners))}"
            known = named & {_spelled(name) for name in (module, *owners)}
            self.require(bool(known), self.libraries, instead)

    def auxiliary(self) -> None:
        """A model that says uses_auxiliary learns from such clips, and is fitted without too."""
        model, _ = self._fit(replace(self.train, auxiliary=None))
        scores = model.predict_proba(self.new.X)
        check_scores(self.cls.name, scores, self.new.y_mask.shape)
        instead = "it scores the same with train.auxiliary and without"
        self.require(not np.array_equal(scores, self.expected), self.auxiliary, instead)


def _is_installed(name: str) -> bool:
    try:
        return bool(distribution(name))
    except PackageNotFoundError:
        return False


def _with_hidden_labels(part: Part) -> Part:
    """Return a part whose unobserved labels are all 1."""
    return _freeze(replace(part, y_true=np.where(part.y_mask, part.y_true, np.float32(1))))


def _imported_anew(cls: type) -> type:
    """Return a class as another process has it: nothing is kept on it or in its module.

    One that can't be imported again, as from a notebook, is returned as it is.
    """
    old = sys.modules.get(cls.__module__)
    spec = getattr(old, "__spec__", None)
    if spec is None or getattr(old, cls.__name__, None) is not cls:
        return cls
    new = sys.modules[cls.__module__] = module_from_spec(spec)
    try:
        spec.loader.exec_module(new)
        return getattr(new, cls.__name__)
    except Exception:  # it can't be imported twice in one process
        return cls
    finally:
        sys.modules[cls.__module__] = old


def _spelled(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def check_dataset(plugin: type[DatasetPlugin], root: Path | None) -> Iterator[str]:
    """Hold a data-set plugin against the contract; see :func:`check_model`.

    Parameters
    ----------
    plugin : subclass of DatasetPlugin
    root : Path or None
        Where its data lies; None for an embedded data set.
    """

    def require(holds: bool, instead: str) -> None:
        if not holds:
            raise PluginError(f"data set {getattr(plugin, 'name', plugin)!r}: {instead}")

    if not isinstance(plugin, type):
        raise PluginError(f"what is checked must be a data set's class, got {plugin!r}")
    for name in ("name", "description", "citation", "licence", "splits"):
        require(bool(getattr(plugin, name, None)), f"it has no `{name}`")
    yield "name, description, citation, licence and splits are given"
    data = plugin().load(root, plugin.splits[0])
    require(data.name == plugin.name, f"load gives a data set named {data.name!r}")
    require(data.official, f"its first split {plugin.splits[0]!r} is not marked official")
    yield "the first split is the official one, and loads"
    again = plugin().load(root, plugin.splits[0])
    require(data.fingerprint == again.fingerprint, "two loads give different fingerprints")
    yield "two loads give the same fingerprint"
    try:
        plugin().load(root, "no such split")
    except UnknownNameError:
        yield "an unknown split is refused by name"
    else:
        require(False, "it loads a split that does not exist; raise UnknownNameError")
    rows = divide(data).rows
    require(sum(map(len, rows.values())) == len(data), "the parts do not add up to the data set")
    seen = [set(data.groups[rows[part]].tolist()) for part in PARTS]
    shared = set.union(*seen) if sum(map(len, seen)) > len(set.union(*seen)) else set()
    require(not shared, "a group is in two parts")
    yield "it divides into parts that share no group"
    said = "offers_auxiliary must say whether load gives auxiliary clips"
    require(plugin.offers_auxiliary == (data.auxiliary is not None), said)
    for name, path in plugin.feature_files.items():
        width = read_features(path, data.keys).shape[2]
        wanted = registry.frontends().get(name).n_features
        require(width == wanted, f"{path} has {width} features, the front end {name} {wanted}")
        yield f"its {name} features are there, of these clips and as wide as the front end's"


def report_dataset(name: str, root: Path | None, report: Callable[[str], Any]) -> None:
    """Hold a registered data set against the contract, and report each rule that holds."""
    for rule in check_dataset(registry.datasets().get(name), root):
        report(rule)
