"""Log losses of several models on one part, as they are and resampled by group."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from benchmark.runs.reading import StoredLabels

#: Resamples that are drawn at a time.
_BLOCK = 100


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
class Losses:
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
    ) -> "Losses":
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
