"""Hold each classical family against the plain use of its library.

``pytest tests/perf/test_plain_use.py -s -o addopts=`` prints mAP and seconds side by side;
``$POLYTIMBRE_SEEDS`` says of how many seeds.

Plain is what a library's documentation shows: one estimator a class, fitted once on the class's
observed clips. Both sides get the same clips, pooling, hyper-parameters and seeds, one a class, in
one process: what is left is what ours does beyond, its history and its early stopping, which may
cost neither mAP nor time.
"""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from benchmark.bases.per_class import pool
from benchmark.contracts.seeds import derive_seed
from benchmark.plugins import registry
from benchmark.protocol import divide
from benchmark.runs.request import DataRequest, load
from benchmark.scoring.metrics import mean_average_precision

ROOTS = {"rendered": None, "audioset20": "audioset"}
#: Seconds below which two times are not told apart.
NOISE = 0.2
SEEDS = range(int(os.environ.get("POLYTIMBRE_SEEDS", "3")))


def logistic_regression(ours, seed):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=ours.C, max_iter=1000))


def random_forest(ours, seed):
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(random_state=seed, **params(ours))


def hist_gradient_boosting(ours, seed):
    from sklearn.ensemble import HistGradientBoostingClassifier

    given = params(ours, "stop_on", "patience")
    return HistGradientBoostingClassifier(early_stopping=False, random_state=seed, **given)


def xgboost(ours, seed):
    from xgboost import XGBClassifier

    given = params(ours, "stop_on", "patience", "n_rounds")
    return XGBClassifier(n_estimators=ours.n_rounds, random_state=seed, n_jobs=1, **given)


def params(ours, *without):
    """Return our parameters that the library has, too, under the same name."""
    without = {"pooling", "balance", *without}
    return {name: value for name, value in ours.get_params().items() if name not in without}


PLAIN = (logistic_regression, random_forest, xgboost, hist_gradient_boosting)


def fit_plainly(make, ours, seed, train, X):
    """Return the scores on `X` of one estimator a class."""
    scores = np.zeros((len(X), len(train.classes)), np.float32)
    pooled, pooled_X = pool(train.X, ours.pooling), pool(X, ours.pooling)
    for c in range(len(train.classes)):
        rows = train.y_mask[:, c]
        present = train.y_positive[rows, c]
        if present.all() or not present.any():  # nothing to tell apart, and no mAP either
            continue
        estimator = make(ours, derive_seed(seed, train.classes[c])).fit(pooled[rows], present)
        scores[:, c] = estimator.predict_proba(pooled_X)[:, 1]
    return scores


def fit_ours(ours, seed, train, stop, X):
    ours.fit(train, stop, seed=seed)
    return ours.predict_proba(X)


def timed(function, *arguments):
    """Return what a function returns, and the seconds of the processor that it took."""
    started = time.process_time()
    return function(*arguments), time.process_time() - started


@pytest.mark.parametrize("make", PLAIN, ids=lambda make: make.__name__)
@pytest.mark.parametrize("dataset", ROOTS)
def test_no_family_is_below_the_plain_use_of_its_library(dataset, make):
    if ROOTS[dataset] and not os.environ.get("POLYTIMBRE_DATA"):
        pytest.skip(f"the data of {dataset} are not here: POLYTIMBRE_DATA is not set")
    root = ROOTS[dataset] and Path(os.environ["POLYTIMBRE_DATA"]) / ROOTS[dataset]
    division = divide(load(DataRequest(dataset, root))).sealed()
    train, stop, select = (division.part(name) for name in ("fit", "stop", "select"))
    cls = registry.models().get(make.__name__)
    make(cls(), 0)  # importing the library is no part of a fit
    mAP, seconds = np.zeros((2, 2, len(SEEDS)))
    with threadpool_limits(1):
        for seed in SEEDS if cls.seeded else [0]:
            both = (
                timed(fit_plainly, make, cls(), seed, train, select.X),
                timed(fit_ours, cls(), seed, train, stop, select.X),
            )
            for side, (scores, taken) in enumerate(both):
                seconds[side, seed] = taken
                mAP[side, seed] = mean_average_precision(select.y_positive, scores, select.y_mask)
    n = len(SEEDS) if cls.seeded else 1
    # the quickest fit: what else a machine does only ever slows one down
    mAP, seconds = mAP[:, :n].mean(axis=1), seconds[:, :n].min(axis=1)
    print(
        "\n| data set | family | seeds | plain: mAP on select | ours | plain: s | ours | ratio |\n"
        "|---|---|---|---|---|---|---|---|\n"
        f"| {dataset} | {make.__name__} | {n} | {mAP[0]:.4f} | {mAP[1]:.4f} "
        f"| {seconds[0]:.1f} | {seconds[1]:.1f} | {seconds[1] / seconds[0]:.2f} |",
        flush=True,
    )
    assert mAP[1] > mAP[0] - 0.005
    assert seconds[1] < 1.1 * seconds[0] + NOISE
