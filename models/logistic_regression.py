"""Logistic regression on pooled, standardised frames."""

from typing import Any

from benchmark.bases.per_class import POOLINGS, BinaryRelevance, Pooling
from benchmark.contracts.parameters import Positive


class LogisticRegression(BinaryRelevance):
    """L2-regularised logistic regression, one a class.

    Parameters
    ----------
    C : float
        Inverse strength of the regularisation, as in scikit-learn.
    pooling : {"mean", "mean_std", "mean_max", "mean_std_max", "all"}
        How a clip's frames become one vector.
    """

    name = "logistic_regression"
    family = "linear"
    libraries = ("scikit-learn",)
    seeded = False

    def __init__(self, C: Positive = 0.003, pooling: Pooling = "mean_std") -> None:
        self.C = C
        self.pooling = pooling

    def estimator(self, seed: int) -> Any:
        """Return an unfitted pipeline; L-BFGS draws nothing, so the seed is not used."""
        from sklearn.linear_model import LogisticRegression as Classifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        return make_pipeline(StandardScaler(), Classifier(C=self.C, max_iter=1000))

    @staticmethod
    def search_space(trial: Any) -> dict[str, Any]:
        """Suggest regularisation and pooling."""
        return {
            "C": trial.suggest_float("C", 1e-5, 1.0, log=True),
            "pooling": trial.suggest_categorical("pooling", list(POOLINGS)),
        }
