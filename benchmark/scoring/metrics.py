"""Metrics over observed labels, vectorised over classes.

Every function takes labels, scores and mask of shape (n_clips, n_classes) and looks at the
entries with ``y_mask`` True alone. A class without an observed positive and an observed
negative has no ranking to score: its value is NaN, and macro averages leave it out.
Ties are handled as in scikit-learn: clips of one score enter together.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from benchmark.errors import ProtocolError

#: A clip holds an instrument where its relevance reaches this value.
POSITIVE_RELEVANCE = 0.5


@dataclass(frozen=True, eq=False)
class Ranking:
    """Each class's observed labels, sorted by falling score, as cumulative counts.

    Attributes
    ----------
    scores : ndarray, shape (n_clips, n_classes)
        Sorted scores; unobserved entries come last, as -inf.
    is_end : ndarray of bool, shape (n_clips, n_classes)
        True at the last clip of each run of equal observed scores.
    true_positives, predicted : ndarray of int, shape (n_clips, n_classes)
        Observed positives, and observed clips, down to and including the run of each entry.
    """

    scores: np.ndarray
    is_end: np.ndarray
    true_positives: np.ndarray
    predicted: np.ndarray
    _hits: np.ndarray

    @classmethod
    def of(cls, y_positive: np.ndarray, y_score: np.ndarray, y_mask: np.ndarray) -> "Ranking":
        """Sort once; every ranking metric and threshold reads from the result."""
        masked = np.where(y_mask, y_score, -np.inf)
        order = np.argsort(-masked, axis=0, kind="stable")
        scores = np.take_along_axis(masked, order, axis=0)
        observed = np.take_along_axis(y_mask, order, axis=0)
        hits = np.take_along_axis(y_positive, order, axis=0) & observed
        is_end = observed.copy()
        is_end[:-1] &= scores[:-1] != scores[1:]
        # each entry looks at the counts where its run of ties ends
        n = len(scores)
        ends = np.where(is_end, np.arange(n)[:, None], n - 1)
        ends = np.minimum.accumulate(ends[::-1], axis=0)[::-1]
        true_positives = np.take_along_axis(np.cumsum(hits, axis=0), ends, axis=0)
        predicted = np.take_along_axis(np.cumsum(observed, axis=0), ends, axis=0)
        return cls(scores, is_end, true_positives, predicted, hits)

    @cached_property
    def n_positive(self) -> np.ndarray:
        """Observed positives per class, shape (n_classes,)."""
        return self._hits.sum(axis=0)

    @cached_property
    def n_negative(self) -> np.ndarray:
        """Observed negatives per class, shape (n_classes,)."""
        return np.isfinite(self.scores).sum(axis=0) - self.n_positive

    @cached_property
    def scorable(self) -> np.ndarray:
        """Classes with an observed positive and an observed negative, bool."""
        return (self.n_positive > 0) & (self.n_negative > 0)

    def average_precision(self) -> np.ndarray:
        """Average precision per class, shape (n_classes,); NaN where not scorable."""
        precision = self.true_positives / np.maximum(self.predicted, 1)
        total = np.where(self._hits, precision, 0.0).sum(axis=0)
        return np.where(self.scorable, total / np.maximum(self.n_positive, 1), np.nan)

    def roc_auc(self) -> np.ndarray:
        """Area under the ROC curve per class, shape (n_classes,); NaN where not scorable."""
        false_positives = self.predicted - self.true_positives
        tp = np.where(self.is_end, self.true_positives, 0)
        fp = np.where(self.is_end, false_positives, 0)
        previous_tp = np.zeros_like(tp)
        previous_fp = np.zeros_like(fp)
        previous_tp[1:] = np.maximum.accumulate(tp, axis=0)[:-1]
        previous_fp[1:] = np.maximum.accumulate(fp, axis=0)[:-1]
        area = (fp - previous_fp) * (tp + previous_tp) / 2
        area = np.where(self.is_end, area, 0.0).sum(axis=0)
        pairs = np.maximum(self.n_positive * self.n_negative, 1)
        return np.where(self.scorable, area / pairs, np.nan)


def macro(values: np.ndarray) -> float:
    """Mean over the classes that could be scored.

    Raises
    ------
    ProtocolError
        If no class could.
    """
    scored = values[~np.isnan(values)]
    if not scored.size:
        raise ProtocolError(
            "no class can be scored: none has both an observed positive and an observed "
            "negative in this part. Score a part with more observed labels"
        )
    return float(scored.mean())


def average_precision(
    y_positive: np.ndarray, y_score: np.ndarray, y_mask: np.ndarray
) -> np.ndarray:
    """Average precision per class over observed labels, shape (n_classes,)."""
    return Ranking.of(y_positive, y_score, y_mask).average_precision()


def mean_average_precision(
    y_positive: np.ndarray, y_score: np.ndarray, y_mask: np.ndarray
) -> float:
    """Macro average precision (mAP) over observed labels."""
    return macro(average_precision(y_positive, y_score, y_mask))


def log_loss(y_true: np.ndarray, y_score: np.ndarray, y_mask: np.ndarray) -> float:
    """Masked binary cross-entropy in nats a label, against the relevance itself.

    Scores are clipped to [1e-7, 1 - 1e-7], as Keras does.
    """
    score = np.clip(y_score[y_mask].astype(np.float64), 1e-7, 1 - 1e-7)
    relevance = y_true[y_mask].astype(np.float64)
    if not score.size:
        return float("nan")
    return float(-np.mean(relevance * np.log(score) + (1 - relevance) * np.log1p(-score)))


def brier(y_positive: np.ndarray, y_score: np.ndarray, y_mask: np.ndarray) -> np.ndarray:
    """Mean squared error of the scores per class (Brier, 1950), shape (n_classes,)."""
    error = np.where(y_mask, (y_score.astype(np.float64) - y_positive) ** 2, 0.0).sum(axis=0)
    count = y_mask.sum(axis=0)
    return np.where(count > 0, error / np.maximum(count, 1), np.nan)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Divide counts; nothing over nothing is 0, as with scikit-learn's zero_division=0."""
    return np.where(whole > 0, part / np.maximum(whole, 1), 0.0)


@dataclass(frozen=True)
class Decisions:
    """Precision, recall and F1 per class of thresholded scores.

    Each attribute has shape (n_classes,) and is NaN where the class is not scorable.
    `precision`, `recall`, `f1` are the positive class's; `two_class_f1` is the mean of the
    positive and the negative class's F1; the `weighted_*` are both classes' values weighted
    by their support, as in OpenMIC's baseline notebook.
    """

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    two_class_f1: np.ndarray
    weighted_precision: np.ndarray
    weighted_recall: np.ndarray
    weighted_f1: np.ndarray


def decisions(y_positive: np.ndarray, y_pred: np.ndarray, y_mask: np.ndarray) -> Decisions:
    """Score predictions `y_pred` (bool, shape (n_clips, n_classes)) over observed labels."""
    tp = (y_pred & y_positive & y_mask).sum(axis=0)
    fp = (y_pred & ~y_positive & y_mask).sum(axis=0)
    fn = (~y_pred & y_positive & y_mask).sum(axis=0)
    tn = (~y_pred & ~y_positive & y_mask).sum(axis=0)
    positive, negative = tp + fn, tn + fp
    pair = {
        "precision": (_ratio(tp, tp + fp), _ratio(tn, tn + fn)),
        "recall": (_ratio(tp, positive), _ratio(tn, negative)),
        "f1": (_ratio(2 * tp, 2 * tp + fp + fn), _ratio(2 * tn, 2 * tn + fp + fn)),
    }
    values = {name: yes for name, (yes, _) in pair.items()}
    values["two_class_f1"] = sum(pair["f1"]) / 2
    support = np.maximum(positive + negative, 1)
    for name, (yes, no) in pair.items():
        values[f"weighted_{name}"] = (yes * positive + no * negative) / support
    scorable = (positive > 0) & (negative > 0)
    return Decisions(**{name: np.where(scorable, v, np.nan) for name, v in values.items()})


def positives(y_true: np.ndarray, y_mask: np.ndarray) -> np.ndarray:
    """Observed positives: relevance of at least 0.5, bool, shape (n_clips, n_classes)."""
    return (y_true >= POSITIVE_RELEVANCE) & y_mask
