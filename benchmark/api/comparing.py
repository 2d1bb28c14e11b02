"""Compare runs, and scores of one's own, with intervals, tests and ranks."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmark.analysis import comparison
from benchmark.analysis.comparison import Entry
from benchmark.analysis.derivation import Analysis
from benchmark.api.arguments import PLACE, check_arguments
from benchmark.api.running import Run
from benchmark.api.tables import ShownTable, Tables, plot
from benchmark.errors import ProtocolError, UnknownNameError
from benchmark.protocol import PARTS, PROTOCOLS
from benchmark.runs.reading import StoredLabels
from benchmark.runs.record import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from reports.tables.declaration import Results

#: Of the bootstrap, where the number of models does not ask for more.
RESAMPLES = 2000

#: The tables of a comparison, as the report declares them; ranks take three models or more.
TABLES = ("comparison", "tuning", "pairs", "per_class", "ranks")

Scores = Mapping[str, np.ndarray]


def compare(
    *runs: "Run | Iterable[Run]",
    extra: Mapping[str, Scores] | None = None,
    part: str = "test",
    features: str | None = None,
    resamples: int | None = None,
) -> "Result":
    """Compare runs on the same data, division and protocol, best mAP first.

    Runs that differ in nothing but the seed are one model, seeds averaged. Of one model's
    code or libraries the newest is taken. From a collection come the runs that
    ``polytimbre compare`` shows: trained on all of the fit part, under the protocol of the runs
    that are named, or the default one.

    Parameters
    ----------
    *runs : Run, or iterable of Run
        As :func:`run`, :func:`store` and :func:`published` return them.
    extra : dict of str to dict of str to ndarray, optional
        Scores of your own by name: those of ``"select"``, for thresholds, and of `part`, each of
        shape (n_clips, n_classes), or (n_seeds, n_clips, n_classes), in [0, 1]. Rows are in the
        order of ``divide(data).part("select")``, classes in that of ``data.classes``.
    part : {"test", "select", "stop", "fit"}
    features : str, optional
        Runs on these features alone: a name, or a file's, as in ``"musicnn"`` or ``"mert.npz"``.
        By default all runs are compared, and labels say which features each is on.
    resamples : int, optional
        Of the bootstrap. As many as the correction for all pairs takes, at least 2,000, if None.

    Returns
    -------
    Result

    Raises
    ------
    ProtocolError
        If data, division or protocol differ, nothing is left to compare, or `extra` does not
        fit.
    UnknownNameError
        If no run is on `features`.

    Examples
    --------
    >>> import numpy as np
    >>> import polytimbre as pt
    >>> runs = [run for run in pt.published("rendered") if run.label == "xgboost tuned"]
    >>> labels = runs[0].labels
    >>> mine = {part: np.full(labels[part].y_true.shape, 0.5) for part in ("select", "test")}
    >>> pt.compare(runs, extra={"mine": mine}).frame["model"].tolist()
    ['xgboost tuned', 'mine']
    """
    check_arguments(part=(part, str), features=(features, *PLACE, None))
    if part not in PARTS:
        raise UnknownNameError("part", part, PARTS)
    whole = isinstance(resamples, Integral) and not isinstance(resamples, bool)
    if resamples is not None and not (whole and 39 <= resamples <= 1_000_000):
        raise ProtocolError(f"resamples must be a whole number in [39, 1000000], got {resamples!r}")
    named = [one for one in runs if isinstance(one, Run)]
    collections = [_collection(one) for one in runs if not isinstance(one, Run)]
    source = Together(itertools.chain(named, *collections))
    if not list(source):
        raise ProtocolError(
            "compare was given no run: give it what run returns, as in compare(one, other), or all "
            "runs of a store, compare(store(FOLDER)), or of a published set, "
            "compare(published(NAME))"
        )
    compared = _compared(source, named, len(collections), part, features)
    brought = {} if extra is None else _mapping("extra", extra)
    if brought:
        compared = _beside(compared, brought, source.labels(compared.division_id), part)
    analysis = Analysis(source, part=part, features=features, n_resamples=resamples or RESAMPLES)
    analysis.comparison = compared  # with the scores that were brought along
    return Result(analysis)


def _compared(
    source: "Together", named: "list[Run]", n_collections: int, part: str, features: str | None
) -> comparison.Comparison:
    """Compare what was trained on the same share, and under the same protocol, as what is named."""
    comparison.check_comparable([run.record for run in named])
    shares = {(r.record.spec.fraction, r.record.spec.positives) for r in named} or {(1.0, None)}
    if len(shares) > 1:
        raise ProtocolError(
            "these runs can't be compared: they were trained on different shares of the fit part, "
            "or of its positives"
        )
    ((fraction, positives),) = shares
    protocol = _protocol(named[0].record.spec.protocol_id) if named else "default"
    if len(named) + n_collections > 1:  # of one store, the command takes the newest data
        _check_alike(source, (fraction, positives), protocol)
    return comparison.compare(
        source,
        part=part,
        fraction=fraction,
        protocol=protocol,
        features=features,
        positives=positives,
    )


def _beside(
    compared: comparison.Comparison,
    brought: Mapping[str, Scores],
    labels: dict[str, StoredLabels],
    part: str,
) -> comparison.Comparison:
    """Put scores that were brought along among the models that are compared."""
    for name in brought:
        check_arguments(**{"each name in extra": (name, str)})
    entries = [_entry(name, scores, labels, part) for name, scores in brought.items()]
    known = {entry.label for entry in compared.entries}
    if taken := known & {entry.label for entry in entries}:
        raise ProtocolError(f"extra {taken.pop()!r} has the name of a model that is compared")
    return replace(
        compared, entries=sorted([*compared.entries, *entries], key=lambda one: -one.mean("mAP"))
    )


def _collection(runs: Any) -> "list[Run]":
    """Return the runs of a collection; refuse anything else."""
    try:
        found = [runs] if isinstance(runs, str) else list(runs)
    except TypeError:  # one thing, or an array of no dimension
        found = [runs]
    for one in found:
        if not isinstance(one, Run):
            raise ProtocolError(
                "compare takes runs, and collections of them, as run, store and published return "
                f"them, got {type(one).__name__}"
            )
    return found


def _mapping(name: str, value: object) -> Mapping:
    if not isinstance(value, Mapping):
        raise ProtocolError(f"{name} must be a mapping by name, got {type(value).__name__}")
    return value


def _protocol(identity: str) -> str:
    for name, protocol in PROTOCOLS.items():
        if protocol.id == identity:
            return name
    raise ProtocolError(f"protocol {identity} is not one of {', '.join(PROTOCOLS)}")


def _check_alike(
    records: Iterable[Record], learnt: tuple[float, int | None], protocol: str
) -> None:
    """Refuse runs of different data, of those that are compared."""
    asked = *learnt, PROTOCOLS[protocol].id
    comparison.check_comparable(
        [
            r
            for r in records
            if r.finished and (r.spec.fraction, r.spec.positives, r.spec.protocol_id) == asked
        ]
    )


class Together:
    """Runs of several stores, read as one store."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self._runs = {run.id: run for run in runs}
        self.path = "of the runs that were named"  # what errors call it

    def records(self) -> list[Record]:
        """Return all records, oldest first."""
        records = [run.record for run in self._runs.values()]
        return sorted(records, key=lambda record: (record.created, record.run_id))

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records())

    def asked(self, record: Record) -> str:
        """Return when a run was last asked for."""
        return self._runs[record.run_id].asked

    def labels(self, division_id: str) -> dict[str, StoredLabels]:
        """Return a division's labels by part."""
        runs = self._runs.values()
        return next(r for r in runs if r.record.spec.division_id == division_id).labels

    def attributes(self, division_id: str, part: str) -> dict[str, np.ndarray]:
        """Return what is known of a part's clips."""
        runs = [r for r in self._runs.values() if r.record.spec.division_id == division_id]
        return next(filter(None, (run.attributes(part) for run in runs)), {})

    def scores(self, record: Record) -> dict[str, np.ndarray]:
        """Return a run's scores by part."""
        return self._runs[record.run_id].scores


def _entry(name: str, scores: Scores, labels: dict[str, StoredLabels], part: str) -> Entry:
    """Make a row of scores that no run stands behind."""
    arrays = {}
    _mapping(f"extra {name!r}", scores)
    for one in dict.fromkeys(("select", part)):
        if one not in scores:
            raise ProtocolError(f"extra {name!r} lacks scores of the {one} part")
        shape = labels[one].y_true.shape
        try:
            array = np.asarray(scores[one]).astype(np.float32, casting="same_kind")
        except (TypeError, ValueError) as error:
            raise ProtocolError(f"extra {name!r}: scores of the {one} part: {error}") from error
        if array.ndim == 2:
            array = array[None]
        if array.ndim != 3 or array.shape[1:] != shape or not len(array):
            raise ProtocolError(
                f"extra {name!r}: scores of the {one} part must have shape {shape}, or a seed's "
                f"axis before it, got {np.shape(scores[one])}"
            )
        if not ((array >= 0) & (array <= 1)).all():
            raise ProtocolError(f"extra {name!r}: scores of the {one} part must be in [0, 1]")
        arrays[one] = array
    if len({len(array) for array in arrays.values()}) > 1:
        raise ProtocolError(f"extra {name!r}: select and {part} have different numbers of seeds")
    seeds = [{one: array[i] for one, array in arrays.items()} for i in range(len(arrays[part]))]
    evaluations = [comparison.evaluate(seed, labels, part) for seed in seeds]
    return Entry(name, [], evaluations, arrays[part])


class Result:
    """A comparison: tables with 95 % intervals, and figures; made by :func:`compare`.

    Intervals and tests come from a bootstrap over groups of clips and over seeds, paired
    between models, and are computed when they are first asked for.

    Examples
    --------
    >>> import polytimbre as pt
    >>> tuned = ("xgboost tuned", "logistic_regression tuned")
    >>> result = pt.compare([r for r in pt.published("rendered") if r.label in tuned])
    >>> result.pairs[["model", "against"]].values.tolist()
    [['xgboost tuned', 'logistic_regression tuned']]
    >>> result.plot().savefig("tuned.pdf")  # doctest: +SKIP
    """

    def __init__(self, analysis: Analysis) -> None:
        self._analysis = analysis

    @property
    def resamples(self) -> int:
        """Return the number of resamples behind intervals and tests."""
        return self._analysis.inference.n_resamples

    @cached_property
    def _results(self) -> "Results":
        from reports.tables.declaration import facts_of, table

        facts = facts_of(self._analysis)
        names = TABLES if len(self._analysis.comparison.entries) > 2 else TABLES[:-1]
        made = {name: table(name).make(self._analysis, facts) for name in names}
        return {name: one for name, one in made.items() if one is not None}

    @property
    def tables(self) -> Tables:
        """Return all tables by name, as the report shows them."""
        return Tables.of(self._results)

    @property
    def frame(self) -> pd.DataFrame:
        """Return one row a model: rank, mAP and F1 with intervals, distance to the best, cost."""
        return self._results["comparison"].frame

    @property
    def pairs(self) -> pd.DataFrame:
        """Return one row a pair of models: the paired difference of mAP, its interval and p.

        Raises
        ------
        ProtocolError
            If there is a single model.
        """
        if "pairs" not in self._results:
            raise ProtocolError("there are no pairs of a single model: compare two or more")
        return self._results["pairs"].frame

    @property
    def per_class(self) -> pd.DataFrame:
        """Return one row a class and model: average precision with its interval."""
        return self._results["per_class"].frame

    def slices(self, by: str) -> ShownTable:
        """Return each model's scores on slices of the clips, against all other clips.

        Parameters
        ----------
        by : str
            An attribute of the data set.

        Raises
        ------
        UnknownNameError, ProtocolError
            If there is no such attribute, or no slice of it is large enough.

        Examples
        --------
        >>> import polytimbre as pt
        >>> run = pt.run("logistic_regression", pt.load("rendered"))  # doctest: +SKIP
        >>> pt.compare(run).slices("instruments").frame  # doctest: +SKIP
        """
        from reports.tables.declaration import facts_of, table

        check_arguments(by=(by, str))
        analysis = self._analysis
        asked = Analysis(
            analysis.store, part=analysis.part, n_resamples=analysis.n_resamples, by=by
        )
        asked.comparison = analysis.comparison
        made = table("slices").make(asked, facts_of(asked))
        return ShownTable(made.title, made.frame, tuple(made.notes))

    @property
    def notes(self) -> tuple[str, ...]:
        """Return how :attr:`frame` is to be read, and what was left out."""
        return self._results["comparison"].notes

    def plot(self, name: str = "comparison") -> "Figure":
        """Draw one of the report's figures.

        Its caption, which says what lines and edges mean, stands below it in a notebook alone. The
        first figure of a comparison waits for the bootstrap: seconds, or a minute for 30 models.

        Parameters
        ----------
        name : str
            ``"comparison"``, ``"per-class"``, ``"per-class-pair"``, ``"cost"``, ``"tuned"``, or,
            of three models or more, ``"critical-difference"``.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        UnknownNameError, ProtocolError
        """
        return plot(self._results, name)

    def __repr__(self) -> str:
        compared = self._analysis.comparison
        first = ", ".join(f"{one.label} {one.mean('mAP'):.3f}" for one in compared.entries[:3])
        more = len(compared.entries) - 3
        rest = f" and {more} more" if more > 0 else ""
        return f"<Result on {compared.dataset}, {compared.part} part, mAP: {first}{rest}>"

    def _repr_html_(self) -> str:
        return self.tables["comparison"]._repr_html_()
