"""The floor of every comparison: the same score for every clip."""

import json
from pathlib import Path
from typing import Literal

import numpy as np

from benchmark.contracts.dataset import Part
from benchmark.contracts.model import History, Model, Report


class Constant(Model):
    """Score each class with its share of positives, or always say "yes".

    Parameters
    ----------
    strategy : {"prior", "yes"}
        ``"prior"``: the share of positives among the observed labels. ``"yes"``: 1.
    """

    name = "constant"
    family = "baseline"
    seeded = False
    presets = {"yes": {"strategy": "yes"}}

    def __init__(self, strategy: Literal["prior", "yes"] = "prior") -> None:
        self.strategy = strategy

    def fit(self, train: Part, stop: Part, *, seed: int, report: Report | None = None) -> History:
        """Count the observed positives."""
        share = train.y_positive.sum(axis=0) / np.maximum(train.y_mask.sum(axis=0), 1)
        self.score_ = np.float32(share if self.strategy == "prior" else np.ones_like(share))
        history = History("fit")
        scores = self.predict_proba(train.X), self.predict_proba(stop.X)
        history.record(1, train, stop, *scores, report)
        return history

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return the same scores for every clip, float32, shape (n_clips, n_classes)."""
        return np.tile(self.score_, (len(X), 1))

    def save(self, folder: Path) -> None:
        """Write the scores as JSON."""
        (folder / "score.json").write_text(json.dumps(self.score_.tolist()))

    def load(self, folder: Path) -> None:
        """Read the scores."""
        self.score_ = np.float32(json.loads((folder / "score.json").read_text()))
