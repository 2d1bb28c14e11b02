"""What trees add to their library: class weights, and rounds that go with their rate."""

import numpy as np
import optuna
import pytest

from benchmark.bases.per_class import pool, positive_weight
from benchmark.contracts.seeds import derive_seed
from benchmark.plugins import registry
from benchmark.plugins.checks import make_part

FEW = {
    "xgboost": {"n_rounds": 5},
    "random_forest": {"n_estimators": 5},
    "hist_gradient_boosting": {"max_iter": 5},
}


def plain(name, seed, weight):
    """Return the library's own estimator, its positives weighed by hand."""
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from xgboost import XGBClassifier

    weights = None if weight == 1 else {False: 1.0, True: weight}
    if name == "random_forest":
        return RandomForestClassifier(5, max_depth=8, class_weight=weights, random_state=seed)
    if name == "hist_gradient_boosting":
        return HistGradientBoostingClassifier(
            max_iter=5, max_leaf_nodes=15, l2_regularization=1.0, max_features=0.3,
            early_stopping=False, class_weight=weights, random_state=seed,
        )  # fmt: skip
    return XGBClassifier(
        n_estimators=5, max_depth=8, learning_rate=0.05, min_child_weight=1.0, subsample=0.8,
        colsample_bytree=0.5, reg_lambda=1.0, scale_pos_weight=weight, random_state=seed, n_jobs=1,
    )  # fmt: skip


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("name", FEW)
def test_positives_weigh_what_balance_says(name, balance):
    train = make_part(90, 1, n_features=12, classes=("a", "b"))
    model = registry.models().get(name).from_params(balance=balance, **FEW[name])
    model.fit(train, train, seed=3)
    scores = model.predict_proba(train.X)
    X = pool(train.X, "mean")
    for c, one in enumerate(train.classes):
        rows = train.y_mask[:, c]
        y = train.y_positive[rows, c]
        weight = positive_weight(y, balance)
        assert weight == pytest.approx(((~y).sum() / y.sum()) ** balance)
        estimator = plain(name, derive_seed(3, one), weight).fit(X[rows], y)
        np.testing.assert_array_equal(
            scores[:, c], estimator.predict_proba(X)[:, 1].astype(np.float32)
        )


def test_weighted_boosting_cuts_between_quantiles_of_the_clips():
    from models.hist_gradient_boosting import BINS, to_bins

    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 3)).astype(np.float32)
    X[:, 1] = rng.integers(0, 20, 2000)
    rounded = to_bins(X)
    assert [len(np.unique(column)) for column in rounded.T] == [BINS, 20, BINS]
    np.testing.assert_array_equal(rounded[:, 1], X[:, 1])
    assert (np.diff(rounded[np.argsort(X[:, 0]), 0]) >= 0).all()
    y = X[:, 0] + X[:, 1] > 12
    estimator = plain("hist_gradient_boosting", 0, 3.0).fit(rounded, y)
    np.testing.assert_array_equal(estimator.predict_proba(X), estimator.predict_proba(rounded))


@pytest.mark.parametrize(
    ("name", "rounds"), [("xgboost", "n_rounds"), ("hist_gradient_boosting", "max_iter")]
)
def test_a_low_rate_is_searched_with_more_rounds(name, rounds):
    space = registry.models().get(name).search_space
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    for _ in range(20):
        trial = study.ask()
        found = space(trial)
        assert found["learning_rate"] * found[rounds] == pytest.approx(trial.params["growth"], 0.05)


def test_pooling_by_mean_deviation_and_maximum():
    X = np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32)
    wanted = np.concatenate([X.mean(axis=1), X.std(axis=1), X.max(axis=1)], axis=1)
    np.testing.assert_array_equal(pool(X, "mean_std_max"), wanted)
