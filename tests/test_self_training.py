"""Guesses of unobserved labels come from teachers that heard nothing of a clip's group."""

from dataclasses import replace

import numpy as np

from benchmark.plugins import registry
from benchmark.plugins.checks import make_part

CLASSES = ("a", "b", "c")


def scores(name, train, seed=1, **params):
    model = registry.models().get(name).from_params(**params)
    model.fit(train, train, seed=seed)
    return model.predict_proba(train.X)


def test_without_weight_or_unobserved_labels_it_is_logistic_regression():
    train = make_part(60, 1, classes=CLASSES)
    plain = scores("logistic_regression", train)
    np.testing.assert_array_equal(scores("self_training", train, weight=0), plain)
    assert (scores("self_training", train, weight=0.1) != plain)[:, 2].all()
    observed = replace(train, y_mask=np.ones_like(train.y_mask))
    expected = scores("logistic_regression", observed)
    np.testing.assert_array_equal(scores("self_training", observed, weight=1), expected)


def test_guesses_rest_on_nothing_of_the_clips_own_group():
    train = make_part(60, 1, classes=CLASSES)
    model = registry.models().get("self_training")()
    before = model.guess(train, seed=0)
    X = train.X.copy()
    X[0] = 255 - X[0]  # folds rest on labels: they stay
    changed = (model.guess(replace(train, X=X), seed=0) != before)[:, 2]
    companion = np.flatnonzero(train.groups == train.groups[0])[1]
    assert train.y_mask[0, 2] and not changed[companion]
    assert changed.sum() > 40  # those of the other four folds


def test_a_guess_weighs_what_it_is_believed():
    """A believed label is as good as an observed one of the same weight."""
    train = make_part(60, 1, classes=CLASSES)
    hidden = replace(train, y_mask=train.y_mask & (np.arange(60) % 3 > 0)[:, None])
    model = registry.models().get("self_training").from_params(weight=1.0)
    model.beliefs_ = train.y_true
    X = train.X.mean(axis=1).astype(np.float32)
    got = model.estimator(0)
    model.grow(got, 1, *model.examples(hidden, X, 2))
    wanted = model.estimator(0).fit(X, train.y_true[:, 2] > 0)
    np.testing.assert_allclose(got.predict_proba(X), wanted.predict_proba(X), atol=1e-4)
