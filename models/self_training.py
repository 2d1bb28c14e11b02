"""Logistic regression that fills in the labels nobody observed."""

from typing import Any

import numpy as np

from benchmark.bases.per_class import Pooling
from benchmark.contracts.dataset import Part
from benchmark.contracts.model import History, Report
from benchmark.contracts.parameters import NotNegative, Positive
from benchmark.contracts.seeds import derive_seed
from benchmark.protocol import folds
from models.logistic_regression import LogisticRegression


class SelfTraining(LogisticRegression):
    """Self-training: teachers guess the unobserved labels, and a student learns from both.

    Teachers and student are logistic regressions. A clip's labels are guessed by teachers that
    heard no clip of its group: each is fitted on the observed labels of the other folds. What
    they guess stays soft: an unobserved label counts as present as far as they believe in it, and
    as absent for the rest. Where all labels are observed, this is `logistic_regression`.

    Parameters
    ----------
    C : float
        Inverse strength of the regularisation, as in scikit-learn.
    pooling : {"mean", "mean_std", "mean_max", "mean_std_max", "all"}
        How a clip's frames become one vector.
    weight : float
        Of an unobserved label; an observed one weighs 1. At 0 this is `logistic_regression`.
    """

    name = "self_training"
    seeded = True

    def __init__(
        self, C: Positive = 0.003, pooling: Pooling = "mean_std", weight: NotNegative = 0.1
    ) -> None:
        super().__init__(C, pooling)
        self.weight = weight

    def fit(self, train: Part, stop: Part, *, seed: int, report: Report | None = None) -> History:
        """Fit teachers, then the student; see :class:`Model`."""
        if self.weight:
            self.beliefs_ = self.guess(train, derive_seed(seed, "folds"))
        return super().fit(train, stop, seed=seed, report=report)

    def guess(self, train: Part, seed: int) -> np.ndarray:
        """Return how likely teachers hold each label of clips that they were not fitted on.

        Parameters
        ----------
        train : Part
        seed : int
            Of the folds.

        Returns
        -------
        ndarray, float32, shape (n_clips, n_classes)
            Probabilities.
        """
        beliefs, fold = np.zeros(train.y_mask.shape, np.float32), folds(train, seed=seed)
        for number in np.unique(fold):
            rest, held = train.at(fold != number), fold == number
            teacher = LogisticRegression(self.C, self.pooling)
            teacher.fit(rest, rest, seed=seed)
            beliefs[held] = teacher.predict_proba(train.X[held])
        return beliefs

    def examples(self, train: Part, X: np.ndarray, c: int) -> tuple[np.ndarray, ...]:
        """Return observed clips, and each other one twice: as present and as absent."""
        observed = super().examples(train, X, c)
        rows = ~train.y_mask[:, c]
        if not self.weight or not rows.any():
            return observed
        (X_observed, y), belief = observed, self.beliefs_[rows, c]
        weights = np.ones(len(y)), self.weight * belief, self.weight * (1 - belief)
        return (
            np.concatenate([X_observed, X[rows], X[rows]]),
            np.repeat([*y, True, False], [*np.ones(len(y), int), rows.sum(), rows.sum()]),
            np.concatenate(weights),
        )

    def grow(
        self,
        estimator: Any,
        number: int,
        X: np.ndarray,
        y: np.ndarray,
        weights: np.ndarray | None = None,
    ) -> None:
        """Fit one class's estimator, each clip with its weight, shape (n_clips,)."""
        given = {f"{step}__sample_weight": weights for step in estimator.named_steps}
        estimator.fit(X, y, **(given if weights is not None else {}))

    @staticmethod
    def search_space(trial: Any) -> dict[str, Any]:
        """Suggest regularisation, pooling, and how much an unobserved label weighs."""
        return {
            **LogisticRegression.search_space(trial),
            "weight": trial.suggest_float("weight", 0.01, 1.0, log=True),
        }
