"""Bootstrap over clips for average precision and F1: paired, grouped, nested over seeds.

Each column of scores is sorted once; a resample is a vector of counts, and `BLOCK` of them are
evaluated side by side (see :mod:`benchmark.scoring.counting`).

Intervals are *basic* (reverse percentile) ones. Average precision is biased upward under the
bootstrap: a positive drawn twice stands next to itself in the ranking. A percentile interval
shifts by that bias once more, in the wrong direction, and misses the true value far too often;
a basic interval takes the bias away. On simulated clips with 60 positives a class, 95 % intervals
of mAP cover it in 94 % of cases (percentile ones: 77 to 83 %). One class with some ten positives
is another matter: its average precision is far from normal and basic intervals cover it in 84 % of
cases. The interval of a class is therefore symmetric in log odds, around the value less its
bootstrap bias; it covers in 91 to 94 %. Half-sampling was weighed for macro values and left: on
parts like a test part it covers as often (tables of simulations: ``benchmark/README.md``).

A model's training seeds are weighted at random (:func:`seed_weights`), as widely as so few seeds
leave their mean uncertain: with three seeds that is Student's t with two degrees of freedom.
Differences of two models then follow the Behrens-Fisher distribution, whose tests keep their
level whatever the ratio of the spreads. Redrawing the seeds themselves can't leave their range:
its tests rejected equal models three times too often at 5 %, and 65 times at Holm's level for 78
pairs, where one model's seeds vary 4.5 times as much as clips let the difference vary.

References
----------
B. Efron and R. J. Tibshirani, *An Introduction to the Bootstrap*, Chapman & Hall, 1993.
A. C. Davison and D. V. Hinkley, *Bootstrap Methods and their Application*, Cambridge
University Press, 1997: sections 5.2 (basic interval), 4.2 (Monte Carlo p-value), 3.8 (nested
data).
L. Kish, *Survey Sampling*, Wiley, 1965: the effective number of groups.
R. A. Fisher, "The fiducial argument in statistical inference", *Annals of Eugenics* 6 (4),
391-398, 1935: the distribution of a difference of means with unknown, unequal variances.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from benchmark.errors import ProtocolError
from benchmark.scoring.arguments import (
    check_labels,
    check_scores,
    group_numbers,
    scored_classes,
    spread_thresholds,
)
from benchmark.scoring.counting import DecisionPlan, ObservedColumns, RankingPlan, count_draws

#: Resamples evaluated side by side, so that sums run over contiguous counts that stay in a
#: processor's cache. Part of the seeding: a change here changes the resamples.
BLOCK = 64

#: Share of resamples that may lose all positives, or all negatives, of some class: fewer are left
#: out, more are drawn again.
MOST_LOST = 0.1
#: Blocks drawn at most to fill one block again.
MOST_REDRAWS = 250

#: Names accepted by :func:`bootstrap`.
METRICS = ("average_precision", "f1")


def clip_draws(n_groups: int, seed: int, block: int, *again: int) -> np.ndarray:
    """Return the groups drawn by the resamples ``block * BLOCK`` and following.

    With numbers in `again`, other draws for the same resamples.

    They depend on nothing but the arguments, so two calls of :func:`bootstrap` with the same
    seed on the same clips are paired, whatever models they look at.

    Returns
    -------
    ndarray of uint32, shape (BLOCK, n_groups)
        Group numbers in [0, n_groups).
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(block, *again)))
    return rng.integers(0, n_groups, size=(BLOCK, n_groups), dtype=np.uint32)


def effective_groups(groups: np.ndarray) -> float:
    """Return how many groups of equal size would tell as much as these of unequal sizes.

    The square of the number of clips over the sum of the squared sizes of the groups (Kish).

    Parameters
    ----------
    groups : ndarray, shape (n_clips,)
        Name of each clip's group.
    """
    sizes = np.unique(groups, return_counts=True)[1]
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def seed_weights(n_seeds: int, seed: int, block: int, model: int) -> np.ndarray:
    """Return the weight of each of a model's training seeds in each resample of a block.

    The weighted mean of any values deviates from their plain mean by its standard error, s /
    sqrt(n), times a draw from Student's t with n - 1 degrees of freedom: all that n normal values
    say about where the true mean lies. A single seed always has weight 1.

    Returns
    -------
    ndarray of float64, shape (n_seeds, BLOCK)
        Weights that sum to 1 over the seeds; some are negative.
    """
    if n_seeds == 1:
        return np.ones((1, BLOCK))
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(block, model)))
    normal = rng.standard_normal((n_seeds, BLOCK))
    scale = np.sqrt(n_seeds * rng.chisquare(n_seeds - 1, BLOCK))
    return 1 / n_seeds + (normal - normal.mean(axis=0)) / scale


def alike(scores: Sequence[np.ndarray]) -> list[int]:
    """Return, for each model, the number of the first one whose scores are the same bits.

    Those are one model under several names, whose training seeds had the same luck: their seeds
    are weighted alike, and no resample sets one above the other.
    """
    first: dict[tuple[tuple[int, ...], bytes], int] = {}
    return [first.setdefault((one.shape, one.tobytes()), m) for m, one in enumerate(scores)]


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Point estimates and resampled values of one metric for several models.

    Attributes
    ----------
    metric : str
    scored : ndarray of bool, shape (n_classes,)
        Classes that count into the macro value: those with an observed positive and an
        observed negative, or the ones that were asked for.
    run_values : tuple of ndarray, one a model, shape (n_seeds, n_classes)
        The metric of each run on the clips as they are; NaN where a class is not scored.
    class_values : ndarray, shape (n_resamples, n_models, n_classes)
        Resampled values with seeds resampled too; NaN where a class is not scored or lost all
        its positives or all its negatives, which happens to all models in the same resamples.
    clip_values : ndarray, shape (n_resamples, n_models)
        Resampled macro values with every seed kept: clips are the only source of spread.
    redrawn : float
        Share of resamples that were to be expected to lose a class; these were drawn again. 0 where
        they were so few that they are left out.
    class_bias, class_clip_sd : ndarray, shape (n_models, n_classes)
        Bias and standard error of each class's value from clips alone; NaN for a class that is not
        scored. Where they are None there are no intervals of classes.
    """

    metric: str
    scored: np.ndarray
    run_values: tuple[np.ndarray, ...]
    class_values: np.ndarray
    clip_values: np.ndarray
    class_bias: np.ndarray | None = None
    class_clip_sd: np.ndarray | None = None
    redrawn: float = 0.0

    @cached_property
    def class_estimate(self) -> np.ndarray:
        """Mean over seeds per model and class, shape (n_models, n_classes)."""
        return np.stack([values.mean(axis=0) for values in self.run_values])

    @cached_property
    def estimate(self) -> np.ndarray:
        """Macro value per model, mean over seeds, shape (n_models,)."""
        return self.class_estimate[:, self.scored].mean(axis=1)

    @cached_property
    def _kept(self) -> np.ndarray:
        """Resamples in which every scored class could be scored, bool."""
        return ~np.isnan(self.class_values[:, 0, self.scored]).any(axis=1)

    @cached_property
    def values(self) -> np.ndarray:
        """Resampled macro values, shape (n_kept, n_models), dropped resamples left out."""
        return self.class_values[self._kept][:, :, self.scored].mean(axis=2)

    @cached_property
    def values_over_clips(self) -> np.ndarray:
        """Resampled macro values of clips alone, as if there were no chance in training seeds."""
        return self.clip_values[self._kept]

    @property
    def n_dropped(self) -> int:
        """Resamples dropped, for all models alike, as a class could not be scored."""
        return int((~self._kept).sum())

    @cached_property
    def sampling_sd(self) -> np.ndarray:
        """Standard error of the macro value from clips alone, shape (n_models,)."""
        return self.values_over_clips.std(axis=0, ddof=1)

    @cached_property
    def bias(self) -> np.ndarray:
        """By how much each macro value is too high on average as clips are few, shape (n_models,).

        The bootstrap's own estimate, from clips alone: the mean resampled value minus the value.
        With 60 positives a class it finds some 80 % of the bias of mAP, with 9 to 23 about half.
        """
        return self.values_over_clips.mean(axis=0) - self.estimate

    @property
    def corrected(self) -> np.ndarray:
        """Macro values less their bias, shape (n_models,)."""
        return self.estimate - self.bias

    @cached_property
    def seed_sd(self) -> np.ndarray:
        """Standard deviation of the macro value between seeds, shape (n_models,).

        NaN for a model with one seed: its spread is unknown, not zero.
        """
        macro = [values[:, self.scored].mean(axis=1) for values in self.run_values]
        return np.array([m.std(ddof=1) if len(m) > 1 else np.nan for m in macro])

    def interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Basic interval of each macro value, clipped to [0, 1]; shapes (n_models,)."""
        lower, upper = basic_interval(self.estimate, self.values, level)
        return lower.clip(0, 1), upper.clip(0, 1)

    def class_interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Interval of each class's value, symmetric in log odds around the value less its bias.

        Returns
        -------
        lower, upper : ndarray, shape (n_models, n_classes)
            NaN for a class that is not scored.
        """
        from scipy import stats  # half a second: imported where it is used
        from scipy.special import expit, logit

        squares = (stats.norm.ppf((1 + level) / 2) * self.class_clip_sd) ** 2
        for m, values in enumerate(self.run_values):
            if (n := len(values)) > 1:
                t = stats.t.ppf((1 + level) / 2, n - 1)
                squares[m] += t**2 * values.var(axis=0, ddof=1) / n
        centre = (self.class_estimate - self.class_bias).clip(1e-6, 1 - 1e-6)
        half = np.sqrt(squares) / (centre * (1 - centre))
        ends = (expit(logit(centre) + side * half) for side in (-1, 1))
        # what doesn't vary at all, as a perfect ranking, stays what it is
        lower, upper = (np.where(half == 0, self.class_estimate, end) for end in ends)
        return lower, upper


def basic_interval(
    estimate: np.ndarray, values: np.ndarray, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Basic (reverse percentile) bootstrap interval.

    Parameters
    ----------
    estimate : ndarray, any shape
        Values on the data as they are.
    values : ndarray, shape (n_resamples, *estimate.shape)
        Resampled values; NaN ones are left out.
    level : float
        Nominal coverage in (0, 1).

    Returns
    -------
    lower, upper : ndarray, shape of `estimate`
        ``2 * estimate - q`` for the upper and the lower order statistic q. An interval
        excludes 0 exactly where :func:`p_value` is at most ``1 - level``.

    Raises
    ------
    ProtocolError
        For a level outside (0, 1) or too few resamples to reach it.
    """
    if not 0 < level < 1:
        raise ProtocolError(f"an interval's level must be in (0, 1), got {level}")
    estimate, values = np.asarray(estimate), np.asarray(values)
    n = (~np.isnan(values)).sum(axis=0)
    # 1e-9: (1 - 0.95) / 2 * 2000 is 50.000000000000044
    k = np.floor((n + 1) * (1 - level) / 2 + 1e-9).astype(np.int64)
    if k.size and k.min() < 1:
        raise ProtocolError(
            f"{n.min()} resamples with a value are too few for an interval at level "
            f"{level:g}: it takes {int(np.ceil(2 / (1 - level) - 1e-9)) - 1}. Ask for more "
            f"resamples"
        )
    ordered = np.sort(values, axis=0)  # NaN last
    low = np.take_along_axis(ordered, (k - 1)[None], axis=0)[0]
    high = np.take_along_axis(ordered, (n - k)[None], axis=0)[0]
    return 2 * estimate - high, 2 * estimate - low


def p_value(estimate: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Two-sided p-value of the hypothesis that the true value is 0.

    The bootstrap distribution of ``values - estimate`` stands for the sampling distribution
    under the hypothesis: ``p = 2 * (1 + m) / (n + 1)``, at most 1, with m the smaller count of
    resamples whose deviation is at least, or at most, `estimate` (Davison and Hinkley, 1997,
    4.2). The dual of :func:`basic_interval`; never below ``2 / (n + 1)``.

    Parameters
    ----------
    estimate : ndarray, any shape
        Differences on the data as they are.
    values : ndarray, shape (n_resamples, *estimate.shape)
        Resampled differences; NaN ones are left out.

    Returns
    -------
    ndarray, shape of `estimate`
    """
    estimate, values = np.asarray(estimate), np.asarray(values)
    n = (~np.isnan(values)).sum(axis=0)
    above = (values >= 2 * estimate).sum(axis=0)
    below = (values <= 2 * estimate).sum(axis=0)
    return np.minimum(1.0, 2 * (1 + np.minimum(above, below)) / (n + 1))


def bootstrap(
    y_positive: np.ndarray,
    y_mask: np.ndarray,
    scores: Sequence[np.ndarray],
    *,
    groups: np.ndarray | None = None,
    metric: str = "average_precision",
    thresholds: np.ndarray | float | Sequence[np.ndarray] | None = None,
    classes: Sequence[int] | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
    weights_seed: int | None = None,
    n_threads: int | None = None,
) -> Bootstrap:
    """Resample clips, and each model's training seeds, and score all models on each resample.

    Every resample draws as many groups as there are, with replacement, the same for all models
    and seeds (paired), and then each model's seeds, independently (:func:`seed_weights`), but
    those of models that score alike (:func:`alike`) together. A resample that loses all positives
    or negatives of a class is left out, or drawn again where that happens to more than `MOST_LOST`
    of them. A model's value is the mean over its seeds. Values agree with scikit-learn's on the
    resampled data to 1e-10, and do not depend on the number of threads.

    Parameters
    ----------
    y_positive, y_mask : ndarray of bool, shape (n_clips, n_classes)
        Positives, and which labels were observed; the others are never looked at.
    scores : sequence of ndarray, shape (n_seeds, n_clips, n_classes) or (n_clips, n_classes)
        One array a model; numbers of seeds may differ. An array of four dimensions will do.
    groups : ndarray, shape (n_clips,), optional
        Clips of one group (artist, work, video) are drawn together. By default each clip is
        its own group.
    metric : {"average_precision", "f1"}
        Macro averages are mAP and macro F1 of the positive class.
    thresholds : float, ndarray of shape (n_classes,), or a sequence with one a model, optional
        For "f1": scores at or above are a "yes". A model's entry may be a float or of shape
        (n_classes,) or (n_seeds, n_classes). They stay fixed: choose them on other clips.
    classes : sequence of int, optional
        Classes to score. By default all that have an observed positive and an observed
        negative.
    n_resamples : int
    seed : int
        Of the resampling, not negative; has nothing to do with training seeds.
    weights_seed : int, optional
        Of the weights of training seeds; by default `seed`. The same runs on several parts, each
        resampled with a `seed` of its own, keep their weights by it.
    n_threads : int, optional
        By default the number of processors this process may use.

    Returns
    -------
    Bootstrap

    Raises
    ------
    ProtocolError
        For shapes that do not fit, NaN scores, an unknown metric, a class asked for without
        an observed positive or negative, or no class that can be scored.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.random((500, 3)) < 0.2
    >>> good, poor = (truth + rng.normal(0, noise, (500, 3)) for noise in (0.5, 1.0))
    >>> result = bootstrap(truth, np.ones_like(truth), [good, poor], n_resamples=999)
    >>> result.values.shape
    (999, 2)
    >>> lower, upper = result.interval(0.95)
    """
    if metric not in METRICS:
        raise ProtocolError(f"unknown metric {metric!r}. Known: {', '.join(METRICS)}.")
    if n_resamples < 1:
        raise ProtocolError(f"n_resamples must be at least 1, got {n_resamples}")
    y_positive, y_mask = np.asarray(y_positive), np.asarray(y_mask)
    check_labels(y_positive, y_mask)
    models = check_scores(scores, y_mask)
    scored = scored_classes(y_positive, y_mask, classes)
    labels = ObservedColumns.of(y_positive, y_mask & scored, group_numbers(groups, len(y_mask)))
    if metric == "f1":
        plans = [
            [DecisionPlan.of(labels, run, cut) for run, cut in zip(score, cuts, strict=True)]
            for score, cuts in zip(models, spread_thresholds(thresholds, models), strict=True)
        ]
    else:
        plans = [[RankingPlan.of(labels, run) for run in score] for score in models]
    seeds = seed, seed if weights_seed is None else weights_seed
    return _resample(plans, labels, metric, scored, n_resamples, seeds, alike(models), n_threads)


def _resample(
    plans: list[list[RankingPlan]] | list[list[DecisionPlan]],
    labels: ObservedColumns,
    metric: str,
    scored: np.ndarray,
    n_resamples: int,
    seeds: tuple[int, int],
    first: Sequence[int],
    n_threads: int | None,
) -> Bootstrap:
    """Evaluate block after block, spread over threads; scipy and numpy release the GIL."""
    n_blocks = -(-n_resamples // BLOCK)
    class_values = np.empty((n_blocks * BLOCK, len(plans), len(scored)))
    clip_values = np.empty((n_blocks * BLOCK, len(plans)))
    moments = np.empty((3, n_blocks, len(plans), len(scored)))
    once = np.ones((labels.n_groups, 1), labels.dtype)
    draws = _Draws.of(labels, seeds[0])
    run_values = tuple(np.stack([run.evaluate(once)[:, 0] for run in runs]) for runs in plans)

    def evaluate(block: int) -> None:
        counts = count_draws(draws.block(block), labels.dtype)
        rows = slice(block * BLOCK, (block + 1) * BLOCK)
        for m, runs in enumerate(plans):
            values = np.stack([run.evaluate(counts) for run in runs])
            over_clips = values.mean(axis=0)
            clip_values[rows, m] = over_clips[scored].mean(axis=0)
            deviation = over_clips[:, : n_resamples - rows.start].T - run_values[m].mean(axis=0)
            moments[:, block, m] = _moments(deviation)
            weights = seed_weights(len(runs), seeds[1], block, first[m])
            class_values[rows, m] = (values * weights[:, None]).sum(axis=0).T

    with ThreadPoolExecutor(n_threads or n_processors()) as pool:
        list(pool.map(evaluate, range(n_blocks)))
    return Bootstrap(
        metric,
        scored,
        run_values,
        class_values[:n_resamples],
        clip_values[:n_resamples],
        *_mean_and_sd(moments.sum(axis=1)),
        draws.redrawn,
    )


@dataclass(frozen=True, eq=False)
class _Draws:
    """The resamples of some labels.

    Attributes
    ----------
    seed : int
    holds : ndarray of float32, shape (n_groups, n_kinds)
        1 where a group holds a label of a kind: positives, or negatives, of one class.
    """

    seed: int
    holds: np.ndarray

    @classmethod
    def of(cls, labels: ObservedColumns, seed: int) -> "_Draws":
        """Collect the groups that hold positives, and negatives, of each class."""
        ends = np.cumsum([len(hit) for _, hit in labels.columns])
        columns = zip(np.split(labels.group, ends[:-1]), labels.columns, strict=True)
        kinds = [group[hit == kind] for group, (_, hit) in columns for kind in (True, False)]
        holds = np.zeros((labels.n_groups, len(kinds)), np.float32)
        for k, groups in enumerate(kinds):
            holds[groups, k] = 1
        return cls(seed, holds[:, holds.any(axis=0)])

    @cached_property
    def redrawn(self) -> float:
        """Share of resamples that can be expected to lose a kind of labels, 0 where it is small."""
        n = len(self.holds)
        lost = 1 - np.prod(1 - (1 - self.holds.sum(axis=0) / n) ** n)
        return float(lost) if lost > MOST_LOST else 0.0

    def block(self, number: int) -> np.ndarray:
        """Return the groups that the resamples of a block draw; see :func:`clip_draws`."""
        drawn = clip_draws(len(self.holds), self.seed, number)
        if not self.redrawn:
            return drawn
        kept = drawn[self._keeps(drawn)]
        for again in range(MOST_REDRAWS):
            if len(kept) >= BLOCK:
                break
            more = clip_draws(len(self.holds), self.seed, number, 0, again)
            kept = np.concatenate([kept, more[self._keeps(more)]])
        return np.concatenate([kept, drawn])[:BLOCK]  # what could not be filled is left out

    def _keeps(self, drawn: np.ndarray) -> np.ndarray:
        """Whether a resample holds labels of all kinds, bool, shape (BLOCK,)."""
        present = np.zeros((BLOCK, len(self.holds)), np.float32)
        np.put_along_axis(present, drawn.astype(np.int64), 1, axis=1)
        return (present @ self.holds > 0).all(axis=1)


def _moments(deviation: np.ndarray) -> np.ndarray:
    """Return number, sum and sum of squares of what is not NaN, down the first axis."""
    known = ~np.isnan(deviation)
    deviation = np.where(known, deviation, 0)
    return np.stack([known.sum(axis=0), deviation.sum(axis=0), (deviation**2).sum(axis=0)])


def _mean_and_sd(moments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what sums of :func:`_moments` amount to; NaN of fewer than two values."""
    number, total, squares = np.where(moments[0] > 1, moments, np.nan)
    mean = total / number
    return mean, np.sqrt((squares - number * mean**2).clip(0) / (number - 1))


def n_processors() -> int:
    """Return the number of processors this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
