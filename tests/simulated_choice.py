"""Simulated studies: what a way of choosing among trials promises, and what it delivers."""

from itertools import combinations

import numpy as np

from benchmark.protocol import N_FOLDS
from benchmark.tuning.choice import N_LEADERS

#: Trials of a study; trial 0 is the default.
N_TRIALS = 30
#: mAP of other trials minus that of the default: mean, and standard deviation between trials.
OTHERS = -0.01, 0.01
#: The training clips in blocks of 5 %; *select* is three of them, a fold four.
N_BLOCKS, SELECT = 20, slice(0, 3)

#: Each way of choosing, and how many fits it takes.
WAYS = {
    "best by select": N_TRIALS,
    "best three again by cross-validation": N_TRIALS + N_LEADERS * N_FOLDS,
    "nested cross-validation": N_TRIALS * (N_FOLDS + N_FOLDS * (N_FOLDS - 1) // 2),
}


def choices(
    clip_sd: float, fit_sd: float, n_repetitions: int, seed: int = 0
) -> dict[str, np.ndarray]:
    """Return what each way of choosing promises and delivers, study after study.

    A fit's mAP on some clips is the trial's true one, plus what the fit's own luck and that of
    the clips add, all of them normal. The promise is the chosen trial's mAP minus the default's:
    on *select*; or, nested, on folds that took no part in the choice. What is delivered is the
    difference of the true values.

    Parameters
    ----------
    clip_sd : float
        Standard deviation of a trial's luck with the clips of *select*.
    fit_sd : float
        Of a fit's luck.
    n_repetitions, seed : int

    Returns
    -------
    dict of str to ndarray, shape (2, n_repetitions)
        By the names of `WAYS`: promised and delivered.
    """
    rng = np.random.default_rng(seed)
    found: dict[str, list[np.ndarray]] = {name: [] for name in WAYS}
    for first in range(0, n_repetitions, 500):
        shape = min(500, n_repetitions - first), N_TRIALS
        true = rng.normal(*OTHERS, shape)
        true[:, 0] = 0.0
        blocks = true[..., None] + clip_sd * np.sqrt(3) * rng.standard_normal((*shape, N_BLOCKS))
        select = blocks[..., SELECT].mean(axis=-1) + fit_sd * rng.standard_normal(shape)
        folds = rng.permuted(
            np.tile(np.repeat(range(N_FOLDS), N_BLOCKS // N_FOLDS), (shape[0], 1)), axis=1
        )
        on = np.stack([_mean(blocks, folds == fold) for fold in range(N_FOLDS)], axis=-1)
        one_out = on + fit_sd * rng.standard_normal(on.shape)
        chosen = {
            "best by select": select.argmax(axis=1),
            "best three again by cross-validation": _again(select, one_out.mean(axis=-1)),
            "nested cross-validation": one_out.mean(axis=-1).argmax(axis=1),
        }
        for name, best in chosen.items():
            nested = name.startswith("nested")
            promised = _nested(on, one_out, fit_sd, rng) if nested else _gain(select, best)
            found[name].append(np.stack([promised, _gain(true, best)]))
    return {name: np.concatenate(parts, axis=1) for name, parts in found.items()}


def _mean(blocks: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Mean over the blocks that were chosen in each study, shape (n_studies, n_trials)."""
    return (blocks * chosen[:, None]).sum(axis=-1) / chosen.sum(axis=1)[:, None]


def _gain(values: np.ndarray, best: np.ndarray) -> np.ndarray:
    """Value of the chosen trial minus that of the default."""
    return values[np.arange(len(values)), best] - values[:, 0]


def _again(select: np.ndarray, validated: np.ndarray) -> np.ndarray:
    """Return which of the best trials by *select* is the best by cross-validation."""
    leaders = select.argsort(axis=1)[:, -N_LEADERS:]
    best = np.take_along_axis(validated, leaders, axis=1).argmax(axis=1)
    return leaders[np.arange(len(leaders)), best]


def _nested(
    on: np.ndarray, one_out: np.ndarray, fit_sd: float, rng: np.random.Generator
) -> np.ndarray:
    """Return the gain on each fold of what the other folds choose by cross-validation, averaged.

    A fit that leaves out two folds is scored on both, and serves the choice of either.
    """
    inner = np.zeros_like(on)
    for a, b in combinations(range(N_FOLDS), 2):
        fit = fit_sd * rng.standard_normal(on.shape[:2])
        inner[..., a] += on[..., b] + fit
        inner[..., b] += on[..., a] + fit
    gains = [_gain(one_out[..., fold], inner[..., fold].argmax(axis=1)) for fold in range(N_FOLDS)]
    return np.mean(gains, axis=0)
