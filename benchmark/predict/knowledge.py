"""How well a run knows each class: what it reached on its own test part."""

from dataclasses import dataclass

import numpy as np

from benchmark.contracts.dataset import Labels
from benchmark.errors import ProtocolError
from benchmark.scoring.bootstrap import Bootstrap, bootstrap

#: Enough for an interval of 95 %, and quick.
RESAMPLES = 199


@dataclass(frozen=True, eq=False)
class Knowledge:
    """What a run reached on its test part, class by class; each array of shape (n_classes,).

    Attributes
    ----------
    average_precision : ndarray of float
        NaN where the part has no observed positive or no observed negative.
    low, high : ndarray of float
        Ends of its 95 % interval, over groups of clips.
    prior : ndarray of float
        Share of positives among observed labels: the average precision of chance. NaN where
        no label was observed.
    learnt : ndarray of bool
        Whether the run saw a positive clip in training.
    """

    average_precision: np.ndarray
    low: np.ndarray
    high: np.ndarray
    prior: np.ndarray
    learnt: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """Whether the run can tell a class from chance, bool: it lies above its prior."""
        return self.learnt & (self.low > self.prior)

    def why_not(self, c: int) -> str:
        """Say in a few words why a class is not known; empty where it is."""
        if self.known[c]:
            return ""
        if not self.learnt[c]:
            return "never learnt"
        return "no better than chance" if np.isfinite(self.low[c]) else "not tested"


def knowledge(
    test: Labels, scores: np.ndarray, groups: np.ndarray, learnt: np.ndarray
) -> Knowledge:
    """Score each class on a run's test part.

    Parameters
    ----------
    test : Labels
    scores : ndarray, shape (n_clips, n_classes)
    groups : ndarray, shape (n_clips,)
    learnt : ndarray of bool, shape (n_classes,)
        Whether there was a positive clip in training.
    """
    found = resampled(test, scores, groups)
    observed = test.y_mask.sum(axis=0)
    prior = np.where(observed, test.y_positive.sum(axis=0) / np.maximum(observed, 1), np.nan)
    if found is None:
        nothing = np.full(len(prior), np.nan)
        return Knowledge(nothing, nothing, nothing, prior, learnt)
    (low,), (high,) = found.class_interval()
    return Knowledge(found.class_estimate[0], low, high, prior, learnt)


def resampled(
    labels: Labels, scores: np.ndarray, groups: np.ndarray | None = None, n: int = RESAMPLES
) -> Bootstrap | None:
    """Resample the average precision of scores; None where no class can be scored."""
    try:
        return bootstrap(
            labels.y_positive, labels.y_mask, [scores], groups=groups, n_resamples=n, n_threads=1
        )
    except ProtocolError:
        return None
