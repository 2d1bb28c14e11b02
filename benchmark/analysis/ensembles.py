"""Ensembles, replayed from the scores of stored runs: nothing is trained again.

A member enters with its log odds, and an ensemble is a weighted sum of them, brought back to
[0, 1]. There are three ways to the weights:

``average``   the same for every member.
``selected``  greedy forward selection with replacement by select mAP (Caruana et al., 2004).
``stacked``   logistic regression with weights that are not negative (Breiman, 1996), shrunk
              towards the plain average, and an offset a class, shrunk towards 0.

Where there are several tuned networks, their plain average is a row of its own: the simplest
ensemble that anybody would try first.

An average of seeds alone gains. So one ensemble of every run is compared with each model's own
average over its seeds, and the intervals of both are those of these runs: other seeds would make
others.

Weights are common to all classes. Classes have some ten positives each on *select*, which is too
few for weights of their own: on both data sets that this was developed on, a stack lost mAP on
held-out folds with every bit of freedom that classes got. Log odds were chosen on *select* too:
members selected by their probabilities, and models' averaged ranks, did worse.

Weights come from *select* alone, and what an ensemble scores there is out of fold: each fold of
groups is scored with weights fitted on the others. So thresholds, and the choice between
ensembles, rest on scores that never saw their own labels. (It is the weights that are held out.
A member that was tuned on *select* brings its luck there along.) The test part is scored with
weights fitted on all of *select*; its labels take no part.

References
----------
R. Caruana, A. Niculescu-Mizil, G. Crew and A. Ksikes, "Ensemble selection from libraries of
models", *ICML* 2004.
D. H. Wolpert, "Stacked generalization", *Neural Networks* 5, 241-259, 1992.
L. Breiman, "Stacked regressions", *Machine Learning* 24, 49-64, 1996.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit, logit

from benchmark.analysis.comparison import Comparison, Entry, compare, evaluate
from benchmark.analysis.ensemble_members import (
    Run,
    by_seed,
    collect,
    every_run,
    stack,
    tuned_networks,
)
from benchmark.errors import ProtocolError, UnknownNameError
from benchmark.protocol import stratify
from benchmark.runs.reading import Runs, StoredLabels
from benchmark.scoring.metrics import macro, mean_average_precision

METHODS = ("average", "selected", "stacked")

#: Scores are kept this far from 0 and 1: a forest in which no tree says yes is not certain, and
#: must not outvote everybody else.
EDGE = 1e-4
#: Folds of *select*.
FOLDS = 5
#: Members that a selection draws; finer weights than 1 in 30 are luck.
DRAWS = 30
#: Of the stack's shrinking: a weight's prior standard deviation is 1 / sqrt(10) = 0.32.
SHRINKING = 10.0
#: Single models that are shown beside ensembles, the best on *select*.
SHOWN = 5


@dataclass(frozen=True, eq=False)
class Weights:
    """What an ensemble makes of its members' log odds.

    Attributes
    ----------
    members : ndarray, shape (n_members,)
        Not negative.
    offsets : ndarray, shape (n_classes,)
        Added to the sum.
    """

    members: np.ndarray
    offsets: np.ndarray

    def total(self, odds: np.ndarray) -> np.ndarray:
        """Return the weighted sum without offsets, shape (n_clips, n_classes)."""
        return np.einsum("m,mnc->nc", self.members, odds)


def log_odds(scores: np.ndarray) -> np.ndarray:
    """Return log odds of scores in [0, 1], float64, of the same shape."""
    return logit(np.clip(scores.astype(np.float64), EDGE, 1 - EDGE))


def average(odds: np.ndarray, y_positive: np.ndarray, y_mask: np.ndarray) -> Weights:
    """Give every member the same weight; the labels are not looked at.

    Parameters
    ----------
    odds : ndarray, shape (n_members, n_clips, n_classes)
        Log odds.
    y_positive, y_mask : ndarray of bool, shape (n_clips, n_classes)
    """
    return Weights(np.full(len(odds), 1 / len(odds)), np.zeros(odds.shape[2]))


def selected(odds: np.ndarray, y_positive: np.ndarray, y_mask: np.ndarray) -> Weights:
    """Draw `DRAWS` members, each time the one that raises mAP the most (Caruana et al., 2004).

    A member may be drawn again, so that its weight is its share of the draws. Parameters as in
    :func:`average`.

    Raises
    ------
    ProtocolError
        If no class has an observed positive and an observed negative.
    """
    drawn, total = np.zeros(len(odds)), np.zeros(odds.shape[1:])
    for _ in range(DRAWS):
        best = mean_average_precisions(total + odds, y_positive, y_mask).argmax()
        drawn[best] += 1
        total += odds[best]
    return Weights(drawn / DRAWS, np.zeros(odds.shape[2]))


def stacked(odds: np.ndarray, y_positive: np.ndarray, y_mask: np.ndarray) -> Weights:
    """Fit weights and offsets to the observed labels by penalised likelihood.

    The penalty is quadratic, of strength `SHRINKING`, in a weight's distance to the plain
    average's and in an offset: without labels the stack is the plain average. The problem is
    convex. Parameters as in :func:`average`.
    """
    from scipy.optimize import minimize
    from threadpoolctl import threadpool_limits

    n_members, _, n_classes = odds.shape
    x, y, of_class = odds[:, y_mask], y_positive[y_mask], np.nonzero(y_mask)[1]
    start = np.repeat([1 / n_members, 0.0], [n_members, n_classes])

    def loss(params: np.ndarray) -> tuple[float, np.ndarray]:
        z = params[:n_members] @ x + params[n_members:][of_class]
        error = expit(z) - y
        slope = [x @ error, np.bincount(of_class, error, n_classes)]
        away = params - start
        value = (np.logaddexp(0, z) - y * z).sum() + SHRINKING / 2 * (away**2).sum()
        scale = max(len(y), 1)
        return value / scale, (np.concatenate(slope) + SHRINKING * away) / scale

    bounds = [(0, None)] * n_members + [(None, None)] * n_classes
    options = {"ftol": 1e-10, "gtol": 1e-7, "maxiter": 1000}
    with threadpool_limits(1):  # on so little data threads only wait for each other
        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return Weights(found.x[:n_members], found.x[n_members:])


_FITS = {"average": average, "selected": selected, "stacked": stacked}


def mean_average_precisions(
    scores: np.ndarray, y_positive: np.ndarray, y_mask: np.ndarray
) -> np.ndarray:
    """Return the mAP of several runs at once, shape (n_runs,).

    As :func:`benchmark.scoring.metrics.mean_average_precision`, but quicker: selections ask
    thousands.

    Parameters
    ----------
    scores : ndarray, shape (n_runs, n_clips, n_classes)
    y_positive, y_mask : ndarray of bool, shape (n_clips, n_classes)

    Raises
    ------
    ProtocolError
        If no class can be scored.
    """
    values = np.full((len(scores), y_mask.shape[1]), np.nan)
    for c in range(y_mask.shape[1]):
        observed = y_mask[:, c]
        hit = y_positive[:, c] & observed
        if not hit.any() or hit.sum() == observed.sum():
            continue
        everything, hits = (np.sort(scores[:, rows, c], axis=1) for rows in (observed, hit))
        for run, (all_of_run, hits_of_run) in enumerate(zip(everything, hits, strict=True)):
            # of what scores at least as high as each positive: positives, and all
            found = len(hits_of_run) - np.searchsorted(hits_of_run, hits_of_run)
            taken = len(all_of_run) - np.searchsorted(all_of_run, hits_of_run)
            values[run, c] = (found / taken).mean()
    return np.array([macro(row) for row in values])


def folds(labels: StoredLabels) -> np.ndarray:
    """Divide clips into `FOLDS` by group, stratified over labels; int, shape (n_clips,).

    Raises
    ------
    ProtocolError
        For fewer than two groups.
    """
    groups, of_group = np.unique(labels.groups, return_inverse=True)
    n_folds = min(FOLDS, len(groups))
    if n_folds < 2:
        raise ProtocolError("the select part is one group of clips: it can't be cross-fitted")
    known = np.concatenate([labels.y_positive, labels.y_mask & ~labels.y_positive], axis=1)
    counts = np.zeros((len(groups), known.shape[1] + 1))
    np.add.at(counts, of_group, np.column_stack([known, np.ones(len(known))]))
    shares = np.full(n_folds, 1 / n_folds)
    return stratify(counts, shares, np.random.default_rng(0))[of_group]


@dataclass(frozen=True, eq=False)
class Combined:
    """Runs combined into one.

    Attributes
    ----------
    weights : Weights
        Fitted on all of *select*.
    scores : dict of str to ndarray, shape (n_clips, n_classes), float32
        Of ``select``, out of fold, and ``test``.
    select_mAP : float
        Out of fold, of the sums without offsets. A class's offset changes no ranking, but
        where each fold has its own they blur the pooled one.
    """

    weights: Weights
    scores: dict[str, np.ndarray]
    select_mAP: float


def combine(method: str, select: np.ndarray, test: np.ndarray, labels: StoredLabels) -> Combined:
    """Combine runs by their scores and the labels of *select*.

    Parameters
    ----------
    method : str
        One of `METHODS`.
    select, test : ndarray, shape (n_members, n_clips, n_classes)
        Scores in [0, 1] on both parts.
    labels : StoredLabels
        Of *select*.

    Raises
    ------
    ProtocolError
        If *select* holds too little to be fitted on.
    """
    fit, odds = _FITS[method], log_odds(select)
    y_positive, y_mask, fold = labels.y_positive, labels.y_mask, folds(labels)
    total, offsets = np.empty(odds.shape[1:]), np.empty(odds.shape[1:])
    for held in np.unique(fold):
        rest, held = fold != held, fold == held
        weights = fit(odds[:, rest], y_positive[rest], y_mask[rest])
        total[held], offsets[held] = weights.total(odds[:, held]), weights.offsets
    weights = fit(odds, y_positive, y_mask)
    on_test = expit(weights.total(log_odds(test)) + weights.offsets)
    return Combined(
        weights,
        scores={"select": np.float32(expit(total + offsets)), "test": np.float32(on_test)},
        select_mAP=mean_average_precision(y_positive, total, y_mask),
    )


@dataclass(frozen=True, eq=False)
class Ensemble:
    """One way to combine a pool of runs, as a row of a comparison.

    Attributes
    ----------
    method : str
        One of `METHODS`.
    entry : Entry
        On the test part. Its records are the runs with a weight, replicate after replicate.
    members : tuple of str
        The pool: model settings, or single runs where one ensemble takes all seeds.
    weights : ndarray, shape (n_replicates, n_members)
        Fitted on all of *select*.
    select_mAP : ndarray, shape (n_replicates,)
        Out of fold.
    """

    method: str
    entry: Entry
    members: tuple[str, ...]
    weights: np.ndarray
    select_mAP: np.ndarray


@dataclass(frozen=True, eq=False)
class Replay:
    """Ensembles of stored runs beside the best of these runs' models.

    Attributes
    ----------
    comparison : Comparison
        Of both, on the test part; its notes say what the pool is.
    ensembles : list of Ensemble
        In the order that was asked for.
    singles : dict of str to float
        Select mAP of the pool's models, mean over seeds, best first.
    """

    comparison: Comparison
    ensembles: list[Ensemble]
    singles: dict[str, float]

    @property
    def chosen(self) -> Ensemble:
        """The ensemble of highest out-of-fold select mAP; the test part has no say."""
        return max(self.ensembles, key=lambda ensemble: ensemble.select_mAP.mean())


def replay(
    store: Runs,
    dataset: str | None = None,
    models: Sequence[str] | None = None,
    methods: Sequence[str] = METHODS,
    all_seeds: bool = False,
) -> Replay:
    """Combine the newest stored runs of several models, and compare the results with them.

    Parameters
    ----------
    store : Runs
    dataset : str, optional
        Needed where the store holds runs of several.
    models : sequence of str, optional
        The pool: names, ``name:preset`` or labels such as ``cnn tuned``; all if None.
    methods : sequence of str
        Of `METHODS`.
    all_seeds : bool
        One ensemble of every run. By default one ensemble a seed, of each model's run with
        that seed, to be compared with means over seeds; a model's only run is in each.

    Raises
    ------
    UnknownNameError
        For a method that does not exist.
    ProtocolError
        If the runs can't be compared, fewer than two are left to combine, they have no seed in
        common, or *select* holds too little to be fitted on.
    """
    for method in methods:
        if method not in METHODS:
            raise UnknownNameError("ensemble method", method, METHODS)
    result = compare(store, dataset, models)
    pool, notes = collect(result, store)
    labels = store.labels(result.division_id)
    truth = labels["select"].y_positive, labels["select"].y_mask
    reached = {
        name: float(mean_average_precisions(stack(runs, "select"), *truth).mean())
        for name, runs in pool.items()
    }
    # ties by name: the comparison's order rests on the test part
    singles = dict(sorted(reached.items(), key=lambda item: (-item[1], item[0])))
    pool = {name: pool[name] for name in singles}
    replicates, seed_notes = ([every_run(pool)], []) if all_seeds else by_seed(pool)
    if len(replicates[0]) < 2:
        raise ProtocolError(
            f"an ensemble takes at least two members, and there is only {replicates[0][0].label}. "
            "Run or name more models, or combine one model's seeds with --all-seeds"
        )
    ensembles = [_ensemble(method, replicates, labels, all_seeds) for method in methods]
    networks = [tuned_networks(runs) for runs in replicates]
    if "average" in methods and 1 < len(networks[0]) < len(replicates[0]):
        ensembles.append(_ensemble("average", networks, labels, all_seeds, " of tuned networks"))
    shown = [entry for entry in result.entries if entry.label in list(singles)[:SHOWN]]
    if all_seeds:
        shown = [_own_average(entry, pool[entry.label], labels) for entry in shown]
        seed_notes = ["every row is of all its seeds: intervals are of these runs, not of others"]
    entries = shown + [ensemble.entry for ensemble in ensembles]
    entries.sort(key=lambda entry: -entry.mean("mAP"))
    notes = result.notes + notes + seed_notes
    return Replay(replace(result, entries=entries, notes=notes), ensembles, singles)


def _own_average(entry: Entry, runs: list[Run], labels: dict[str, StoredLabels]) -> Entry:
    """Return a model's average over its seeds; the model itself if it has one."""
    if len(runs) == 1:
        return entry
    average = _ensemble("average", [runs], labels, all_seeds=True)
    return replace(average.entry, label=f"{entry.label}, all seeds")


def _ensemble(
    method: str,
    replicates: list[list[Run]],
    labels: dict[str, StoredLabels],
    all_seeds: bool,
    of_whom: str = "",
) -> Ensemble:
    combined = [
        combine(method, stack(runs, "select"), stack(runs, "test"), labels["select"])
        for runs in replicates
    ]
    weights = np.stack([each.weights.members for each in combined])
    entry = Entry(
        label=f"ensemble {method}{of_whom}{', all seeds' if all_seeds else ''}",
        records=[
            run.record
            for runs, row in zip(replicates, weights, strict=True)
            for run, weight in zip(runs, row, strict=True)
            if weight > 0
        ],
        evaluations=[evaluate(each.scores, labels) for each in combined],
        scores=np.stack([each.scores["test"] for each in combined]),
    )
    members = tuple(run.label for run in replicates[0])
    select_mAP = np.array([each.select_mAP for each in combined])
    return Ensemble(method, entry, members, weights, select_mAP)
