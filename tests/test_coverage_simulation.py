"""On simulated clips of known mAP the intervals cover it, and equal models test as equal.

Scores are normal, shifted for positives, so that the population's average precision is an
integral. Larger simulations, with tables: ``pytest tests/simulations -s -o addopts=``.
"""

import numpy as np
import pytest
import simulated_tables
from simulated import REGIMES, coverage, population_average_precision
from simulated_thresholds import simulated_gains

from benchmark.scoring.bootstrap import bootstrap, p_value

N_REPETITIONS = 120
N_CLIPS, N_CLASSES, N_POSITIVES = 2000, 20, 60
SEPARATION = np.linspace(1.0, 3.0, N_CLASSES).astype(np.float32)


def simulate(seed):
    """Return labels, and scores of two models of one mAP that share half their noise."""
    rng = np.random.default_rng(seed)
    shape = (N_CLIPS, N_CLASSES)
    truth = rng.random(shape, dtype=np.float32) < N_POSITIVES / N_CLIPS
    shared = rng.standard_normal(shape, dtype=np.float32)
    own = rng.standard_normal((2, *shape), dtype=np.float32)
    shift = np.stack([SEPARATION, SEPARATION[::-1]])[:, None]
    return truth, truth * shift + (shared + own) * np.float32(np.sqrt(0.5))


@pytest.fixture(scope="module")
def simulation():
    """Coverage of basic and percentile intervals, and p-values of the difference."""
    true = population_average_precision(SEPARATION, N_POSITIVES / N_CLIPS).mean()
    basic, percentile, p = [], [], []
    for seed in range(N_REPETITIONS):
        truth, scores = simulate(seed)
        result = bootstrap(truth, np.ones_like(truth), scores, n_resamples=399, seed=seed)
        lower, upper = result.interval(0.95)
        basic.append((lower <= true) & (true <= upper))
        lower, upper = np.quantile(result.values, [0.025, 0.975], axis=0)
        percentile.append((lower <= true) & (true <= upper))
        p.append(p_value(-np.diff(result.estimate)[0], -np.diff(result.values, axis=1)[:, 0]))
    figures = np.mean(basic), np.mean(percentile), np.mean(np.array(p) <= 0.05)
    print("\nbasic {:.3f}, percentile {:.3f}, false positives {:.3f}".format(*figures))
    return figures


def test_basic_intervals_cover_the_true_value(simulation):
    basic, percentile, _ = simulation
    assert 0.89 <= basic <= 0.98
    assert percentile < basic - 0.05  # why the intervals are not percentile ones


def test_equal_models_are_told_apart_as_seldom_as_promised(simulation):
    assert 0.01 <= simulation[2] <= 0.1


@pytest.mark.parametrize("regime", list(REGIMES)[1:])
def test_intervals_of_classes_cover_with_few_positives_and_unequal_groups(regime):
    found = coverage(regime, 60, n_resamples=199)
    assert 0.88 <= found["class"] <= 0.98
    assert found["macro"] >= 0.8  # 60 repetitions have a standard error of 0.03
    (told,) = (row for row in simulated_tables.read("coverage") if row["part"] == regime)
    assert found["macro"] == pytest.approx(float(told["mAP"]), abs=0.12)
    assert found["class"] == pytest.approx(float(told["class"]), abs=0.03)


def test_thresholds_gain_with_more_clips_what_the_page_tells():
    told = {
        (row["clips"], row["log odds off by"]): row for row in simulated_tables.read("thresholds")
    }
    for n_clips, n_repetitions in ((300, 40), (1103, 20)):
        for name, gain in simulated_gains(n_clips, 0.5, n_repetitions).items():
            expected = float(told[f"{n_clips:,}", "0.5"][name].split()[0])
            error = gain.std(ddof=1) / np.sqrt(n_repetitions)
            assert gain.mean() == pytest.approx(expected, abs=4 * error + 0.001)
