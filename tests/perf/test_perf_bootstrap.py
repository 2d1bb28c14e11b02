"""Time the bootstrap against a loop over scikit-learn's average precision, in one run.

Not part of the tests: ``tox -e perf``, or ``pytest tests/perf -s`` to see the ratio.
"""

import time
import tracemalloc

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from benchmark.scoring.bootstrap import BLOCK, bootstrap, clip_draws
from benchmark.scoring.ranking import critical_difference, pairwise, win_tie_loss
from benchmark.scoring.slicing import resample_slice

#: Positives a class of the test part of audioset20.
POSITIVES = (61, 60, 120, 67, 60, 70, 334, 60, 406, 128, 63, 123, 94, 62, 100, 64, 63, 60, 60, 813)
N_CLIPS, N_CLASSES = 6677, len(POSITIVES)
N_RESAMPLES = 10_000


@pytest.fixture(scope="module")
def clips():
    """Labels, mask and the scores of 5 models with 3 seeds."""
    rng = np.random.default_rng(0)
    truth = np.zeros((N_CLIPS, N_CLASSES), bool)
    for c, n in enumerate(POSITIVES):
        truth[rng.choice(N_CLIPS, n, replace=False), c] = True
    quality = np.linspace(1.2, 2, 5)[:, None, None, None]
    noise = rng.normal(size=(5, 3, N_CLIPS, N_CLASSES))
    scores = 1 / (1 + np.exp(2 - quality * truth - noise))
    return truth, np.ones_like(truth), scores.astype(np.float32)


def time_scikit_learn(truth, score, expected, n_resamples=10):
    """Return seconds a resample of the plain loop, and check that it gives the same values."""
    start = time.perf_counter()
    values = []
    for drawn in clip_draws(N_CLIPS, 0, 0)[:n_resamples]:
        values.append(average_precision_score(truth[drawn], score[drawn], average=None))
    seconds = (time.perf_counter() - start) / n_resamples
    np.testing.assert_allclose(expected[:n_resamples], values, atol=1e-10, rtol=0)
    return seconds


def test_speed_against_scikit_learn(benchmark, clips):
    truth, mask, scores = clips
    one = scores[:1, 0]
    result = bootstrap(truth, mask, one, n_resamples=BLOCK)
    loop = [time_scikit_learn(truth, one[0], result.class_values[:, 0])]
    benchmark.pedantic(
        bootstrap, (truth, mask, one), {"n_resamples": N_RESAMPLES}, rounds=3, iterations=1
    )
    loop.append(time_scikit_learn(truth, one[0], result.class_values[:, 0]))
    seconds = benchmark.stats.stats.median / N_RESAMPLES
    ratio = np.mean(loop) / seconds
    benchmark.extra_info["ratio"] = ratio
    print(
        f"\nscikit-learn loop {1e3 * np.mean(loop):.1f} ms a resample, bootstrap "
        f"{1e3 * seconds:.3f} ms: {ratio:.0f} times faster"
    )
    assert ratio >= 150


def test_memory(clips):
    truth, mask, scores = clips
    tracemalloc.start()  # numpy reports its arrays to it
    bootstrap(truth, mask, scores[:1, 0], n_resamples=N_RESAMPLES)
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    print(f"\npeak of one call with {N_RESAMPLES:,} resamples: {peak:.0f} MB")
    assert peak < 500


@pytest.mark.parametrize(
    ("n_models", "n_seeds", "n_resamples", "limit"), [(5, 3, 2000, 10), (15, 5, N_RESAMPLES, 120)]
)
def test_comparison_of_models(benchmark, clips, n_models, n_seeds, n_resamples, limit):
    truth, mask, scores = clips
    scores = np.resize(scores, (n_models, n_seeds, *scores.shape[2:]))

    def compare():
        result = bootstrap(truth, mask, scores, n_resamples=n_resamples)
        return (
            result.interval(),
            pairwise(result),
            win_tie_loss(result),
            result.class_interval(),
            critical_difference(result.class_estimate.T),
        )

    benchmark.pedantic(compare, rounds=1, iterations=1)
    seconds = benchmark.stats.stats.max
    print(f"\n{n_models} models x {n_seeds} seeds, {n_resamples:,} resamples: {seconds:.1f} s")
    assert seconds < limit


def test_slice_of_clips(benchmark, clips):
    """Five models with three seeds on a third of the clips against the rest, 640 resamples."""
    truth, mask, scores = clips
    every = np.ones(N_CLASSES, bool)
    chosen = {"scored": every, "pooled": every, "n_resamples": 10 * BLOCK}
    inside, groups = np.arange(N_CLIPS) % 3 == 0, np.arange(N_CLIPS) // 8
    benchmark.pedantic(
        lambda: resample_slice(truth, mask, scores, inside, groups=groups, **chosen), rounds=2
    )
