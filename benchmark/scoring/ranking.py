"""Comparison of models over resampled metrics: differences, ranks, critical difference, wins.

The first view rests on the paired bootstrap over clips (:mod:`benchmark.scoring.bootstrap`).
Tests that answer one question are one family, corrected together (Holm): the best model against
each other one, a tuned model against its default, and, as a supplement, every pair. The set of
models that are not significantly worse than the best leaves out the truly best one in at most 5 %
of cases. But as the best is picked on the same clips, some of many *equal* models is found worse
more often than that (15 equal ones: 19 %); the family of all pairs is safe from that too.
The conventional view beside it is the Friedman test with
Nemenyi's critical difference, which sees one rank per model and class and no clips.

References
----------
S. Holm, "A simple sequentially rejective multiple test procedure", *Scandinavian Journal of
Statistics* 6, 65-70, 1979.
J. Demšar, "Statistical comparisons of classifiers over multiple data sets", *Journal of
Machine Learning Research* 7, 1-30, 2006.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from benchmark.errors import ProtocolError
from benchmark.scoring.bootstrap import Bootstrap, basic_interval, p_value

#: Level of intervals, and one minus that of tests.
LEVEL = 0.95


def holm(p: np.ndarray) -> np.ndarray:
    """Adjust p-values for testing them all (Holm, 1979); strong control of the error rate.

    Parameters
    ----------
    p : ndarray, shape (n_tests,)

    Returns
    -------
    ndarray, shape (n_tests,)
        The smallest level at which each hypothesis is rejected, at most 1.
    """
    p = np.asarray(p, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1)
    return adjusted


def _check_models(n_models: int, least: int, what: str) -> None:
    if n_models < least:
        raise ProtocolError(f"{what} takes at least {least} runs to compare, got {n_models}")


def resamples_needed(n_tests: int, level: float = LEVEL) -> int:
    """Return the least number of resamples by which any of several tests can be significant.

    Parameters
    ----------
    n_tests : int
        Tests that Holm's correction is taken over.
    level : float
        One minus the level of the tests.
    """
    return int(np.ceil(2 * n_tests / (1 - level) - 1e-6)) - 1


def _check_resolution(n_tests: int, n_resamples: int, level: float) -> None:
    """Refuse tests that could not come out significant whatever the data."""
    needed = resamples_needed(n_tests, level)
    if n_resamples < needed:
        raise ProtocolError(
            f"{n_resamples} resamples that can score all classes are too few to correct for "
            f"{n_tests} tests at level {level:g}: it takes {needed}. Ask for more resamples, "
            "compare fewer models, or score a part with more positives"
        )


@dataclass(frozen=True, eq=False)
class Family:
    """Tests that answer one question, and are corrected for their number together.

    Attributes
    ----------
    pairs : tuple of (int, int)
        The models of each test.
    difference, lower, upper : ndarray, shape (n_tests,)
        Of the first model minus the second, with its plain interval.
    p, p_holm : ndarray, shape (n_tests,)
        Two-sided p-value, plain and corrected over this family.
    at_floor : ndarray of bool, shape (n_tests,)
        Where `p_holm` is the least that the resamples can show: it is to be read as "<".
    level : float
    """

    pairs: tuple[tuple[int, int], ...]
    difference: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    p: np.ndarray
    p_holm: np.ndarray
    at_floor: np.ndarray
    level: float

    @property
    def significant(self) -> np.ndarray:
        """Where the corrected p-value is at most one minus the level, bool, shape (n_tests,)."""
        return _significant(self.p_holm, self.level)


def _significant(p_holm: np.ndarray, level: float) -> np.ndarray:
    return p_holm <= 1 - level + 1e-12


@dataclass(frozen=True, eq=False)
class Pairwise:
    """Paired differences of macro values between all models.

    Every attribute but `level` and `floor` has shape (n_models, n_models); entry [i, j] is about
    model i minus model j.

    Attributes
    ----------
    difference : ndarray
        Of the point estimates.
    lower, upper : ndarray
        Basic interval of the difference, of this pair alone: not corrected for the number of
        pairs.
    p, p_holm : ndarray
        Two-sided p-value, plain and corrected over all pairs; 1 on the diagonal.
    twice_the_seeds, endless_seeds : ndarray
        Half the width that the interval can be expected to have with twice the training seeds,
        and with so many that only the clips are left to chance; 0 on the diagonal.
    level : float
    floor : float
        Least p-value that the resamples can show.
    """

    difference: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    p: np.ndarray
    p_holm: np.ndarray
    twice_the_seeds: np.ndarray
    endless_seeds: np.ndarray
    level: float
    floor: float

    @property
    def better(self) -> np.ndarray:
        """True where model i is significantly better than model j, of all pairs, bool."""
        return _significant(self.p_holm, self.level) & (self.difference > 0)

    @property
    def at_floor(self) -> np.ndarray:
        """True where `p_holm` is the least that the resamples can show: read it as "<"."""
        n_models = len(self.p)
        return _at_floor(self.p_holm, n_models * (n_models - 1) // 2, self.floor)

    @property
    def rank(self) -> np.ndarray:
        """Ranks that admit ties, int, shape (n_models,).

        One plus the number of models that are significantly better, of all pairs. A model whose
        value is known less well can have a better rank than one of a higher value: see
        :attr:`inversions`.
        """
        return 1 + self.better.sum(axis=0)

    @property
    def inversions(self) -> tuple[tuple[int, int], ...]:
        """Models (i, j) where i has the lower value and the better rank.

        It isn't the better model of the two: its value is known less well, so that fewer models
        differ significantly from it.
        """
        wrong = (self.difference < 0) & (self.rank[:, None] < self.rank)
        return tuple((int(i), int(j)) for i, j in np.argwhere(wrong))

    @property
    def best(self) -> int:
        """The model of the highest value."""
        return int(self.difference[:, 0].argmax())

    def family(self, pairs: Sequence[tuple[int, int]]) -> Family:
        """Correct the tests of some pairs for their number, and for no other test."""
        rows = tuple(np.array(pairs, dtype=int).reshape(-1, 2).T)
        p_holm = holm(self.p[rows])
        return Family(
            tuple(pairs),
            *(values[rows] for values in (self.difference, self.lower, self.upper, self.p)),
            p_holm,
            _at_floor(p_holm, len(pairs), self.floor),
            self.level,
        )

    @cached_property
    def against_best(self) -> Family:
        """The best model against each other one, in their order."""
        return self.family([(self.best, j) for j in range(len(self.p)) if j != self.best])

    @cached_property
    def among_best(self) -> np.ndarray:
        """The best model and those not significantly worse, bool, shape (n_models,)."""
        family, among = self.against_best, np.ones(len(self.p), bool)
        among[[j for _, j in family.pairs]] = ~family.significant
        return among


def paired(result: Bootstrap, pairs: Sequence[tuple[int, int]]) -> Family:
    """Test some pairs of models, one at least, on the same resamples, as one family.

    Raises
    ------
    ProtocolError
        For too few resamples for this number of pairs.
    """
    first, second = np.array(pairs).T
    _check_resolution(len(pairs), len(result.values), LEVEL)
    difference = result.estimate[first] - result.estimate[second]
    values = result.values[:, first] - result.values[:, second]
    p = p_value(difference, values)
    p_holm = holm(p)
    floor = 2 / (len(values) + 1)
    return Family(
        tuple(pairs),
        difference,
        *basic_interval(difference, values, LEVEL),
        p,
        p_holm,
        _at_floor(p_holm, len(pairs), floor),
        LEVEL,
    )


def _at_floor(p_holm: np.ndarray, n_tests: int, floor: float) -> np.ndarray:
    """Where a corrected p-value is the least that `n_tests` tests can show."""
    return p_holm <= min(1.0, n_tests * floor) * (1 + 1e-9)


def pairwise(result: Bootstrap, level: float = LEVEL) -> Pairwise:
    """Test every pair of models on the same resamples.

    Parameters
    ----------
    result : Bootstrap
        Of two models or more.
    level : float
        Of the intervals, and one minus the level of the tests.

    Raises
    ------
    ProtocolError
        For fewer than two models, or too few resamples for this number of pairs.
    """
    n_models, n_resamples = len(result.estimate), len(result.values)
    _check_models(n_models, 2, "a paired test")
    first, second = np.triu_indices(n_models, 1)
    _check_resolution(len(first), n_resamples, level)
    difference = result.estimate[first] - result.estimate[second]
    values = result.values[:, first] - result.values[:, second]
    lower, upper = basic_interval(difference, values, level)
    p = p_value(difference, values)
    clips = result.values_over_clips
    low, high = basic_interval(difference, clips[:, first] - clips[:, second], level)
    endless = (high - low) / 2
    squares = _half_width_of_seeds(result, level, times=2) ** 2
    twice = np.sqrt(endless**2 + squares[first] + squares[second])
    twice[(values == 0).all(axis=0)] = 0  # one model under two names: no seed tells them apart
    matrices = {}
    for name, above, below, diagonal in (
        ("difference", difference, -difference, 0.0),
        ("lower", lower, -upper, 0.0),
        ("upper", upper, -lower, 0.0),
        ("p", p, p, 1.0),
        ("p_holm", holm(p), holm(p), 1.0),
        ("twice_the_seeds", twice, twice, 0.0),
        ("endless_seeds", endless, endless, 0.0),
    ):
        matrix = np.full((n_models, n_models), diagonal)
        matrix[first, second], matrix[second, first] = above, below
        matrices[name] = matrix
    return Pairwise(**matrices, level=level, floor=2 / (n_resamples + 1))


def _half_width_of_seeds(result: Bootstrap, level: float, times: int) -> np.ndarray:
    """Return half the width of each mean over seeds, with `times` as many, from seeds alone.

    Their standard deviation is taken to stay what it is; 0 for a model with one seed, whose
    spread is unknown.
    """
    from scipy import stats  # half a second: imported where it is used

    n = times * np.array([len(values) for values in result.run_values])
    widths = stats.t.ppf((1 + level) / 2, n - 1) * result.seed_sd / np.sqrt(n)
    return np.nan_to_num(widths)


@dataclass(frozen=True, eq=False)
class WinTieLoss:
    """In which classes one model beats another.

    Attributes
    ----------
    outcome : ndarray of int, shape (n_models, n_models, n_classes)
        Entry [i, j, c] is 1 where model i is significantly better than model j in class c,
        -1 where it is worse, 0 for a tie; 0 too for a class that is not scored.
    difference, lower, upper : ndarray, shape (n_models, n_models, n_classes)
        Of model i minus model j, with its basic interval, not corrected; NaN where a class
        is not scored.
    scored : ndarray of bool, shape (n_classes,)
    """

    outcome: np.ndarray
    difference: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    scored: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """Wins, ties and losses of model i against j, int, shape (n_models, n_models, 3)."""
        outcome = self.outcome[:, :, self.scored]
        return np.stack([(outcome == sign).sum(axis=2) for sign in (1, 0, -1)], axis=2)


def win_tie_loss(result: Bootstrap, level: float = LEVEL) -> WinTieLoss:
    """Compare every pair of models class by class.

    A class is won where its paired difference is significant after Holm's correction over the
    classes of that pair; without it, one class in 20 would be won or lost by luck.

    Raises
    ------
    ProtocolError
        For fewer than two models, or too few resamples for this number of classes.
    """
    n_models, n_classes = result.class_estimate.shape
    _check_models(n_models, 2, "a count of wins")
    scored = result.scored
    values = result.class_values[:, :, scored]
    _check_resolution(int(scored.sum()), int((~np.isnan(values[:, 0])).sum(axis=0).min()), level)
    shape = (n_models, n_models, n_classes)
    difference, lower, upper = (np.full(shape, np.nan) for _ in range(3))
    outcome = np.zeros(shape, np.int8)
    for i, j in zip(*np.triu_indices(n_models, 1), strict=True):
        gap = (result.class_estimate[i] - result.class_estimate[j])[scored]
        resampled = values[:, i] - values[:, j]
        low, high = basic_interval(gap, resampled, level)
        significant = holm(p_value(gap, resampled)) <= 1 - level + 1e-12
        outcome[i, j, scored] = np.where(significant, np.sign(gap), 0)
        outcome[j, i] = -outcome[i, j]
        difference[i, j, scored], difference[j, i, scored] = gap, -gap
        lower[i, j, scored], lower[j, i, scored] = low, -high
        upper[i, j, scored], upper[j, i, scored] = high, -low
    return WinTieLoss(outcome, difference, lower, upper, scored)


@dataclass(frozen=True, eq=False)
class CriticalDifference:
    """Data of a critical-difference diagram.

    Attributes
    ----------
    average_rank : ndarray, shape (n_models,)
        Over blocks; 1 is best, equal values share the mean of their ranks.
    statistic, p_friedman : float
        Friedman's chi-squared, corrected for ties, and its p-value.
    critical_difference : float
        Average ranks that differ by less are not told apart (Nemenyi).
    p : ndarray, shape (n_models, n_models)
        Nemenyi's p-values, corrected over all pairs by construction; 1 on the diagonal.
    groups : tuple of tuple of int
        Bars of the diagram: largest sets of two or more models that are not told apart, best
        first.
    """

    average_rank: np.ndarray
    statistic: float
    p_friedman: float
    critical_difference: float
    p: np.ndarray
    groups: tuple[tuple[int, ...], ...]


def _bars(average_rank: np.ndarray, critical: float) -> tuple[tuple[int, ...], ...]:
    order = np.argsort(average_rank, kind="stable")
    ordered = average_rank[order]
    bars, reached = [], 0
    for first in range(len(order)):
        end = int(np.searchsorted(ordered, ordered[first] + critical, side="left"))
        if end - first > 1 and end > reached:
            bars.append(tuple(int(i) for i in order[first:end]))
            reached = end
    return tuple(bars)


def critical_difference(values: np.ndarray, level: float = LEVEL) -> CriticalDifference:
    """Friedman test and Nemenyi's critical difference (Demšar, 2006, section 3.2.2).

    The blocks here are classes of one data set, not data sets: all classes are scored on the
    same clips by the same fitted models, so they are not independent, and the p-values only
    describe. The paired bootstrap is the test to report.

    Parameters
    ----------
    values : ndarray, shape (n_blocks, n_models)
        Higher is better, for example ``result.class_estimate.T``; blocks with NaN are left
        out.
    level : float
        One minus the level of the tests.

    Raises
    ------
    ProtocolError
        For fewer than three models (use :func:`pairwise`) or fewer than two blocks.
    """
    from scipy import stats  # half a second: imported where it is used

    values = np.asarray(values, dtype=np.float64)
    values = values[~np.isnan(values).any(axis=1)]
    n_blocks, n_models = values.shape
    _check_models(n_models, 3, "a Friedman test")
    if n_blocks < 2:
        raise ProtocolError(f"a Friedman test takes at least 2 classes, got {n_blocks}")
    average_rank = stats.rankdata(-values, axis=1).mean(axis=0)
    statistic, p_friedman = 0.0, 1.0
    if (values != values[:, :1]).any():  # all tied is 0 / 0
        statistic, p_friedman = (float(v) for v in stats.friedmanchisquare(*values.T))
    unit = np.sqrt(n_models * (n_models + 1) / (6 * n_blocks))
    gaps = np.abs(average_rank[:, None] - average_rank)
    spread = stats.studentized_range(n_models, np.inf)
    critical = float(spread.ppf(level) / np.sqrt(2) * unit)
    p = np.clip(spread.sf(gaps / unit * np.sqrt(2)), 0, 1)
    np.fill_diagonal(p, 1.0)
    return CriticalDifference(
        average_rank, statistic, p_friedman, critical, p, _bars(average_rank, critical)
    )
