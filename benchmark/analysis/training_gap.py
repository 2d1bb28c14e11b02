"""The gap between training and validation: how much is optimism, how much is shift.

A model's mAP falls from the clips it was fitted on (*fit*) to clips that chose nothing about
it but may have chosen it among others (*select*), and again to those of the official partition
(*test*). The first step is its *optimism* (Efron, 1983), what it owes to having seen the
clips; the second is a *shift* between the partitions, plus what was won by choosing on
select. Only the first says something about over-fitting.

Parts share no group, so they are resampled independently, and the interval of a difference is
that of the differences of independent resamples. Training seeds are drawn anew in each part
too, though a run's parts share theirs: the intervals are, if anything, too wide.

References
----------
B. Efron, "Estimating the error rate of a prediction rule: improvement on cross-validation",
*Journal of the American Statistical Association* 78 (382), 316-331, 1983.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from benchmark.analysis.comparison import Entry
from benchmark.analysis.training_curves import Turn, turn
from benchmark.contracts.seeds import derive_seed
from benchmark.errors import ProtocolError
from benchmark.runs.reading import Runs, StoredLabels
from benchmark.scoring.bootstrap import Bootstrap, basic_interval, bootstrap

#: Parts in the order of the gap's two steps.
GAP_PARTS = ("fit", "select", "test")

#: A larger share of the fit mAP lost from fit to select is over-fitting.
OPTIMISM_LIMIT = 1 / 3

VERDICTS = ("under-fitted", "well-fitted", "over-fitted")

#: The rule behind :func:`verdict`, as it is printed under the table.
RULE = (
    "Over-fitted: optimism (fit minus select mAP) is above 0 at the 95 % level and more than "
    "a third of the fit mAP; else under-fitted: optimism is not shown to be above 0 (nothing "
    "was learnt that only holds for the clips seen, so there is room for a richer model), or "
    "the final tenth of training lowered the stopping loss by more than 1 % below all stages "
    "before it; else well-fitted."
)

#: Resamples of the losses that are drawn at a time.
_BLOCK = 100


@dataclass(frozen=True, eq=False)
class Interval:
    """A value with its 95 % basic bootstrap interval: floats, or one entry a class."""

    value: Any
    lower: Any
    upper: Any

    @property
    def above_zero(self) -> Any:
        """Whether the whole interval lies above 0."""
        return np.asarray(self.lower) > 0


@dataclass(frozen=True, eq=False)
class PartScores:
    """One model on one part, over the classes that can be scored in all three.

    Attributes
    ----------
    run_mAP, run_loss : ndarray, shape (n_seeds,)
        mAP, and masked log loss in nats a label (of all observed labels).
    class_ap, class_loss : ndarray, shape (n_classes,)
        Means over seeds; NaN where a class can't be scored, or has no observed label.
    """

    run_mAP: np.ndarray
    run_loss: np.ndarray
    class_ap: np.ndarray
    class_loss: np.ndarray

    @property
    def mAP(self) -> float:
        """Mean over seeds."""
        return float(self.run_mAP.mean())

    @property
    def loss(self) -> float:
        """Mean over seeds."""
        return float(self.run_loss.mean())


@dataclass(frozen=True, eq=False)
class Step:
    """What is lost from one part to the next, positive where the next is worse.

    Attributes
    ----------
    mAP, loss : Interval
        Of macro mAP, and of the loss in nats a label. The loss's interval is over clips alone,
        with every seed kept.
    class_ap, class_loss : Interval
        Arrays of shape (n_classes,), NaN where a class can't be scored.
    """

    mAP: Interval
    loss: Interval
    class_ap: Interval
    class_loss: Interval


@dataclass(frozen=True, eq=False)
class Gap:
    """One model's training gap.

    Attributes
    ----------
    label : str
    classes : tuple of str
    unscored : list of str
        Classes left out of every mAP, as one of the parts can't score them.
    parts : dict of str to PartScores
        By part: ``"fit"``, ``"select"``, ``"test"``.
    optimism, shift : Step
        From fit to select, and from select to test.
    turned : Turn or None
        None for a model that reports no stage.
    """

    label: str
    classes: tuple[str, ...]
    unscored: list[str]
    parts: dict[str, PartScores]
    optimism: Step
    shift: Step
    turned: Turn | None

    @property
    def verdict(self) -> str:
        """One of `VERDICTS`, by `RULE`."""
        return verdict(self.optimism.mAP, self.parts["fit"].mAP, self.turned)


def verdict(optimism: Interval, fit_mAP: float, turned: Turn | None) -> str:
    """Judge a model by `RULE`.

    Parameters
    ----------
    optimism : Interval
        Of fit minus select mAP.
    fit_mAP : float
    turned : Turn or None

    Returns
    -------
    str
        One of `VERDICTS`.
    """
    if optimism.above_zero and optimism.value > OPTIMISM_LIMIT * fit_mAP:
        return "over-fitted"
    if not optimism.above_zero or (turned is not None and turned.still_falling):
        return "under-fitted"
    return "well-fitted"


def measure(
    entries: Sequence[Entry],
    store: Runs,
    labels: dict[str, StoredLabels],
    *,
    n_resamples: int = 1000,
    seed: int = 0,
) -> list[Gap]:
    """Measure every model's training gap.

    Parameters
    ----------
    entries : sequence of Entry
        Of one comparison, trained on the whole fit part.
    store : Runs
        Holds their scores.
    labels : dict of str to StoredLabels
        By part, as :meth:`benchmark.runs.reading.Runs.labels` returns them.
    n_resamples, seed : int
        Of the bootstrap.

    Returns
    -------
    list of Gap
        In the order of `entries`.

    Raises
    ------
    ProtocolError
        If no class can be scored in all three parts, if runs trained on less than the fit
        part (their fit scores are no training scores), or for too few resamples.
    """
    for entry in entries:
        if entry.records[0].spec.fraction != 1:
            raise ProtocolError(
                f"{entry.label} trained on a share of the fit part: its training gap would mix "
                "clips it saw with clips it did not"
            )
    stored = [[store.scores(record) for record in entry.records] for entry in entries]
    common = _common(labels)
    ap, losses = {}, {}
    for part in GAP_PARTS:
        scores = [np.stack([run[part] for run in runs]) for runs in stored]
        ap[part] = _resample_ap(labels[part], scores, common, n_resamples, seed, part)
        losses[part] = _Losses.of(labels[part], scores, n_resamples, derive_seed(seed, part))
    names = labels["fit"].classes
    return [
        Gap(
            label=entry.label,
            classes=names,
            unscored=[name for c, name in enumerate(names) if c not in common],
            parts={p: _part_scores(ap[p], losses[p], m, common) for p in GAP_PARTS},
            # mAP is better when higher, a loss when lower: both steps are positive if worse
            optimism=_step(ap["fit"], ap["select"], losses["fit"], losses["select"], m, common),
            shift=_step(ap["select"], ap["test"], losses["select"], losses["test"], m, common),
            turned=turn(entry.records),
        )
        for m, entry in enumerate(entries)
    ]


def _common(labels: dict[str, StoredLabels]) -> np.ndarray:
    """Return the numbers of the classes that can be scored in all parts."""
    scorable = np.ones(len(labels["fit"].classes), bool)
    for part in GAP_PARTS:
        positive, observed = labels[part].y_positive, labels[part].y_mask
        scorable &= positive.any(axis=0) & (observed & ~positive).any(axis=0)
    if not scorable.any():
        raise ProtocolError(
            "no class can be scored in all of fit, select and test: each lacks an observed "
            "positive or an observed negative in one of them. Use data with more observed labels"
        )
    return np.flatnonzero(scorable)


def _resample_ap(
    labels: StoredLabels,
    scores: list[np.ndarray],
    common: np.ndarray,
    n_resamples: int,
    seed: int,
    part: str,
) -> Bootstrap:
    return bootstrap(
        labels.y_positive,
        labels.y_mask,
        scores,
        groups=labels.groups,
        classes=common.tolist(),
        n_resamples=n_resamples,
        seed=derive_seed(seed, "training gap", part),  # parts are drawn independently
    )


def entry_loss(y_true: np.ndarray, y_score: np.ndarray, y_mask: np.ndarray) -> np.ndarray:
    """Binary cross-entropy of every label, in nats; 0 where it was not observed.

    Clipped as :func:`benchmark.scoring.metrics.log_loss` does, whose value is the sum of these over
    the number of observed labels.

    Returns
    -------
    ndarray, float64, shape of the arguments
    """
    score = np.where(y_mask, y_score, 0.5).astype(np.float64).clip(1e-7, 1 - 1e-7)
    relevance = np.where(y_mask, y_true, 0).astype(np.float64)
    loss = -(relevance * np.log(score) + (1 - relevance) * np.log1p(-score))
    return np.where(y_mask, loss, 0.0)


@dataclass(frozen=True, eq=False)
class _Losses:
    """Losses of several models on one part, as they are and resampled by group.

    Attributes
    ----------
    run_values : list of ndarray, shape (n_seeds,)
    value : ndarray, shape (n_models,)
    values : ndarray, shape (n_resamples, n_models)
    class_value : ndarray, shape (n_models, n_classes)
    class_values : ndarray, shape (n_resamples, n_models, n_classes)
    """

    run_values: list[np.ndarray]
    value: np.ndarray
    values: np.ndarray
    class_value: np.ndarray
    class_values: np.ndarray

    @classmethod
    def of(
        cls, labels: StoredLabels, scores: list[np.ndarray], n_resamples: int, seed: int
    ) -> "_Losses":
        """Sum losses and labels by group; a resample adds up the groups it drew."""
        groups, group_of = np.unique(labels.groups, return_inverse=True)
        n_clips = len(labels)
        adder = sparse.csr_array(
            (np.ones(n_clips), (group_of, np.arange(n_clips))), shape=(len(groups), n_clips)
        )
        by_run = [
            np.stack([entry_loss(labels.y_true, run, labels.y_mask) for run in runs])
            for runs in scores
        ]
        observed = labels.y_mask.sum()
        sums = np.stack([adder @ runs.mean(axis=0) for runs in by_run], axis=1)
        counts = adder @ labels.y_mask.astype(np.float64)
        once = np.ones((1, len(groups)))
        value, class_value = _mean_losses(once, sums, counts)
        rng = np.random.default_rng(seed)
        even = np.full(len(groups), 1 / len(groups))
        blocks = []
        for first in range(0, n_resamples, _BLOCK):
            size = min(_BLOCK, n_resamples - first)
            drawn = rng.multinomial(len(groups), even, size=size).astype(np.float64)
            blocks.append(_mean_losses(drawn, sums, counts))
        values, class_values = (np.concatenate(found) for found in zip(*blocks, strict=True))
        return cls(
            [runs.sum(axis=(1, 2)) / observed for runs in by_run],
            value[0],
            values,
            class_value[0],
            class_values,
        )


def _mean_losses(
    drawn: np.ndarray, sums: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean losses, and each class's, of resamples; NaN where no label was drawn.

    Parameters
    ----------
    drawn : ndarray, shape (n_resamples, n_groups)
    sums : ndarray, shape (n_groups, n_models, n_classes)
    counts : ndarray, shape (n_groups, n_classes)
    """
    total = np.einsum("rg,gx->rx", drawn, sums.reshape(len(sums), -1), optimize=True)
    total = total.reshape(len(drawn), *sums.shape[1:])
    number = (drawn @ counts)[:, None]
    each = np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)
    whole = number.sum(axis=2)
    pooled = total.sum(axis=2)
    return np.divide(pooled, whole, out=np.full(pooled.shape, np.nan), where=whole > 0), each


def _part_scores(ap: Bootstrap, losses: _Losses, model: int, common: np.ndarray) -> PartScores:
    runs = ap.run_values[model]
    class_ap = np.full(runs.shape[1], np.nan)
    class_ap[common] = runs[:, common].mean(axis=0)
    return PartScores(
        run_mAP=runs[:, common].mean(axis=1),
        run_loss=losses.run_values[model],
        class_ap=class_ap,
        class_loss=losses.class_value[model],
    )


def _step(
    ap: Bootstrap, next_ap: Bootstrap, loss: _Losses, next_loss: _Losses, m: int, common: np.ndarray
) -> Step:
    """Return what model `m` loses from one part to the next."""
    drawn = ap.class_values[:, m][:, common] - next_ap.class_values[:, m][:, common]
    runs, next_runs = ap.run_values[m][:, common], next_ap.run_values[m][:, common]
    found = runs.mean(axis=0) - next_runs.mean(axis=0)
    n_classes = ap.run_values[m].shape[1]
    risen = next_loss.class_value[m] - loss.class_value[m]
    known = np.flatnonzero(~np.isnan(risen))
    risen_drawn = next_loss.class_values[:, m][:, known] - loss.class_values[:, m][:, known]
    return Step(
        # a resample that lost a class gives NaN, which the interval leaves out
        mAP=_interval(found.mean(), drawn.mean(axis=1)),
        loss=_interval(
            next_loss.value[m] - loss.value[m], next_loss.values[:, m] - loss.values[:, m]
        ),
        class_ap=_spread(_interval(found, drawn), common, n_classes),
        class_loss=_spread(_interval(risen[known], risen_drawn), known, n_classes),
    )


def _interval(value: Any, values: np.ndarray) -> Interval:
    lower, upper = basic_interval(value, values)
    if np.ndim(value) == 0:
        return Interval(float(value), float(lower), float(upper))
    return Interval(value, lower, upper)


def _spread(found: Interval, classes: np.ndarray, n_classes: int) -> Interval:
    """Put an interval of some classes into arrays of all, NaN elsewhere."""
    arrays = []
    for values in (found.value, found.lower, found.upper):
        array = np.full(n_classes, np.nan)
        array[classes] = values
        arrays.append(array)
    return Interval(*arrays)
