"""Simulated comparisons: what tests and intervals promise is held against a known truth."""

import numpy as np
from scipy import stats

from benchmark.scoring.bootstrap import BLOCK, basic_interval, bootstrap, p_value, seed_weights
from benchmark.scoring.counting import ObservedColumns, RankingPlan

#: Clips are resampled so often in a paired test: Holm's level for 78 pairs lies below 1 / 1,500.
N_RESAMPLES = 10_000

#: Levels of the tests: a single one, and the strictest of 78 by Holm.
LEVELS = np.array([0.05, 0.05 / 78])


def paired_p_values(
    n_seeds: int, seed_sd: float, both: bool, difference: float, n_repetitions: int, seed: int = 0
) -> np.ndarray:
    """Return the p-values of a paired test of two models, over and over.

    Clips and seeds let the models' values vary normally. The unit is the standard error that
    clips give to the difference.

    Parameters
    ----------
    n_seeds : int
        Of both models.
    seed_sd : float
        Standard deviation between seeds of the first model, and of the second if `both`; else
        the second has one value for all seeds.
    difference : float
        Between the true values.
    n_repetitions, seed : int

    Returns
    -------
    ndarray, shape (n_repetitions,)
    """
    rng = np.random.default_rng(seed)
    blocks = range(-(-N_RESAMPLES // BLOCK))
    weights = [
        np.concatenate([seed_weights(n_seeds, seed, block, model) for block in blocks], axis=1)
        for model in range(2)
    ]
    clips = rng.standard_normal((weights[0].shape[1], 1))
    p = []
    for first in range(0, n_repetitions, 500):
        shape = min(500, n_repetitions - first), n_seeds
        runs = seed_sd * rng.standard_normal((2, *shape)) * [[[1.0]], [[float(both)]]]
        luck = difference + rng.standard_normal(shape[0])
        found = luck + runs[0].mean(axis=1) - runs[1].mean(axis=1)
        drawn = luck + clips + (runs[0] @ weights[0] - runs[1] @ weights[1]).T
        p.append(p_value(found, drawn))
    return np.concatenate(p)


def rejected(*case: float, n_repetitions: int) -> np.ndarray:
    """Return the share of tests that reject at each of `LEVELS`; see :func:`paired_p_values`."""
    p = paired_p_values(*case, n_repetitions=n_repetitions)
    return (p[:, None] <= LEVELS + 1e-12).mean(axis=0)


#: By how many standard deviations the scores of a class's positives lie above those of others.
SEPARATION = np.linspace(1.0, 3.0, 20)

#: Clips of a part, the chance that each class is in one, and whether clips come in groups.
REGIMES = {
    "test: 60 positives a class, 2,000 clips": (2000, np.full(20, 0.03), False),
    "select: 9 to 23 positives a class, 1,100 clips": (1100, np.linspace(9, 23, 20) / 1100, False),
    "198 unequal groups, as good as 34": (1100, np.full(20, 0.12), True),
}


def make_part(regime: str, seed: int, n_groups: int = 198) -> tuple[np.ndarray, ...]:
    """Return labels, scores and groups of one part of `REGIMES`.

    A group has a size, chances of the classes and a bias of their scores of its own.
    """
    n_clips, chances, grouped = REGIMES[regime]
    rng = np.random.default_rng(seed)
    groups, bias = np.arange(n_clips), 0.0
    if grouped:
        size = rng.lognormal(0, 1.33, n_groups)
        groups = np.repeat(
            np.arange(n_groups), np.ceil(size / size.mean() * n_clips / 198).astype(int)
        )
        shape = n_groups, len(chances)
        chances = rng.beta(3 * chances, 3 * (1 - chances), shape)[groups]
        bias = 0.5 * rng.standard_normal(shape)[groups]
    truth = rng.random((len(groups), len(SEPARATION))) < chances
    scores = truth * SEPARATION + bias + rng.standard_normal(truth.shape)
    return truth, scores.astype(np.float32), groups


def true_average_precision(regime: str) -> np.ndarray:
    """Return what average precision would be on endless clips, shape (n_classes,)."""
    _, chances, grouped = REGIMES[regime]
    if not grouped:
        return population_average_precision(SEPARATION, chances)
    truth, scores, _ = make_part(regime, 12345, n_groups=15_000)
    return bootstrap(truth, np.ones_like(truth), [scores], n_resamples=1).class_estimate[0]


def population_average_precision(separation: np.ndarray, prevalence: np.ndarray) -> np.ndarray:
    """Precision at the score of a positive, averaged over positives; any shape."""
    z = np.linspace(-8, 14, 10_001)[:, None]
    positive = prevalence * stats.norm.sf(z - separation)
    precision = positive / (positive + (1 - prevalence) * stats.norm.sf(z))
    return np.trapezoid(precision * stats.norm.pdf(z - separation), z, axis=0)


def coverage(regime: str, n_repetitions: int, n_resamples: int = 399) -> dict[str, float]:
    """Return how often intervals of 95 % hold the truth, how long they are, and the bias.

    Keys: ``macro`` and its ``macro length``, ``half`` and ``half length`` of the macro interval by
    half-sampling, ``class`` (mean over classes) and ``class length``, ``bias`` of the macro value
    and ``bias found`` by the bootstrap.
    """
    true = true_average_precision(regime)
    rows = []
    for seed in range(n_repetitions):
        truth, scores, groups = make_part(regime, seed)
        found = bootstrap(
            truth, np.ones_like(truth), [scores],
            groups=groups, n_resamples=n_resamples, seed=seed,
        )  # fmt: skip
        known = found.scored
        low, high = found.interval()
        class_low, class_high = found.class_interval()
        held = (class_low[0] <= true) & (true <= class_high[0])
        macro = true[known].mean()
        half_low, half_high = basic_interval(
            found.estimate[0], half_samples(truth, scores, groups, n_resamples, seed)
        )
        rows.append(
            {
                "macro": low[0] <= macro <= high[0],
                "macro length": high[0] - low[0],
                "half": half_low <= macro <= half_high,
                "half length": half_high - half_low,
                "class": held[known].mean(),
                "class length": (class_high - class_low)[0, known].mean(),
                "bias": found.estimate[0] - macro,
                "bias found": found.bias[0],
            }
        )
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def half_samples(
    truth: np.ndarray, scores: np.ndarray, groups: np.ndarray, n_resamples: int, seed: int
) -> np.ndarray:
    """Return mAP on random halves of the groups, shape (n_resamples,); NaN where a class is lost.

    Half of the groups, drawn without replacement, let a mean vary as much as as many groups as
    there are, drawn with replacement. No positive stands next to itself in such a half.
    """
    labels = ObservedColumns.of(truth, np.ones_like(truth), groups)
    rng = np.random.default_rng(seed)
    drawn = rng.random((labels.n_groups, n_resamples)).argsort(axis=0) < labels.n_groups // 2
    values = RankingPlan.of(labels, scores).evaluate(drawn.astype(labels.dtype))
    return values.mean(axis=0)
