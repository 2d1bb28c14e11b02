"""Fit the models that are named on made clips, and print a hash of the scores of each."""

import hashlib
import sys

import numpy as np

from benchmark.contracts.dataset import Part
from benchmark.plugins import registry

#: Enough to be computed as a run is, with fewer epochs, rounds and trees.
SMALL = {
    "attention": {"epochs": 2},
    "cnn": {"epochs": 2},
    "probe": {"epochs": 2},
    "random_forest": {"n_estimators": 10},
    "xgboost": {"n_rounds": 10},
}


def made(n, rng):
    """Return clips in which class c is heard as a higher level of feature c."""
    y_true = (rng.random((n, 20)) < 0.2).astype(np.float32)
    X = rng.normal(size=(n, 10, 128)).astype(np.float32)
    X[:, :, :20] += y_true[:, None]
    return Part(y_true, np.ones(y_true.shape, bool), X=X, groups=np.arange(n).astype(str))


if __name__ == "__main__":
    rng = np.random.default_rng(0)
    train, stop = made(384, rng), made(64, rng)
    for name in sys.argv[1:]:
        model = registry.models().get(name)(**SMALL.get(name, {}))
        model.fit(train, stop, seed=1)
        scores = np.concatenate([model.predict_proba(part.X) for part in (train, stop)])
        print(name, hashlib.sha256(scores.tobytes()).hexdigest()[:16], flush=True)
