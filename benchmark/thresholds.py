"""Decision thresholds, chosen on the *select* part alone.

A score at or above its threshold is a "yes". Both searches are exact: they look at every
distinct observed score.
"""

import numpy as np

from benchmark.metrics import Ranking

#: Policies in the order of the tables; the global threshold gives the headline F1.
POLICIES = ("global", "per_class", "half")


def _f1(true_positives: np.ndarray, predicted: np.ndarray, n_positive: np.ndarray) -> np.ndarray:
    return 2 * true_positives / np.maximum(predicted + n_positive, 1)


def per_class(ranking: Ranking) -> np.ndarray:
    """Return each class's threshold of highest F1, shape (n_classes,).

    Among thresholds of equal F1 the highest is taken. A class that can't be scored gets
    0.5.
    """
    f1 = _f1(ranking.true_positives, ranking.predicted, ranking.n_positive)
    best = np.where(ranking.is_end, f1, -1.0).argmax(axis=0)
    threshold = ranking.scores[best, np.arange(ranking.scores.shape[1])]
    return np.where(ranking.scorable, threshold, 0.5)


def global_(ranking: Ranking) -> float:
    """Return the one threshold of highest macro F1 over the classes that can be scored.

    Among thresholds of equal macro F1 the highest is taken; 0.5 if no class can be scored.
    """
    classes = np.flatnonzero(ranking.scorable)
    if not classes.size:
        return 0.5
    observed = ranking.scores[:, classes]
    candidates = np.unique(observed[np.isfinite(observed)])
    total = np.zeros(len(candidates))
    for c in classes:
        ends = np.flatnonzero(ranking.is_end[:, c])[::-1]
        scores = ranking.scores[ends, c]
        # the run of ties that a candidate reaches down to; past the top nothing is predicted
        reach = np.searchsorted(scores, candidates, side="left")
        counts = [
            np.append(a[ends, c], 0)[reach] for a in (ranking.true_positives, ranking.predicted)
        ]
        total += _f1(*counts, ranking.n_positive[c])
    return float(candidates[len(total) - 1 - total[::-1].argmax()])


def choose(ranking: Ranking) -> dict[str, np.ndarray]:
    """Return the thresholds of every policy in `POLICIES`, each of shape (n_classes,)."""
    n_classes = ranking.scores.shape[1]
    return {
        "global": np.full(n_classes, global_(ranking)),
        "per_class": per_class(ranking),
        "half": np.full(n_classes, 0.5),
    }
