"""Time the metrics against scikit-learn's loop over classes, and the start of the command."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from benchmark.scoring import metrics, thresholds


@pytest.fixture(scope="module")
def scored():
    """Labels, scores and mask of the size of audioset20's test part."""
    rng = np.random.default_rng(0)
    truth = rng.random((6677, 20)) < 0.02
    score = (truth + rng.normal(size=truth.shape)).astype(np.float32)
    return truth, score, np.ones_like(truth)


def test_average_precision(benchmark, scored):
    benchmark(metrics.average_precision, *scored)


def test_average_precision_of_scikit_learn(benchmark, scored):
    benchmark(average_precision_score, scored[0], scored[1], average=None)


def test_thresholds(benchmark, scored):
    ranking = metrics.Ranking.of(*scored)
    benchmark(thresholds.choose, ranking)


def test_help(benchmark):
    command = [sys.executable, "-m", "benchmark", "--help"]
    benchmark.pedantic(subprocess.run, (command,), {"capture_output": True}, rounds=10)
