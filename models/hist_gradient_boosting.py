"""Histogram-based gradient boosting (scikit-learn), one a class."""

from collections.abc import Sequence
from itertools import islice
from typing import Annotated, Any

import numpy as np

from benchmark.bases.per_class import (
    POOLINGS,
    Balance,
    BinaryRelevance,
    Pooling,
    positive_weight,
)
from benchmark.bases.stopping import StopOn, looks
from benchmark.contracts.parameters import Count, Fraction, NotNegative, Positive, Within

#: Boosting rounds between two looks at the stop part, where it is watched.
STEP = 10
#: Values of a feature that the library tells apart.
BINS = 255


def to_bins(X: np.ndarray) -> np.ndarray:
    """Round each feature to the nearest of at most `BINS` quantiles of its values.

    The library bins features itself, and at their own values where they have so few: between
    two quantiles is where it cuts. With class weights, its own way takes several times as long
    as boosting (scikit-learn 1.9).

    Parameters
    ----------
    X : ndarray, shape (n_clips, n_features)

    Returns
    -------
    ndarray of X's shape and type.
    """
    quantiles = np.quantile(X, np.linspace(0, 1, BINS), axis=0, method="nearest")
    rounded = np.empty_like(X)
    for j, values in enumerate(quantiles.T):
        values = np.unique(values)
        cuts = (values[1:].astype(np.float64) + values[:-1]) / 2
        rounded[:, j] = values[np.searchsorted(cuts, X[:, j])]
    return rounded


class HistGradientBoosting(BinaryRelevance):
    """scikit-learn's histogram gradient boosting, after LightGBM (Ke et al., NIPS 2017).

    Nothing is stopped early by default, as with XGBoost; where it is, all classes stop at one
    common round.

    Parameters
    ----------
    max_iter : int
        Boosting rounds at most.
    learning_rate, max_leaf_nodes, min_samples_leaf, l2_regularization, max_features
        As in :class:`sklearn.ensemble.HistGradientBoostingClassifier`.
    stop_on : {"loss", "mAP", "none"}
        What ends fitting early, and says which round is kept: the masked loss on the stop part,
        macro mAP there, or nothing.
    patience : int
        Looks (every 10 rounds) without a better round before fitting stops.
    pooling : {"mean", "mean_std", "mean_max", "mean_std_max", "all"}
        How a clip's frames become one vector.
    balance : float
        From 0, all observed clips weigh the same, to 1, a class's positives weigh as much as its
        negatives.
    """

    name = "hist_gradient_boosting"
    family = "trees"
    libraries = ("scikit-learn",)
    unit = "round"
    #: The sum of all rounds' rates.
    default_point = {"growth": 10.0}

    def __init__(
        self,
        max_iter: Count = 100,
        learning_rate: Positive = 0.1,
        max_leaf_nodes: Annotated[int, Within("[2, inf)")] = 15,
        min_samples_leaf: Count = 20,
        l2_regularization: NotNegative = 1.0,
        max_features: Fraction = 0.3,
        stop_on: StopOn = "none",
        patience: Count = 3,
        pooling: Pooling = "mean",
        balance: Balance = 0.0,
    ) -> None:
        self.max_iter = max_iter
        self.learning_rate = learning_rate
        self.max_leaf_nodes = max_leaf_nodes
        self.min_samples_leaf = min_samples_leaf
        self.l2_regularization = l2_regularization
        self.max_features = max_features
        self.stop_on = stop_on
        self.patience = patience
        self.pooling = pooling
        self.balance = balance

    def stages(self) -> Sequence[int]:
        """Return the rounds at which the fit is looked at: three where nothing is watched.

        scikit-learn can't score from one round on: each look costs all trees up to it.
        """
        last = self.max_iter
        if self.stop_on == "none":
            return sorted({-(-last // 10), -(-last // 3), last})
        return looks(last, STEP, self.stop_on)

    def estimator(self, seed: int) -> Any:
        """Return an empty estimator that keeps its trees when it grows."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier(
            learning_rate=self.learning_rate,
            max_leaf_nodes=self.max_leaf_nodes,
            min_samples_leaf=self.min_samples_leaf,
            l2_regularization=self.l2_regularization,
            max_features=self.max_features,
            early_stopping=False,
            random_state=seed,
            warm_start=True,
        )

    def grow(self, estimator: Any, number: int, X: np.ndarray, y: np.ndarray) -> None:
        """Boost up to round `number`; where nothing is watched, to the last one at once.

        That is how the library is used, and several times as fast: each further call quantises the
        clips and scores them with all trees again.
        """
        last = self.max_iter if self.stop_on == "none" else number
        if last > getattr(estimator, "n_iter_", 0):
            weights = None
            if self.balance:
                X = to_bins(X)
                weights = {False: 1.0, True: positive_weight(y, self.balance)}
            estimator.set_params(max_iter=last, class_weight=weights).fit(X, y)
        estimator.rounds = number

    def score(self, estimator: Any, X: np.ndarray) -> np.ndarray:
        """Return one class's probabilities, shape (n_clips,)."""
        if estimator.rounds == estimator.n_iter_:
            return estimator.predict_proba(X)[:, 1]
        stages = estimator.staged_predict_proba(X)
        return next(islice(stages, estimator.rounds - 1, None))[:, 1]

    def cut(self, estimator: Any, number: int) -> None:
        """Score with the first `number` rounds from now on."""
        estimator.rounds = number

    def at_best(self, best: int) -> dict[str, Any]:
        """Return the parameters that stop at round `best`; see :class:`Model`."""
        return {"max_iter": best, "stop_on": "none"}

    @staticmethod
    def search_space(trial: Any) -> dict[str, Any]:
        """Suggest rounds, rate, leaves, regularisation, sampling, pooling and class weights.

        A low rate gets more rounds: what is drawn is how far they go together.
        """
        number = trial.suggest_float
        rate = number("learning_rate", 0.02, 0.2, log=True)
        return {
            "learning_rate": rate,
            "max_iter": round(number("growth", 4.0, 20.0, log=True) / rate),
            "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 3, 48, log=True),
            "min_samples_leaf": trial.suggest_int("min_samples_leaf", 3, 60, log=True),
            "l2_regularization": number("l2_regularization", 1e-2, 30, log=True),
            "max_features": number("max_features", 0.05, 1.0, log=True),
            "pooling": trial.suggest_categorical("pooling", list(POOLINGS)),
            "balance": trial.suggest_float("balance", 0.0, 1.0),
        }
