"""What is guessed of unobserved labels, from what, and what a guess weighs."""

from dataclasses import replace

import numpy as np
import pytest

from benchmark.plugins import registry
from benchmark.plugins.checks import make_part

CLASSES = ("a", "b", "c")


def scores(name, train, **params):
    model = registry.models().get(name).from_params(**params)
    model.fit(train, train, seed=1)
    return model.predict_proba(train.X)


@pytest.mark.parametrize("guess", ["share", "teachers"])
def test_without_weight_or_unobserved_labels_it_is_logistic_regression(guess):
    train = make_part(60, 1, classes=CLASSES)
    plain = scores("logistic_regression", train)
    np.testing.assert_array_equal(scores("semi_supervised", train, guess=guess, weight=0), plain)
    assert (scores("semi_supervised", train, guess=guess) != plain)[:, 2].all()
    observed = replace(train, y_mask=np.ones_like(train.y_mask))
    expected = scores("logistic_regression", observed)
    np.testing.assert_array_equal(scores("semi_supervised", observed, guess=guess), expected)


def test_guesses_rest_on_nothing_of_the_clips_own_group():
    train = make_part(60, 1, classes=CLASSES)
    model = registry.models().get("semi_supervised").from_params("self_training")
    before = model.guesses(train)
    X = train.X.copy()
    X[0] = 255 - X[0]  # folds rest on labels: they stay
    changed = (model.guesses(replace(train, X=X)) != before)[:, 2]
    companion = np.flatnonzero(train.groups == train.groups[0])[1]
    assert train.y_mask[0, 2] and not changed[companion]
    assert changed.sum() > 40  # those of the other four folds


def test_what_is_guessed_without_teachers_is_the_share_of_positives():
    train = make_part(60, 1, classes=CLASSES)
    guesses = registry.models().get("semi_supervised")().guesses(train)
    share = train.y_positive[train.y_mask[:, 2], 2].mean()
    np.testing.assert_allclose(guesses[:, 2], share)


def test_a_guess_weighs_what_it_is_believed():
    """A label that is believed to be what it is weighs as much as one that was observed."""
    train = make_part(60, 1, classes=CLASSES)
    hidden = replace(train, y_mask=train.y_mask & (np.arange(60) % 3 > 0)[:, None])
    model = registry.models().get("semi_supervised")()
    model.beliefs_ = train.y_true
    X = train.X.mean(axis=1).astype(np.float32)
    got = model.estimator(0)
    model.grow(got, 1, *model.examples(hidden, X, 2))
    wanted = model.estimator(0).fit(X, train.y_true[:, 2] > 0)
    np.testing.assert_allclose(got.predict_proba(X), wanted.predict_proba(X), atol=1e-4)
