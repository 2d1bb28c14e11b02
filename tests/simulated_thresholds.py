"""How many clips thresholds need: simulated scores, and the training clips of real data."""

from typing import Any

import numpy as np
from scipy import stats
from scipy.special import expit, logit

from benchmark.analysis.threshold_gains import resample
from benchmark.contracts.dataset import Dataset
from benchmark.contracts.model import Model
from benchmark.contracts.seeds import derive_seed
from benchmark.protocol import PARTS, Division, folds
from benchmark.runs.reading import StoredLabels
from benchmark.scoring.bootstrap import basic_interval
from benchmark.scoring.metrics import Ranking
from benchmark.scoring.thresholds import Optima, Policy, decide

#: What is held against one threshold for all classes.
POLICIES = {
    "one a class": Policy("per_class"),
    "one a class, shrunk": Policy("shrunk", strength=0.5),
}
GLOBAL = Policy("global")

#: Shares of positives of 20 classes: a part of 1,103 clips holds 9 to 23 positives of each.
PREVALENCE = np.linspace(9, 23, 20) / 1103
#: By how many standard deviations positives score higher.
SEPARATION = np.linspace(1.0, 3.0, 20)


def simulated_gains(
    n_clips: int, miscalibration: float, n_repetitions: int
) -> dict[str, np.ndarray]:
    """Return what each policy gains in true macro F1 over one global threshold.

    Thresholds are fitted on some clips; the F1 of decisions on endless other ones is known. Scores
    are probabilities whose log odds are off by a normal error of each class's own.

    Parameters
    ----------
    n_clips : int
        To fit on.
    miscalibration : float
        Standard deviation of the error.
    n_repetitions : int

    Returns
    -------
    dict of str to ndarray, shape (n_repetitions,)
        By the names of `POLICIES`.
    """
    rows = []
    for seed in range(n_repetitions):
        rng = np.random.default_rng(seed)
        offset = miscalibration * rng.standard_normal(len(PREVALENCE))
        truth = rng.random((n_clips, len(PREVALENCE))) < PREVALENCE
        z = truth * SEPARATION + rng.standard_normal(truth.shape)
        odds = logit(PREVALENCE) + SEPARATION * z - SEPARATION**2 / 2 + offset
        optima = Optima.of(Ranking.of(truth, expit(odds), np.ones_like(truth)))
        f1 = {
            name: _true_f1(optima.thresholds(policy), offset)
            for name, policy in {"": GLOBAL, **POLICIES}.items()
        }
        rows.append([f1[name] - f1[""] for name in POLICIES])
    return dict(zip(POLICIES, np.array(rows).T, strict=True))


def _true_f1(thresholds: np.ndarray, offset: np.ndarray) -> float:
    """Return the macro F1 of thresholds on endless clips."""
    z = (logit(thresholds) - logit(PREVALENCE) + SEPARATION**2 / 2 - offset) / SEPARATION
    hits = PREVALENCE * stats.norm.sf(z - SEPARATION)
    false = (1 - PREVALENCE) * stats.norm.sf(z)
    return float((2 * hits / (hits + false + PREVALENCE)).mean())


def measured_gains(
    division: Division, make: Any, n_draws: int, n_resamples: int = 2000
) -> dict[str, tuple[float, ...]]:
    """Return what thresholds of a few and of all training clips gain on the test part.

    A model is fitted on all training clips, and once for each of five folds on the others, which
    gives each training clip a score of a model that has not seen it. Thresholds are fitted on
    these scores: on those of a random 15 % of the groups, as many as the select part holds, and
    on all. Folds and groups are drawn anew for each draw; intervals hold the luck of draws and of
    test clips.

    Parameters
    ----------
    division : Division
    make : callable
        Returns an unfitted model that takes no notice of the stop part.
    n_draws, n_resamples : int

    Returns
    -------
    dict of str to tuple of float
        By policy and ``few`` or ``all``, the gain in macro F1 over one global threshold that was
        fitted on a few clips, and the ends of its 95 % interval. ``clips, few`` and ``clips, all``
        are the number of clips, and of positives a class.
    """
    data = division.dataset
    train = np.sort(np.concatenate([division.rows[name] for name in PARTS[:3]]))
    known, test = _labels(data, train), division.part("test")
    on_test = _fitted(make(), division, train).predict_proba(test.X)
    names = [(size, name) for size in ("few", "all") for name in ("global", *POLICIES)]
    decided, sizes = [], {"few": [], "all": []}
    for draw in range(n_draws):
        fold = folds(known, seed=derive_seed(draw, "folds"))
        scores = np.empty(known.y_mask.shape, np.float32)
        for number in range(fold.max() + 1):
            held = fold == number
            model = _fitted(make(), division, train[~held])
            scores[held] = model.predict_proba(data.X[train[held]])
        optima = {}
        rows = {"few": _some_groups(known.groups, draw), "all": np.arange(len(train))}
        for size, kept in rows.items():
            seen = known.y_positive[kept], scores[kept], known.y_mask[kept]
            optima[size] = Optima.of(Ranking.of(*seen))
            sizes[size].append((len(kept), seen[0].sum(axis=0).mean()))
        cuts = [optima[size].thresholds(POLICIES.get(name, GLOBAL)) for size, name in names]
        decided.append(np.stack([decide(on_test, cut) for cut in cuts])[None])
    found = resample(_labels(data, division.rows["test"]), [decided], n_resamples, seed=0)
    gains: dict[str, tuple[float, ...]] = {}
    for i, (size, name) in enumerate(names):
        if i:
            gain = found.estimate[i] - found.estimate[0]
            low, high = basic_interval(gain, found.values[:, i] - found.values[:, 0])
            gains[f"{name}, {size}"] = float(gain), float(low), float(high)
    for size, told in sizes.items():
        gains[f"clips, {size}"] = tuple(float(v) for v in np.mean(told, axis=0))
    return gains


def _fitted(model: Model, division: Division, rows: np.ndarray) -> Model:
    part = division.protocol.view(division.dataset.part(rows))
    model.fit(part, part, seed=0)
    return model


def _labels(data: Dataset, rows: np.ndarray) -> StoredLabels:
    known = (getattr(data, name)[rows] for name in ("y_true", "y_mask", "keys", "groups"))
    return StoredLabels(*known, classes=data.classes)


def _some_groups(groups: np.ndarray, seed: int, share: float = 0.15) -> np.ndarray:
    names = np.unique(groups)
    rng = np.random.default_rng(derive_seed(seed, "some groups"))
    kept = rng.choice(names, round(share * len(names)), replace=False)
    return np.flatnonzero(np.isin(groups, kept))
