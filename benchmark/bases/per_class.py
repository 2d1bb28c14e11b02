"""Binary relevance: one estimator a class, fitted on that class's observed clips.

What is shared by random forest, XGBoost, logistic regression and their like stands here; a
plugin adds its estimator and its parameters.
"""

import json
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from benchmark.bases.stopping import StopOn, kept, worn_out
from benchmark.contracts.dataset import Part
from benchmark.contracts.model import History, Model, Report
from benchmark.contracts.parameters import Within
from benchmark.contracts.seeds import derive_seed
from benchmark.errors import PluginError

#: Ways to turn (n_frames, n_features) into one vector a clip.
POOLINGS = {
    "mean": lambda X: X.mean(axis=1),
    "mean_std": lambda X: np.concatenate([X.mean(axis=1), X.std(axis=1)], axis=1),
    "mean_max": lambda X: np.concatenate([X.mean(axis=1), X.max(axis=1)], axis=1),
    "mean_std_max": lambda X: np.concatenate(
        [X.mean(axis=1), X.std(axis=1), X.max(axis=1)], axis=1
    ),
    "all": lambda X: X.reshape(len(X), -1),
}

Pooling = Literal["mean", "mean_std", "mean_max", "mean_std_max", "all"]

#: How far positives are weighed up: from 0, not at all, to 1, as much as all negatives together.
Balance = Annotated[float, Within("[0, 1]")]


def pool(X: np.ndarray, pooling: str) -> np.ndarray:
    """Pool frames into one vector a clip.

    Parameters
    ----------
    X : ndarray, shape (n_clips, n_frames, n_features)
    pooling : {"mean", "mean_std", "mean_max", "mean_std_max", "all"}

    Returns
    -------
    ndarray, float32, shape (n_clips, n_features), two, three or n_frames times as wide for
        others than the mean.
    """
    return np.ascontiguousarray(POOLINGS[pooling](X.astype(np.float32)), dtype=np.float32)


def positive_weight(y: np.ndarray, balance: float) -> float:
    """Return the weight of one class's positives, where a negative weighs 1.

    Parameters
    ----------
    y : ndarray of bool, shape (n_observed,)
        With both values.
    balance : float
        In [0, 1]: 0 gives 1, 1 the ratio of negatives to positives.
    """
    return float((np.count_nonzero(~y) / np.count_nonzero(y)) ** balance)


class BinaryRelevance(Model):
    """Base of the plugins that fit one estimator a class.

    All classes grow together, a stage at a time, so that one history and one early stopping
    serve every family. A class whose observed labels are all
    equal gets their value as its score.

    A subclass has a method ``estimator`` and an ``__init__`` that takes ``pooling``, beside what
    its estimator takes, and keeps each under its name: as ``self.pooling`` it is read here, where
    it has no default. One that stops early takes ``stop_on`` and ``patience`` too.

    Attributes
    ----------
    pooling : {"mean", "mean_std", "mean_max", "mean_std_max", "all"}
        How a clip's frames become one vector.
    estimators_ : list of estimator or None
        One a class; None where there is nothing to tell apart.
    prior_ : ndarray, shape (n_classes,)
        Share of positives among the observed labels, 0 where none was observed.
    """

    pooling: Pooling
    #: What a stage counts: "fit", "tree" or "round".
    unit = "fit"
    #: What the names of the estimators' files end in.
    suffix = ".skops"
    #: What is watched on the stop part; see :func:`benchmark.bases.stopping.kept`.
    stop_on: StopOn = "none"
    #: Stages without a better one before fitting stops, where something is watched.
    patience: int = 1

    def stages(self) -> Sequence[int]:
        """Return the sizes at which the estimators are grown and scored."""
        return (1,)

    @abstractmethod
    def estimator(self, seed: int) -> Any:
        """Return one unfitted estimator."""

    def examples(self, train: Part, X: np.ndarray, c: int) -> tuple[np.ndarray, ...]:
        """Return what class `c` is fitted on, as `grow` takes it: its observed clips.

        Parameters
        ----------
        X : ndarray, float32, shape (n_clips, n_pooled)
            The clips of `train`, pooled.
        """
        rows = train.y_mask[:, c]
        return X[rows], train.y_positive[rows, c]

    def grow(self, estimator: Any, number: int, X: np.ndarray, y: np.ndarray) -> None:
        """Grow `estimator` to `number` epochs, rounds or trees on one class's observed clips.

        Parameters
        ----------
        X : ndarray, float32, shape (n_observed, n_pooled)
        y : ndarray of bool, shape (n_observed,)
        """
        estimator.fit(X, y)

    def score(self, estimator: Any, X: np.ndarray) -> np.ndarray:
        """Return one class's probabilities, shape (n_clips,)."""
        return estimator.predict_proba(X)[:, 1]

    def cut(self, estimator: Any, number: int) -> None:
        """Go back to the size `number`; only for families that stop early."""

    def fit(self, train: Part, stop: Part, *, seed: int, report: Report | None = None) -> History:
        """Grow every class's estimator stage by stage; see :class:`Model`."""
        X, X_stop = pool(train.X, self.pooling), pool(stop.X, self.pooling)
        observed, positive = train.y_mask, train.y_positive
        self.prior_ = positive.sum(axis=0) / np.maximum(observed.sum(axis=0), 1)
        self.estimators_ = [
            self.estimator(derive_seed(seed, name)) if 0 < prior < 1 else None
            for name, prior in zip(train.classes, self.prior_, strict=True)
        ]
        history = History(self.unit)
        for number in self.stages():
            for c, estimator in enumerate(self.estimators_):
                if estimator is not None:
                    self.grow(estimator, number, *self.examples(train, X, c))
            scores = self._scores(X, observed), self._scores(X_stop, stop.y_mask)
            asked = history.record(number, train, stop, *scores, report)
            if asked or worn_out(history, self.stop_on, self.patience):
                break
        history.best = kept(history, self.stop_on).number
        for estimator in filter(None, self.estimators_):
            self.cut(estimator, history.best)
        return history

    def _scores(self, pooled: np.ndarray, wanted: np.ndarray | None = None) -> np.ndarray:
        """Score clips, all classes of each or those that are wanted; the others get the prior."""
        scores = np.tile(self.prior_.astype(np.float32), (len(pooled), 1))
        for c, estimator in enumerate(self.estimators_):
            rows = slice(None) if wanted is None else np.flatnonzero(wanted[:, c])
            if estimator is not None and (wanted is None or len(rows)):
                scores[rows, c] = self.score(estimator, pooled[rows])
        return scores

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return scores in [0, 1], float32, shape (n_clips, n_classes)."""
        return self._scores(pool(X, self.pooling))

    def save(self, folder: Path) -> None:
        """Write the estimators and the class priors, without pickle."""
        (folder / "prior.json").write_text(json.dumps(self.prior_.tolist()))
        self.save_estimators(folder)

    def load(self, folder: Path) -> None:
        """Read what `save` wrote."""
        self.prior_ = np.array(json.loads((folder / "prior.json").read_text()))
        self.load_estimators(folder)

    def save_estimators(self, folder: Path) -> None:
        """Write the fitted estimators, one file a class."""
        for c, estimator in enumerate(self.estimators_):
            if estimator is not None:
                self.save_estimator(estimator, folder / f"class_{c:02d}{self.suffix}")

    def load_estimators(self, folder: Path) -> None:
        """Read the fitted estimators into `estimators_`."""
        self.estimators_ = [None] * len(self.prior_)
        for path in folder.glob(f"class_*{self.suffix}"):
            number = int(path.name.removeprefix("class_").removesuffix(self.suffix))
            self.estimators_[number] = self.load_estimator(path)

    def save_estimator(self, estimator: Any, path: Path) -> None:
        """Write one estimator; a library other than scikit-learn needs a format of its own.

        Raises
        ------
        PluginError
            If it could not be read again: it holds what scikit-learn does not define.
        """
        import skops.io

        skops.io.dump(estimator, path, compression=8)
        if estimator is next(filter(None, self.estimators_)):  # the others are of its kind
            self._trusted(path)

    def load_estimator(self, path: Path) -> Any:
        """Read one estimator.

        skops wants every type outside its own list to be trusted by name. The files'
        SHA-256 were compared with the record's before this is called, and only
        scikit-learn's own types are let through.
        """
        import skops.io

        return skops.io.load(path, trusted=self._trusted(path))

    def _trusted(self, path: Path) -> list[str]:
        import skops.io

        types = skops.io.get_untrusted_types(file=path)
        if foreign := [name for name in types if not name.startswith("sklearn.")]:
            raise PluginError(
                f"model {self.name!r}: its estimators hold {foreign[0]}, which is not "
                "scikit-learn's, and no such type is ever loaded. Write and read them in their "
                "library's own format: override `suffix`, `save_estimator` and `load_estimator`, "
                "as models/xgboost.py does"
            )
        return types
