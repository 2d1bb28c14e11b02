"""What a fit is stopped by, and which of its stages it keeps."""

import math

import numpy as np
import pytest

from benchmark.bases.stopping import kept, worn_out
from benchmark.contracts.model import History, Stage
from benchmark.plugins import registry
from benchmark.plugins.checks import make_part
from benchmark.scoring.metrics import log_loss

LOSS = (0.7, 0.5, 0.6, 0.6, 0.8)
MAP = (0.2, 0.3, 0.4, 0.4, 0.3)


def history(n=5, mAP=MAP):
    stages = zip(LOSS[:n], mAP, strict=False)
    return History("epoch", [Stage(i, 0.1, loss, 0.9, m) for i, (loss, m) in enumerate(stages, 1)])


@pytest.mark.parametrize(("stop_on", "best"), [("loss", 2), ("mAP", 3), ("none", 5)])
def test_what_each_rule_keeps(stop_on, best):
    assert kept(history(), stop_on).number == best


def test_equal_and_missing_mAPs_are_told_apart_by_the_loss():
    assert kept(history(mAP=(0.4,) * 5), "mAP").number == 2
    assert kept(history(mAP=(math.nan,) * 5), "mAP").number == 2


def test_patience_is_what_a_rule_waits_for_something_better():
    assert not worn_out(history(3), "loss", 2)
    assert worn_out(history(4), "loss", 2)
    assert not worn_out(history(4), "mAP", 2)
    assert not any(worn_out(history(n), "none", 1) for n in range(1, 6))


@pytest.mark.parametrize("stop_on", ["loss", "mAP", "none"])
def test_trees_stand_where_their_rule_says(stop_on):
    params = {"stop_on": stop_on, "patience": 2, "n_rounds": 60, "learning_rate": 1.0}
    model = registry.models().get("xgboost").from_params(**params)
    train, stop = (make_part(60, seed, classes=("a", "b", "c")) for seed in (1, 2))
    fit = model.fit(train, stop, seed=0)
    assert fit.best == kept(fit, stop_on).number
    assert (fit.stages[-1].number == 60) == (stop_on == "none")
    scores = model.predict_proba(stop.X)
    assert log_loss(stop.y_true, scores, stop.y_mask) == kept(fit, stop_on).stop_loss


def test_weights_are_averaged_over_epochs():
    """Training goes on from its own weights; what scores is their moving average."""
    train = make_part(40, 1, n_features=6, classes=("a", "b"))

    def weights(epochs, averaging):
        model = (
            registry.models()
            .get("probe")
            .from_params(hidden=[4], epochs=epochs, stop_on="none", averaging=averaging)
        )
        model.fit(train, train, seed=2)
        return model.network_.get_weights()

    first, second, third = (weights(n, 0.0) for n in (1, 2, 3))
    for got, a, b, c in zip(weights(3, 0.6), first, second, third, strict=True):
        assert not np.allclose(b, c)
        # the mean of two, and then 0.6 of it
        np.testing.assert_allclose(got, 0.6 * (a + b) / 2 + 0.4 * c, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["hist_gradient_boosting", "random_forest"])
def test_trees_that_grow_at_once_are_looked_at_stage_by_stage(name):
    train = make_part(120, 1, n_features=6, classes=("a", "b"))
    size = {"hist_gradient_boosting": "max_iter", "random_forest": "n_estimators"}[name]
    cls = registry.models().get(name)
    seen = []
    model = cls.from_params(**{size: 20})
    model.fit(train, train, seed=2, report=lambda s: seen.append(model.predict_proba(train.X)))
    for number, scores in zip(model.stages(), seen, strict=True):
        smaller = cls.from_params(**{size: number})
        smaller.fit(train, train, seed=2)
        np.testing.assert_allclose(smaller.predict_proba(train.X), scores, atol=1e-6)
