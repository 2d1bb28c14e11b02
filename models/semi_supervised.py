"""Logistic regression that learns from labels nobody observed, too."""

from typing import Any, Literal

import numpy as np

from benchmark.bases.per_class import Pooling
from benchmark.contracts.dataset import Part
from benchmark.contracts.model import History, Report
from benchmark.contracts.parameters import Fraction, NotNegative, Positive
from benchmark.protocol import folds
from models.logistic_regression import LogisticRegression


class SemiSupervised(LogisticRegression):
    """Guess the unobserved labels, and learn from guesses and observed labels together.

    A guess stays soft: the clip counts as one that has the instrument as far as that is believed,
    and for the rest as one that has not. Where every label is observed, this is
    `logistic_regression`.

    Parameters
    ----------
    C : float
        Inverse strength of the regularisation, as in scikit-learn.
    pooling : {"mean", "mean_std", "mean_max", "mean_std_max", "all"}
        How a clip's frames become one vector.
    guess : {"share", "teachers"}
        What is believed of an unobserved label. ``"share"``: for all clips the same, the class's
        share of positives among observed labels. ``"teachers"``, which is self-training: what
        logistic regressions say that were fitted on four fifths of the groups, without the clip's.
    rarity : float
        In (0, 1]; times the guess. What was not observed is seldom there.
    weight : float
        Of an unobserved label; an observed one weighs 1. At 0 this is `logistic_regression`.
    """

    name = "semi_supervised"
    presets = {"self_training": {"guess": "teachers", "rarity": 1.0, "weight": 0.1}}

    def __init__(
        self,
        C: Positive = 0.003,
        pooling: Pooling = "mean_std",
        guess: Literal["share", "teachers"] = "share",
        rarity: Fraction = 0.5,
        weight: NotNegative = 1.0,
    ) -> None:
        super().__init__(C, pooling)
        self.guess = guess
        self.rarity = rarity
        self.weight = weight

    def fit(self, train: Part, stop: Part, *, seed: int, report: Report | None = None) -> History:
        """Guess, then fit; see :class:`Model`."""
        if self.weight:
            self.beliefs_ = self.rarity * self.guesses(train)
        return super().fit(train, stop, seed=seed, report=report)

    def guesses(self, train: Part) -> np.ndarray:
        """Return how likely each label is thought to be, shape (n_clips, n_classes)."""
        guesses = np.zeros(train.y_mask.shape)
        if self.guess == "share":
            return guesses + train.y_positive.sum(axis=0) / np.maximum(train.y_mask.sum(axis=0), 1)
        fold = folds(train)
        for number in np.unique(fold):
            rest, held = train.at(fold != number), fold == number
            teacher = LogisticRegression(self.C, self.pooling)
            teacher.fit(rest, rest, seed=0)
            guesses[held] = teacher.predict_proba(train.X[held])
        return guesses

    def examples(self, train: Part, X: np.ndarray, c: int) -> tuple[np.ndarray, ...]:
        """Return observed clips, and each other one twice: with the instrument and without."""
        X_observed, y = super().examples(train, X, c)
        rows = ~train.y_mask[:, c]
        if not self.weight or not rows.any():
            return X_observed, y
        n, belief = rows.sum(), self.beliefs_[rows, c]
        weights = np.ones(len(y)), self.weight * belief, self.weight * (1 - belief)
        return (
            np.concatenate([X_observed, X[rows], X[rows]]),
            np.concatenate([y, np.ones(n, bool), np.zeros(n, bool)]),
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
        """Suggest regularisation, pooling, what is guessed, and how much it weighs."""
        return {
            **LogisticRegression.search_space(trial),
            "guess": trial.suggest_categorical("guess", ["share", "teachers"]),
            "rarity": trial.suggest_float("rarity", 0.1, 1.0, log=True),
            "weight": trial.suggest_float("weight", 0.01, 3.0, log=True),
        }
