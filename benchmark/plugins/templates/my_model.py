"""My model: naive Bayes on the mean over frames. Replace what it computes with your own idea.

``polytimbre check my_model`` holds this file against the contract, rule by rule;
``polytimbre run --model my_model`` and ``polytimbre compare`` put it beside the others.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np

import polytimbre as pt

# A heavy library (scikit-learn, Keras, PyTorch) is imported inside the methods that use it, so
# that `polytimbre --help` stays quick.


class MyModel(pt.Model):
    """Compare a clip with the mean and spread of each class's positives and negatives.

    Parameters
    ----------
    smoothing : float
        Added to each feature's variance; more of it makes scores less certain.
    """

    #: The name that commands and tables use.
    name = "my_model"
    #: Distributions that the result rests on, for example ("scikit-learn",). Their versions
    #: become part of a run's identity.
    libraries = ()
    #: False for a model that draws nothing at random: it is run once, not under three seeds.
    seeded = False
    #: Named settings, run as `my_model:smooth`.
    presets: Mapping[str, Mapping[str, Any]] = {"smooth": {"smoothing": 1000.0}}

    def __init__(self, smoothing: Annotated[float, pt.Within("(0, inf)")] = 100.0) -> None:
        # Each parameter has a default and is stored under its own name, as in scikit-learn; the
        # annotation says which values are allowed.
        self.smoothing = smoothing

    def fit(self, train: pt.Part, stop: pt.Part, *, seed: int, report: Any = None) -> pt.History:
        """Learn from `train`; `stop` is for early stopping alone.

        ``train.X`` has shape (n_clips, n_frames, n_features). A label counts only where
        ``train.y_mask`` is True: what was not observed is neither present nor absent.
        """
        # Derive each random draw from `seed`: np.random.default_rng(pt.derive_seed(seed, "init")).
        X = train.X.mean(axis=1)
        present, absent = train.y_positive, train.y_mask & ~train.y_positive
        self.present_, self.absent_ = self._describe(X, present), self._describe(X, absent)
        self.odds_ = np.log((present.sum(axis=0) + 1) / (absent.sum(axis=0) + 1))
        # One stage an epoch, round or size; a model that is fitted at once has one. `record`
        # returns True where tuning asks to stop: `if history.record(...): break`.
        history = pt.History("fit")
        scores = self.predict_proba(train.X), self.predict_proba(stop.X)
        history.record(1, train, stop, *scores, report)
        return history

    def _describe(self, X: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return mean and variance of each class's clips, shape (2, n_classes, n_features)."""
        weights = rows.T / np.maximum(rows.sum(axis=0), 1)[:, None]
        mean = weights @ X
        return np.stack([mean, weights @ X**2 - mean**2 + self.smoothing])

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return scores in [0, 1], float32, shape (n_clips, n_classes).

        A clip's scores depend on that clip alone, and are the same for uint8 and float32.
        """
        X = X.mean(axis=1)[:, None]
        likelihood = [
            -(np.log(variance) + (X - mean) ** 2 / variance).mean(axis=-1) / 2
            for mean, variance in (self.present_, self.absent_)
        ]
        return np.float32(1 / (1 + np.exp(likelihood[1] - likelihood[0] - self.odds_)))

    def save(self, folder: Path) -> None:
        """Write what was learnt into the folder, without pickle."""
        np.savez(folder / "learnt.npz", **{name: getattr(self, name) for name in self._learnt})

    def load(self, folder: Path) -> None:
        """Read what `save` wrote."""
        with np.load(folder / "learnt.npz") as stored:
            for name in self._learnt:
                setattr(self, name, stored[name])

    _learnt = ("present_", "absent_", "odds_")

    @staticmethod
    def search_space(trial: Any) -> dict[str, Any]:
        """Suggest parameters to `polytimbre tune`; without this method nothing is searched."""
        return {"smoothing": trial.suggest_float("smoothing", 1.0, 1e4, log=True)}
