"""Decision thresholds, chosen on the *select* part alone.

A score at or above its threshold is a "yes". The searches for one global threshold and for one
a class are exact: they look at every distinct observed score.

Between the two lies shrinking. A class's own optimum rests on its few positives, the global one
on those of all classes, so each class takes a mean of both, weighted by its number of positives
n against that of a typical class, n0 (the median):

    weight of its own = s n / (s n + (1 - s) n0),    with the strength s in [0, 1].

This is the normal empirical-Bayes weight n / (n + k) (Efron and Morris, 1975), for errors whose
variance falls as 1 / n: the global threshold counts as much as k = n0 (1 - s) / s positives. The
strength is the weight in a class of n0 positives, whatever the data set; 0 gives the global
threshold and 1 the class's own. Means are taken on the logit scale. There a threshold of 0.01 is
as far from 0.1 as 0.9 is from 0.99, exchanging "yes" and "no" changes nothing, and no mean leaves
(0, 1); on the scale of the scores the larger of two thresholds would outweigh the other in every
rare class.

Scores may be calibrated before, class by class: by Platt's sigmoid or by isotonic regression.
For a perfectly calibrated score the threshold of highest F1 is half that F1 (Lipton, Elkan and
Naryanaswamy, 2014), so optima of different classes lie closer together than those of raw scores.

References
----------
B. Efron and C. Morris, "Data analysis using Stein's estimator and its generalizations",
*Journal of the American Statistical Association* 70, 311-319, 1975.
Z. C. Lipton, C. Elkan and B. Naryanaswamy, "Optimal thresholding of classifiers to maximize F1
measure", *ECML PKDD* 2014.
J. Platt, "Probabilistic outputs for support vector machines and comparisons to regularized
likelihood methods", *Advances in Large Margin Classifiers*, MIT Press, 1999.
B. Zadrozny and C. Elkan, "Transforming classifier scores into accurate multiclass probability
estimates", *KDD* 2002.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from scipy.special import expit, logit

from benchmark.scoring.metrics import Ranking

#: Policies in the order of the tables; the global threshold gives the headline F1.
POLICIES = ("global", "per_class", "half")

#: Rules that turn scores into thresholds, simplest first.
RULES = ("global", "half", "per_class", "shrunk")

#: What may be done to the scores before.
CALIBRATIONS = ("none", "platt", "isotonic")

#: Scores are kept this far from 0 and 1 where their logit is taken, as Keras does.
EDGE = 1e-7


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
    columns = []
    for c in classes:
        ends = np.flatnonzero(ranking.is_end[:, c])[::-1]
        counts = [a[ends, c] for a in (ranking.true_positives, ranking.predicted)]
        columns.append((ranking.scores[ends, c], *counts))
    # a threshold that reaches down to no further positive of any class adds only mistakes
    candidates = np.unique(
        np.concatenate([s[np.diff(hits, append=0) < 0] for s, hits, _ in columns])
    )
    total = np.zeros(len(candidates))
    for c, (scores, *counts) in zip(classes, columns, strict=True):
        # the run of ties that a candidate reaches down to; past the top nothing is predicted
        reach = np.searchsorted(scores, candidates, side="left")
        total += _f1(*(np.append(a, 0)[reach] for a in counts), ranking.n_positive[c])
    return float(candidates[len(total) - 1 - total[::-1].argmax()])


def choose(ranking: Ranking) -> dict[str, np.ndarray]:
    """Return the thresholds of every policy in `POLICIES`, each of shape (n_classes,)."""
    n_classes = ranking.scores.shape[1]
    return {
        "global": np.full(n_classes, global_(ranking)),
        "per_class": per_class(ranking),
        "half": np.full(n_classes, 0.5),
    }


def _logit(scores: np.ndarray) -> np.ndarray:
    return logit(np.clip(scores.astype(np.float64), EDGE, 1 - EDGE))


@dataclass(frozen=True)
class Policy:
    """A way to choose thresholds: a rule, after a calibration of the scores.

    Attributes
    ----------
    rule : str
        One of `RULES`.
    calibration : str
        One of `CALIBRATIONS`; ``"none"`` leaves the scores as they are.
    strength : float or None
        In [0, 1], for ``"shrunk"``: the weight of a typical class's own threshold.
    """

    rule: str
    calibration: str = "none"
    strength: float | None = None

    @property
    def name(self) -> str:
        """Rule and calibration, as in ``shrunk + platt``."""
        return self.rule if self.calibration == "none" else f"{self.rule} + {self.calibration}"

    def __str__(self) -> str:
        """Return the name with the strength, as in ``shrunk 0.40 + platt``."""
        if self.strength is None:
            return self.name
        return self.name.replace(self.rule, f"{self.rule} {self.strength:.2f}")


@dataclass(frozen=True, eq=False)
class Optima:
    """The exact optima on some clips; the thresholds of every rule follow from them.

    Attributes
    ----------
    global_ : float
    per_class : ndarray, shape (n_classes,)
    n_positive : ndarray, shape (n_classes,)
        Observed positives; 0 where the class can't be scored.
    """

    global_: float
    per_class: np.ndarray
    n_positive: np.ndarray

    @classmethod
    def of(cls, ranking: Ranking) -> "Optima":
        """Find the thresholds of highest F1 on some clips."""
        n_positive = np.where(ranking.scorable, ranking.n_positive, 0)
        return cls(global_(ranking), per_class(ranking), n_positive)

    def shrunk(self, strength: float) -> np.ndarray:
        """Return each class's own threshold, shrunk towards the global one.

        Parameters
        ----------
        strength : float
            In [0, 1]: 0 gives the global threshold, 1 each class's own, to the last bit.

        Returns
        -------
        ndarray, shape (n_classes,)
            A class that can't be scored gets the global threshold (0.5 at strength 1).
        """
        own = strength * self.n_positive
        rest = (1 - strength) * self._typical
        weight = np.divide(own, own + rest, out=np.ones(len(own)), where=own + rest > 0)
        shared, apart = self._logits
        mixed = expit((1 - weight) * shared + weight * apart)
        # a threshold has to meet the score that it was taken from, to the last bit
        ends = np.minimum(self.global_, self.per_class), np.maximum(self.global_, self.per_class)
        mixed = np.where(weight == 0, self.global_, np.clip(mixed, *ends))
        return np.where(weight == 1, self.per_class, mixed)

    @cached_property
    def _typical(self) -> float:
        """Number of positives of a typical class."""
        scored = self.n_positive[self.n_positive > 0]
        return float(np.median(scored)) if scored.size else 1.0

    @cached_property
    def _logits(self) -> tuple[float, np.ndarray]:
        """Log odds of the global threshold and of each class's own."""
        return _logit(np.float64(self.global_)), _logit(self.per_class)

    def thresholds(self, policy: Policy) -> np.ndarray:
        """Return a policy's thresholds for scores that are calibrated by it, (n_classes,)."""
        if policy.rule == "shrunk":
            return self.shrunk(policy.strength)
        if policy.rule == "per_class":
            return self.per_class
        return np.full(len(self.per_class), self.global_ if policy.rule == "global" else 0.5)


def decide(y_score: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    """Return the decisions, bool; compared in the scores' type.

    In another type a threshold could miss the score that it was taken from.
    """
    return y_score >= threshold.astype(y_score.dtype)


def calibrator(
    calibration: str, y_positive: np.ndarray, y_score: np.ndarray, y_mask: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """Fit each class's calibration on its observed labels.

    Parameters
    ----------
    calibration : str
        One of `CALIBRATIONS`.
    y_positive, y_mask : ndarray of bool, shape (n_clips, n_classes)
    y_score : ndarray, shape (n_clips, n_classes)
        Scores in [0, 1].

    Returns
    -------
    callable
        Maps scores of shape (any, n_classes) to calibrated ones, float64. The scores of a class
        without an observed positive and negative stay as they are, and so do all with
        ``"none"``.
    """
    if calibration == "none":
        return lambda scores: scores
    from threadpoolctl import threadpool_limits

    fit = {"platt": _platt, "isotonic": _isotonic}[calibration]
    maps = []
    with threadpool_limits(1):  # on so little data threads only wait for each other
        for hits, scores, observed in zip(y_positive.T, y_score.T, y_mask.T, strict=True):
            hits = hits[observed]
            mixed = hits.any() and not hits.all()
            maps.append(fit(hits, scores[observed]) if mixed else None)

    def calibrate(scores: np.ndarray) -> np.ndarray:
        columns = scores.T.astype(np.float64)
        return np.column_stack([f(s) if f else s for f, s in zip(maps, columns, strict=True)])

    return calibrate


def _platt(hits: np.ndarray, scores: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Fit a sigmoid to logit scores; it may not fall, so at worst it is the share of hits."""
    from sklearn.linear_model import LogisticRegression

    def features(scores: np.ndarray) -> np.ndarray:
        return _logit(scores)[:, None]

    model = LogisticRegression().fit(features(scores), hits)
    if model.coef_[0, 0] <= 0:
        # the likelihood is concave, so that under the constraint its maximum has slope 0
        return lambda scores: np.full(len(scores), hits.mean())
    return lambda scores: model.predict_proba(features(scores))[:, 1]


def _isotonic(hits: np.ndarray, scores: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    from sklearn.isotonic import IsotonicRegression

    steps = IsotonicRegression().fit(scores.astype(np.float64), hits)
    # its predict rounds scores of one step to different last bits, and a threshold would take
    # them apart; this interpolation keeps steps level
    return partial(np.interp, xp=steps.X_thresholds_, fp=steps.y_thresholds_)
