"""Simulated comparisons: what tests and intervals promise is held against a known truth."""

import numpy as np

from benchmark.scoring.bootstrap import BLOCK, p_value, seed_weights

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
