"""Random forest, one a class: by default the OpenMIC authors' baseline."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from benchmark.bases.per_class import (
    POOLINGS,
    Balance,
    BinaryRelevance,
    Pooling,
    positive_weight,
)
from benchmark.contracts.parameters import Count, Fraction

SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class RandomForest(BinaryRelevance):
    """Random forest (Breiman, 2001) on pooled frames.

    The defaults are the baseline of Humphrey, Durand and McFee (ISMIR 2018): mean over
    frames, 100 trees of depth 8.

    Parameters
    ----------
    n_estimators, max_depth, min_samples_leaf, max_features
        As in :class:`sklearn.ensemble.RandomForestClassifier`.
    pooling : {"mean", "mean_std", "mean_max", "mean_std_max", "all"}
        How a clip's frames become one vector.
    balance : float
        From 0, all observed clips weigh the same, to 1, a class's positives weigh as much as its
        negatives.
    """

    name = "random_forest"
    family = "trees"
    libraries = ("scikit-learn",)
    unit = "tree"

    def __init__(
        self,
        n_estimators: Count = 100,
        max_depth: Count | None = 8,
        min_samples_leaf: Count = 1,
        max_features: Literal["sqrt", "log2"] | Fraction = "sqrt",
        pooling: Pooling = "mean",
        balance: Balance = 0.0,
    ) -> None:
        self.n_estimators = n_estimators
        self.max_depth = max_depth
        self.min_samples_leaf = min_samples_leaf
        self.max_features = max_features
        self.pooling = pooling
        self.balance = balance

    def stages(self) -> Sequence[int]:
        """Return the forest sizes at which the history is taken."""
        return [n for n in SIZES if n < self.n_estimators] + [self.n_estimators]

    def estimator(self, seed: int) -> Any:
        """Return an empty forest."""
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(
            max_depth=self.max_depth,
            min_samples_leaf=self.min_samples_leaf,
            max_features=self.max_features,
            n_estimators=self.n_estimators,
            random_state=seed,
        )

    def grow(self, estimator: Any, number: int, X: np.ndarray, y: np.ndarray) -> None:
        """Grow all trees at once, and score with the first `number` of them from now on."""
        if not hasattr(estimator, "estimators_"):
            weights = {False: 1.0, True: positive_weight(y, self.balance)} if self.balance else None
            estimator.set_params(class_weight=weights).fit(X, y)
        estimator.trees = number

    def score(self, estimator: Any, X: np.ndarray) -> np.ndarray:
        """Return one class's probabilities, shape (n_clips,): the mean over trees.

        As scikit-learn's `predict_proba`, bit by bit, but without starting a job for each tree.
        """
        total = np.zeros(len(X))
        for tree in estimator.estimators_[: estimator.trees]:
            total += tree.tree_.predict(X)[:, 1]
        return total / estimator.trees

    @staticmethod
    def search_space(trial: Any) -> dict[str, Any]:
        """Suggest size, depth, leaves, features, pooling and class weights.

        Few features a split and up to 300 trees: with more, a forest a class takes half an hour.
        """
        return {
            "n_estimators": trial.suggest_int("n_estimators", 100, 300, step=100),
            "max_depth": trial.suggest_int("max_depth", 4, 24),
            "min_samples_leaf": trial.suggest_int("min_samples_leaf", 1, 10),
            "max_features": trial.suggest_categorical("max_features", ["log2", "sqrt", 0.05]),
            "pooling": trial.suggest_categorical("pooling", list(POOLINGS)),
            "balance": trial.suggest_float("balance", 0.0, 1.0),
        }
