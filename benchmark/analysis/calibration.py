"""Calibration: whether of the clips that score 0.7 some 70 % hold the instrument.

Scores are sorted into bins of equal width; in each, the mean score is held against the share
of positives. The expected calibration error is their mean absolute difference, weighted by the
clips of the bins (Naeini et al., 2015; with 15 bins as in Guo et al., 2017). It is not a
proper score, as a constant prior has none of it: read it beside the Brier score.

References
----------
M. P. Naeini, G. F. Cooper and M. Hauskrecht, "Obtaining well calibrated probabilities using
Bayesian binning", *AAAI* 2015.
C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On calibration of modern neural networks",
*ICML* 2017.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from benchmark.analysis.comparison import Entry
from benchmark.errors import ProtocolError
from benchmark.runs.reading import Runs, StoredLabels
from benchmark.scoring.metrics import brier, macro

#: Bins of Guo et al. (2017).
N_BINS = 15


@dataclass(frozen=True, eq=False)
class Reliability:
    """Reliability of scores, class by class and pooled over all labels.

    Attributes
    ----------
    edges : ndarray, shape (n_bins + 1,)
        Of equal width on [0, 1]; a bin holds its upper edge, the first its lower one too.
    count : ndarray of int, shape (n_classes, n_bins)
        Observed labels in each bin.
    score_sum : ndarray, shape (n_classes, n_bins)
        Sum of their scores.
    positive : ndarray of int, shape (n_classes, n_bins)
        Positives among them.
    brier : ndarray, shape (n_classes,)
        Mean squared error; NaN where the class is not scorable.
    """

    edges: np.ndarray
    count: np.ndarray
    score_sum: np.ndarray
    positive: np.ndarray
    brier: np.ndarray

    @property
    def mean_score(self) -> np.ndarray:
        """Mean score of each class's bins, shape (n_classes, n_bins); NaN in empty ones."""
        return _divide(self.score_sum, self.count)

    @property
    def positive_share(self) -> np.ndarray:
        """Share of positives in each class's bins; NaN in empty ones."""
        return _divide(self.positive, self.count)

    @cached_property
    def pooled(self) -> "Reliability":
        """The labels of all classes together, as one class, without a Brier score."""
        whole = [getattr(self, n).sum(axis=0)[None] for n in ("count", "score_sum", "positive")]
        return Reliability(self.edges, *whole, brier=np.array([np.nan]))

    @cached_property
    def scorable(self) -> np.ndarray:
        """Classes with an observed positive and an observed negative, bool."""
        positive, count = self.positive.sum(axis=1), self.count.sum(axis=1)
        return (positive > 0) & (positive < count)

    @property
    def expected_calibration_error(self) -> np.ndarray:
        """Expected calibration error per class, in [0, 1]; NaN where not scorable."""
        # count * |share - mean score|, with the counts cancelled
        error = np.abs(self.positive - self.score_sum).sum(axis=1)
        number = np.where(self.scorable, self.count.sum(axis=1), 0)
        return _divide(error, number)


def _divide(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)


def reliability(
    y_positive: np.ndarray, y_score: np.ndarray, y_mask: np.ndarray, n_bins: int = N_BINS
) -> Reliability:
    """Sort scores into bins and count positives, over observed labels.

    Parameters
    ----------
    y_positive, y_mask : ndarray of bool, shape (n_clips, n_classes)
        Positives, and which labels were observed; the others are never looked at.
    y_score : ndarray, shape (n_clips, n_classes)
        Scores in [0, 1].
    n_bins : int

    Returns
    -------
    Reliability

    Raises
    ------
    ProtocolError
        For fewer than one bin, or an observed score outside [0, 1].
    """
    if n_bins < 1:
        raise ProtocolError(f"calibration needs at least 1 bin, got {n_bins}")
    n_classes = y_mask.shape[1]
    clips, classes = np.nonzero(y_mask)
    score = y_score[clips, classes].astype(np.float64)
    if not ((score >= 0) & (score <= 1)).all():  # catches NaN as well
        raise ProtocolError("calibration is about scores in [0, 1]; some lie outside or are NaN")
    edges = np.linspace(0, 1, n_bins + 1)
    cell = classes * n_bins + np.searchsorted(edges[1:-1], score)
    hit = y_positive[clips, classes]

    def table(weights: np.ndarray | None = None) -> np.ndarray:
        counted = np.bincount(cell, weights, minlength=n_classes * n_bins)
        return counted.reshape(n_classes, n_bins)

    bins = Reliability(
        edges, table(), table(score), table(hit).astype(int), brier=np.full(n_classes, np.nan)
    )
    error = brier(y_positive & y_mask, np.where(y_mask, y_score, 0), y_mask)
    bins.brier[bins.scorable] = error[bins.scorable]
    return bins


@dataclass(frozen=True, eq=False)
class Calibration:
    """One model's calibration on one part.

    Attributes
    ----------
    label : str
    classes : tuple of str
    runs : list of Reliability
        One a seed.
    """

    label: str
    classes: tuple[str, ...]
    runs: list[Reliability]

    @property
    def class_ece(self) -> np.ndarray:
        """Expected calibration error per class, mean over seeds, shape (n_classes,)."""
        return np.mean([run.expected_calibration_error for run in self.runs], axis=0)

    @property
    def class_brier(self) -> np.ndarray:
        """Brier score per class, mean over seeds, shape (n_classes,)."""
        return np.mean([run.brier for run in self.runs], axis=0)

    @property
    def ece(self) -> float:
        """Macro expected calibration error over the classes that can be scored."""
        return macro(self.class_ece)

    @property
    def brier(self) -> float:
        """Macro Brier score over the classes that can be scored."""
        return macro(self.class_brier)

    @property
    def pooled_ece(self) -> float:
        """Expected calibration error of all labels pooled, mean over seeds.

        Errors of opposite sign in different classes cancel, so it is a mild view.
        """
        return float(np.mean([run.pooled.expected_calibration_error[0] for run in self.runs]))

    @property
    def together(self) -> Reliability:
        """Bins of all seeds added up, for a diagram."""
        first = self.runs[0]
        sums = [sum(getattr(r, n) for r in self.runs) for n in ("count", "score_sum", "positive")]
        return Reliability(first.edges, *sums, brier=self.class_brier)


def measure(
    entries: Sequence[Entry],
    store: Runs,
    labels: dict[str, StoredLabels],
    part: str = "test",
) -> list[Calibration]:
    """Measure every model's calibration on one part.

    Parameters
    ----------
    entries : sequence of Entry
        Of one comparison.
    store : Runs
        Holds their scores.
    labels : dict of str to StoredLabels
        By part.
    part : {"fit", "stop", "select", "test"}

    Returns
    -------
    list of Calibration
        In the order of `entries`.
    """
    truth = labels[part]
    return [
        Calibration(
            entry.label,
            truth.classes,
            [
                reliability(truth.y_positive, store.scores(r)[part], truth.y_mask)
                for r in entry.records
            ],
        )
        for entry in entries
    ]
