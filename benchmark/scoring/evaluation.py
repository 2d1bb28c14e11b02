"""Score one run on one part; every metric of the tables is declared here.

A new metric is one function with :func:`metric` above it. The table of runs, the comparison, the
report and `polytimbre show` then have it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.scoring import metrics, thresholds
from benchmark.scoring.metrics import Decisions, Ranking, macro


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One run's metrics on one part.

    Attributes
    ----------
    y_positive, y_mask : ndarray of bool, shape (n_clips, n_classes)
        Positives of the part, and which labels were observed.
    y_score : ndarray, shape (n_clips, n_classes), float32
    average_precision, roc_auc, brier : ndarray, shape (n_classes,)
        NaN where a class can't be scored.
    log_loss : float
        Masked, in nats a label.
    thresholds : dict of str to ndarray, shape (n_classes,)
        By policy; chosen on the select part.
    decisions : dict of str to Decisions
        By policy.
    """

    y_positive: np.ndarray
    y_mask: np.ndarray
    y_score: np.ndarray
    average_precision: np.ndarray
    roc_auc: np.ndarray
    brier: np.ndarray
    log_loss: float
    thresholds: dict[str, np.ndarray]
    decisions: dict[str, Decisions]

    def summary(self) -> dict[str, float]:
        """Return the value of every metric in `METRICS`, by name."""
        return {name: one.of(self) for name, one in METRICS.items()}


@dataclass(frozen=True)
class Metric:
    """One number that a run is described by.

    Attributes
    ----------
    name : str
        Of its column in the table of runs.
    heading, meaning : str
        What it is called in other tables, and what it says.
    function : callable
        Takes an :class:`Evaluation`; returns a float, or one value a class, shape (n_classes,),
        of which the macro average is taken.
    compared : bool
        Whether the comparison shows it.
    """

    name: str
    heading: str
    meaning: str
    function: Callable[[Evaluation], Any]
    compared: bool

    def of(self, evaluation: Evaluation) -> float:
        """Return its value for one run."""
        value = self.function(evaluation)
        return macro(value) if isinstance(value, np.ndarray) else float(value)


#: Every metric by name, in the order of the tables.
METRICS: dict[str, Metric] = {}


def metric(name: str, heading: str, meaning: str, compared: bool = True) -> Callable:
    """Return a decorator that declares a function as a metric; arguments as of :class:`Metric`."""

    def declare(function: Callable[[Evaluation], Any]) -> Callable[[Evaluation], Any]:
        METRICS[name] = Metric(name, heading, meaning, function, compared)
        return function

    return declare


@metric("mAP", "mAP", "mean of the classes' average precision over observed labels")
def _average_precision(run: Evaluation) -> np.ndarray:
    return run.average_precision


@metric("roc_auc", "ROC-AUC", "mean of the classes' area under the ROC curve; 0.5 is chance")
def _roc_auc(run: Evaluation) -> np.ndarray:
    return run.roc_auc


@metric("brier", "Brier score", "mean squared error of the scores, lower is better", False)
def _brier(run: Evaluation) -> np.ndarray:
    return run.brier


@metric("log_loss", "log loss", "cross-entropy in nats a label, lower is better", False)
def _log_loss(run: Evaluation) -> float:
    return run.log_loss


#: Policies of the headline tables: what follows "F1" in a heading, and how thresholds came about.
_POLICIES = {
    "global": ("", "one global threshold, chosen on select"),
    "per_class": (", per-class thresholds", "one threshold a class, chosen on select"),
    "half": (" at 0.5", "the threshold 0.5"),
}


def _declare_f1(policy: str, ending: str, told: str) -> None:
    @metric(f"f1_{policy}", f"F1{ending}", f"mean of the classes' F1 at {told}")
    def f1(run: Evaluation) -> np.ndarray:
        return run.decisions[policy].f1

    meaning = f"mean of the F1 of presence and of absence, over classes, at {told}"

    @metric(f"two_class_f1_{policy}", f"two-class F1{ending}", meaning, False)
    def two_class_f1(run: Evaluation) -> np.ndarray:
        return run.decisions[policy].two_class_f1


for _policy, _told in _POLICIES.items():
    _declare_f1(_policy, *_told)


def evaluate(
    scores: Mapping[str, np.ndarray], labels: Mapping[str, Any], part: str = "test"
) -> Evaluation:
    """Score one run on one part, with thresholds chosen on *select*.

    Parameters
    ----------
    scores : mapping of str to ndarray, shape (n_clips, n_classes)
        By part.
    labels : mapping of str to Labels
        By part.
    part : {"fit", "stop", "select", "test"}
    """
    on_select, truth = labels["select"], labels[part]
    chosen = thresholds.choose(Ranking.of(on_select.y_positive, scores["select"], on_select.y_mask))
    y_score, y_positive, y_mask = scores[part], truth.y_positive, truth.y_mask
    ranking = Ranking.of(y_positive, y_score, y_mask)
    brier = metrics.brier(y_positive, y_score, y_mask)
    return Evaluation(
        y_positive,
        y_mask,
        y_score,
        average_precision=ranking.average_precision(),
        roc_auc=ranking.roc_auc(),
        brier=np.where(ranking.scorable, brier, np.nan),
        log_loss=metrics.log_loss(truth.y_true, y_score, y_mask),
        thresholds=chosen,
        decisions={
            policy: metrics.decisions(y_positive, thresholds.decide(y_score, values), y_mask)
            for policy, values in chosen.items()
        },
    )
