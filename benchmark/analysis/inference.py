"""Intervals, tests and ranks for a comparison: all of them from stored scores."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.analysis.comparison import Comparison, Entry, set_by_hand
from benchmark.runs.features import features_of
from benchmark.scoring.bootstrap import Bootstrap, bootstrap
from benchmark.scoring.ranking import (
    LEVEL,
    CriticalDifference,
    Family,
    Pairwise,
    WinTieLoss,
    critical_difference,
    pairwise,
    resamples_needed,
    win_tie_loss,
)
from benchmark.scoring.thresholds import POLICIES


@dataclass(frozen=True, eq=False)
class Inference:
    """Intervals, paired tests and ranks of a comparison.

    Attributes
    ----------
    resampled : dict of str to Bootstrap
        For ``mAP`` and ``f1_<policy>``; models in the order of the comparison's entries.
    pairs : Pairwise or None
        Of mAP; None for a single entry.
    tuning : Family or None
        Every tuned model against its default; None if there is none of them.
    level : float
    asked : int
        Resamples that were asked for; where they are too few for the tests, more are drawn.
    """

    resampled: dict[str, Bootstrap]
    pairs: Pairwise | None
    tuning: Family | None
    level: float
    asked: int

    @property
    def n_resamples(self) -> int:
        """Number of resamples drawn."""
        return len(self.resampled["mAP"].class_values)

    def win_tie_loss(self) -> WinTieLoss:
        """Wins, ties and losses in per-class average precision.

        Raises
        ------
        ProtocolError
            For fewer than two models, or too few resamples for this number of classes.
        """
        return win_tie_loss(self.resampled["mAP"], self.level)

    def critical_difference(self) -> CriticalDifference:
        """Average ranks over classes, with Friedman's test and Nemenyi's critical difference.

        Raises
        ------
        ProtocolError
            For fewer than three models.
        """
        return critical_difference(self.resampled["mAP"].class_estimate.T, self.level)


def infer(
    result: Comparison,
    n_resamples: int = 2000,
    follow: Callable[[list[str]], Iterable[str]] = iter,
) -> Inference:
    """Resample a comparison's clips by group, paired between models, nested over seeds.

    Parameters
    ----------
    result : Comparison
    n_resamples : int
        Raised to what Holm's correction needs, over all pairs of models and over all classes.
    follow : callable
        Gets the names of what is resampled and gives them back one by one, to show how far it is.

    Raises
    ------
    ProtocolError
        If no class can be scored.
    """
    asked = n_resamples
    labels, entries = result.labels, result.entries
    scores = [entry.scores for entry in entries]
    if len(entries) > 1:
        n_tests = max(len(entries) * (len(entries) - 1) // 2, len(labels.classes))
        needed = resamples_needed(n_tests)
        if asked < needed:  # in thousands: the least number leaves every p at the very level
            n_resamples = -(-needed // 1000) * 1000
    common = {"groups": labels.groups, "n_resamples": n_resamples}
    metrics: dict[str, dict[str, Any]] = {"mAP": {}}
    for policy in POLICIES:
        cuts = [np.stack([e.thresholds[policy] for e in entry.evaluations]) for entry in entries]
        metrics[f"f1_{policy}"] = {"metric": "f1", "thresholds": cuts}
    steps = follow([f"resamples of {name}" for name in metrics])
    resampled = {
        name: bootstrap(labels.y_positive, labels.y_mask, scores, **metric, **common)
        for _, (name, metric) in zip(steps, metrics.items(), strict=True)
    }
    pairs = pairwise(resampled["mAP"]) if len(entries) > 1 else None
    tuned = tuned_and_default(entries)
    tuning = pairs.family(tuned) if tuned else None
    return Inference(resampled, pairs, tuning, LEVEL, asked)


def tuned_and_default(entries: Sequence[Entry]) -> list[tuple[int, int]]:
    """Return the numbers of each tuned entry and of the same model's default.

    Both are fitted on the fit part, or both on all training clips. Of a model that isn't here,
    nobody can say which parameters are the default: a single set of them is taken for it.
    """
    kept: dict[tuple[str, str, bool], list[int]] = {}
    tuned = []
    for i, entry in enumerate(entries):
        if not entry.records:
            continue
        spec = entry.records[0].spec
        if not entry.label.startswith(spec.label):
            continue  # an ensemble, whose first member says nothing about it
        if spec.study:
            tuned.append((i, (spec.model, features_of(spec), spec.refit)))
        elif spec.preset is None and not set_by_hand(spec):
            kept.setdefault((spec.model, features_of(spec), spec.refit), []).append(i)
    defaults = {key: numbers[0] for key, numbers in kept.items() if len(numbers) == 1}
    return [(i, defaults[key]) for i, key in tuned if key in defaults]
