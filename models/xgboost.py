"""Gradient-boosted trees (XGBoost), one booster a class."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.bases.per_class import (
    POOLINGS,
    Balance,
    BinaryRelevance,
    Pooling,
    positive_weight,
)
from benchmark.bases.stopping import StopOn, looks
from benchmark.contracts.parameters import Count, Fraction, NotNegative

#: Boosting rounds between two looks at the stop part, where it is watched.
STEP = 5


class XGBoost(BinaryRelevance):
    """XGBoost (Chen and Guestrin, KDD 2016) with histogram trees.

    Nothing is stopped early by default: the masked loss turns long before mAP does. Where it is,
    all classes stop at one common round: a class of few positives alone would stop at random.

    Parameters
    ----------
    n_rounds : int
        Boosting rounds at most.
    max_depth, learning_rate, min_child_weight, subsample, colsample_bytree, reg_lambda
        As in XGBoost.
    stop_on : {"loss", "mAP", "none"}
        What ends fitting early, and says which round is kept: the masked loss on the stop part,
        macro mAP there, or nothing.
    patience : int
        Looks (every 5 rounds) without a better round before fitting stops.
    pooling : {"mean", "mean_std", "mean_max", "mean_std_max", "all"}
        How a clip's frames become one vector.
    balance : float
        From 0, all observed clips weigh the same, to 1, a class's positives weigh as much as its
        negatives.
    """

    name = "xgboost"
    family = "trees"
    libraries = ("xgboost",)
    unit = "round"
    suffix = ".ubj"
    #: The sum of all rounds' rates.
    default_point = {"growth": 15.0}

    def __init__(
        self,
        n_rounds: Count = 300,
        max_depth: Count = 8,
        learning_rate: Fraction = 0.05,
        min_child_weight: NotNegative = 1.0,
        subsample: Fraction = 0.8,
        colsample_bytree: Fraction = 0.5,
        reg_lambda: NotNegative = 1.0,
        stop_on: StopOn = "none",
        patience: Count = 4,
        pooling: Pooling = "mean",
        balance: Balance = 0.0,
    ) -> None:
        self.n_rounds = n_rounds
        self.max_depth = max_depth
        self.learning_rate = learning_rate
        self.min_child_weight = min_child_weight
        self.subsample = subsample
        self.colsample_bytree = colsample_bytree
        self.reg_lambda = reg_lambda
        self.stop_on = stop_on
        self.patience = patience
        self.pooling = pooling
        self.balance = balance

    def stages(self) -> Sequence[int]:
        """Return the rounds at which the stop part is looked at."""
        return looks(self.n_rounds, STEP, self.stop_on)

    def estimator(self, seed: int) -> "_Booster":
        """Return an empty booster."""
        return _Booster(
            objective="binary:logistic",
            tree_method="hist",
            nthread=1,
            seed=seed,
            max_depth=self.max_depth,
            learning_rate=self.learning_rate,
            min_child_weight=self.min_child_weight,
            subsample=self.subsample,
            colsample_bytree=self.colsample_bytree,
            reg_lambda=self.reg_lambda,
        )

    def grow(self, estimator: "_Booster", number: int, X: np.ndarray, y: np.ndarray) -> None:
        """Boost up to round `number`."""
        estimator.boost(number, X, y, positive_weight(y, self.balance))

    def score(self, estimator: "_Booster", X: np.ndarray) -> np.ndarray:
        """Return one class's probabilities, shape (n_clips,)."""
        return estimator.booster.inplace_predict(X)

    def cut(self, estimator: "_Booster", number: int) -> None:
        """Drop the rounds after `number`."""
        estimator.booster = estimator.booster[:number]
        estimator.matrix = None

    def at_best(self, best: int) -> dict[str, Any]:
        """Return the parameters that stop at round `best`; see :class:`Model`."""
        return {"n_rounds": best, "stop_on": "none"}

    def save_estimator(self, estimator: "_Booster", path: Path) -> None:
        """Write one booster as UBJSON."""
        estimator.booster.save_model(path)

    def load_estimator(self, path: Path) -> "_Booster":
        """Read one booster."""
        estimator = self.estimator(0)
        estimator.booster.load_model(path)
        return estimator

    @staticmethod
    def search_space(trial: Any) -> dict[str, Any]:
        """Suggest rounds, depth, rate, sampling, regularisation, pooling and class weights.

        A low rate gets more rounds: what is drawn is how far they go together.
        """
        rate = trial.suggest_float("learning_rate", 0.02, 0.1, log=True)
        growth = trial.suggest_float("growth", 6.0, 30.0, log=True)
        return {
            "learning_rate": rate,
            "n_rounds": round(growth / rate),
            "max_depth": trial.suggest_int("max_depth", 3, 10),
            "min_child_weight": trial.suggest_float("min_child_weight", 0.5, 20, log=True),
            "subsample": trial.suggest_float("subsample", 0.5, 1.0),
            "colsample_bytree": trial.suggest_float("colsample_bytree", 0.05, 1.0, log=True),
            "reg_lambda": trial.suggest_float("reg_lambda", 0.1, 30, log=True),
            "pooling": trial.suggest_categorical("pooling", list(POOLINGS)),
            "balance": trial.suggest_float("balance", 0.0, 1.0),
        }


class _Booster:
    """A booster, its round count and the quantised matrix it grows on."""

    def __init__(self, **params: Any) -> None:
        import xgboost

        self.booster = xgboost.Booster(params)
        self.params = params
        self.matrix: Any = None

    def boost(self, number: int, X: np.ndarray, y: np.ndarray, positive_weight: float) -> None:
        import xgboost

        if self.matrix is None:  # quantised once, not at every look
            self.matrix = xgboost.QuantileDMatrix(X, label=y, nthread=1)
            params = {**self.params, "scale_pos_weight": positive_weight}
            self.booster = xgboost.Booster(params, [self.matrix])
        for i in range(self.booster.num_boosted_rounds(), number):
            self.booster.update(self.matrix, i)
