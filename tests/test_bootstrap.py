"""The bootstrap agrees with scikit-learn on the resampled data, and keeps its promises."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from benchmark.errors import ProtocolError
from benchmark.scoring import metrics
from benchmark.scoring.bootstrap import (
    BLOCK,
    Bootstrap,
    basic_interval,
    bootstrap,
    clip_draws,
    effective_groups,
    p_value,
    seed_weights,
)


@st.composite
def cases(draw):
    """Labels, mask, scores of two models with two seeds and one, and groups."""
    n, c = draw(st.integers(4, 60)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.sampled_from([2, 5, 1000]))  # few levels: many ties
    truth = rng.random((n, c)) < draw(st.sampled_from([0.1, 0.5]))
    mask = rng.random((n, c)) < draw(st.sampled_from([0.5, 1.0]))
    truth[:2, 0], mask[:2, 0] = (True, False), True  # one class at least can be scored
    scores = [
        (rng.integers(0, levels + 1, (seeds, n, c)) / levels).astype(np.float32) for seeds in (2, 1)
    ]
    groups = None if draw(st.booleans()) else rng.integers(0, max(2, n // 3), n).astype(str)
    return truth, mask, scores, groups


def resampled_clips(groups, n, resample, seed=0):
    """Return the clips of one resample, the plain way."""
    members = (
        [np.array([i]) for i in range(n)]
        if groups is None
        else [np.flatnonzero(groups == g) for g in np.unique(groups)]
    )
    drawn = clip_draws(len(members), seed, resample // BLOCK)[resample % BLOCK]
    return np.concatenate([members[g] for g in drawn])


def scikit_learn(function, truth, mask, score):
    """Call a scikit-learn metric a class; NaN where a class can't be scored."""
    values = []
    for t, m, s in zip(truth.T, mask.T, score.T, strict=True):
        t, s = t[m], s[m]
        values.append(function(t, s) if t.any() and not t.all() else np.nan)
    return np.array(values)


def check_against_scikit_learn(case, function, **arguments):
    truth, mask, scores, groups = case
    with mock.patch("benchmark.scoring.bootstrap.MOST_LOST", 1.0):  # nothing is drawn again
        result = bootstrap(
            truth, mask, scores, groups=groups, n_resamples=BLOCK + 3, seed=7, **arguments
        )
    for r in (0, 1, 2, 3, BLOCK - 1, BLOCK, BLOCK + 2):
        clips = resampled_clips(groups, len(truth), r, seed=7)
        for m, runs in enumerate(scores):
            runs = [scikit_learn(function, truth[clips], mask[clips], s[clips]) for s in runs]
            weights = seed_weights(len(runs), 7, r // BLOCK, m)[:, r % BLOCK]
            expected = np.where(result.scored, weights @ np.array(runs), np.nan)
            np.testing.assert_allclose(result.class_values[r, m], expected, atol=1e-10, rtol=0)
            macro = np.mean(runs, axis=0)[result.scored].mean()
            np.testing.assert_allclose(result.clip_values[r, m], macro, atol=1e-10, rtol=0)
    for runs, values in zip(scores, result.run_values, strict=True):
        expected = [scikit_learn(function, truth, mask, s) for s in runs]
        np.testing.assert_allclose(values, expected, atol=1e-10, rtol=0)


@given(cases())
@settings(max_examples=60, deadline=None)
def test_average_precision_agrees_with_scikit_learn(case):
    check_against_scikit_learn(case, sk.average_precision_score)


@given(cases(), st.sampled_from([0.0, 0.2, 0.5, 1.0]))
@settings(max_examples=40, deadline=None)
def test_f1_agrees_with_scikit_learn(case, threshold):
    def f1(truth, score):
        return sk.f1_score(truth, score >= np.float32(threshold), zero_division=0)

    check_against_scikit_learn(case, f1, metric="f1", thresholds=threshold)


@given(cases(), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_unobserved_entries_change_no_bit(case, seed):
    truth, mask, scores, groups = case
    rng = np.random.default_rng(seed)
    other_truth = np.where(mask, truth, ~truth)
    other_scores = [np.where(mask, s, rng.choice([np.nan, 0.5], s.shape)) for s in scores]
    ours = bootstrap(truth, mask, scores, groups=groups, n_resamples=70)
    other = bootstrap(other_truth, mask, other_scores, groups=groups, n_resamples=70)
    np.testing.assert_array_equal(ours.class_values, other.class_values)
    np.testing.assert_array_equal(ours.class_estimate, other.class_estimate)


@given(cases())
@settings(max_examples=20, deadline=None)
def test_values_do_not_depend_on_threads_or_on_other_models(case):
    truth, mask, scores, groups = case
    both = bootstrap(truth, mask, scores, groups=groups, n_resamples=200, n_threads=1)
    again = bootstrap(truth, mask, scores, groups=groups, n_resamples=200, n_threads=3)
    np.testing.assert_array_equal(both.class_values, again.class_values)
    first = bootstrap(truth, mask, scores[:1], groups=groups, n_resamples=100)
    np.testing.assert_array_equal(both.class_values[:100, :1], first.class_values)


@given(cases())
@settings(max_examples=20, deadline=None)
def test_a_monotone_transformation_and_a_copy_change_nothing(case):
    truth, mask, scores, _ = case
    one = scores[1]
    result = bootstrap(truth, mask, [one, np.exp(3 * one.astype(float)), one], n_resamples=64)
    for m in (1, 2):
        np.testing.assert_array_equal(result.class_values[:, 0], result.class_values[:, m])


def make(n=400, c=3, models=2, seeds=2, prevalence=0.2, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.random((n, c)) < prevalence
    noise = rng.normal(size=(models, seeds, n, c))
    return truth, np.ones_like(truth), truth + noise


def test_point_estimates_are_those_of_the_metrics_module():
    truth, mask, scores = make()
    result = bootstrap(truth, mask, scores, n_resamples=64)
    expected = [
        [metrics.mean_average_precision(truth, run, mask) for run in runs] for runs in scores
    ]
    np.testing.assert_allclose(result.estimate, np.mean(expected, axis=1), atol=1e-12)
    np.testing.assert_allclose(result.seed_sd, np.std(expected, axis=1, ddof=1), atol=1e-12)


def test_thresholds_of_each_model_seed_and_class():
    truth, mask, scores = make()
    rng = np.random.default_rng(1)
    cuts = rng.random((2, 2, 3))
    result = bootstrap(truth, mask, scores, metric="f1", thresholds=list(cuts), n_resamples=64)
    for m, k in np.ndindex(2, 2):
        f1 = metrics.decisions(truth, scores[m, k] >= cuts[m, k], mask).f1
        np.testing.assert_allclose(result.run_values[m][k], f1, atol=1e-12)


def test_a_float64_threshold_meets_the_float32_score_it_stands_for():
    score = np.array([[0.1], [0.3]], np.float32)
    truth = np.array([[False], [True]])
    result = bootstrap(
        truth, ~(truth & False), [score], metric="f1", thresholds=0.3, n_resamples=64
    )
    assert result.estimate[0] == 1.0


def test_a_resample_without_positives_is_dropped_for_all_models():
    truth, mask, scores = make(n=60, seeds=1)
    truth[:, 1] = False
    truth[:3, 1] = True
    result = bootstrap(truth, mask, scores, n_resamples=640)
    assert result.redrawn == 0
    lost = [not truth[clip_draws(60, 0, b)[i], 1].any() for b in range(10) for i in range(BLOCK)]
    assert sum(lost) > 0
    assert result.n_dropped >= sum(lost)
    assert result.values.shape == (640 - result.n_dropped, 2)
    assert not np.isnan(result.values).any()
    np.testing.assert_array_equal(np.isnan(result.class_values[:, 0, 1]), lost)
    np.testing.assert_array_equal(np.isnan(result.class_values[:, 1, 1]), lost)
    lower, upper = result.class_interval()
    assert (lower <= upper).all()


def test_resamples_are_drawn_again_where_many_lose_a_class():
    truth, mask, scores = make(n=60, seeds=1)
    truth[:, 1] = False
    truth[0, 1] = True
    first, fewer = (bootstrap(truth, mask, scores, n_resamples=n) for n in (640, 100))
    assert 0.3 < first.redrawn < 0.45  # the one positive is lost with a chance of (59 / 60)^60
    assert first.n_dropped == 0 and len(first.values) == 640
    np.testing.assert_array_equal(first.class_values[:100], fewer.class_values)
    lone = bootstrap(truth, mask, scores[:1], n_resamples=640)
    np.testing.assert_array_equal(first.class_values[:, :1], lone.class_values)  # still paired
    # those that keep the class at once are among them, and all are draws that keep it
    drawn = np.concatenate([clip_draws(60, 0, b) for b in range(10)])
    kept = (drawn == 0).any(axis=1)
    plain = bootstrap(truth[:, [0, 2]], mask[:, [0, 2]], [s[..., [0, 2]] for s in scores])
    assert np.isin(plain.class_values[:640][kept], first.class_values).all()


def test_a_class_that_cannot_be_scored_is_left_out_or_refused():
    truth, mask, scores = make()
    truth[:, 2] = False
    result = bootstrap(truth, mask, scores, n_resamples=64)
    assert result.scored.tolist() == [True, True, False]
    assert result.n_dropped == 0
    assert np.isnan(result.class_values[:, 0]).sum(axis=0).tolist() == [0, 0, 64]
    assert np.isnan(result.class_interval(0.9)[0][:, 2]).all()
    with pytest.raises(ProtocolError, match="class 2 can't be scored: .* no observed positive"):
        bootstrap(truth, mask, scores, classes=[0, 2])
    with pytest.raises(ProtocolError, match="class 2 can't be scored: .* no observed negative"):
        bootstrap(~truth, mask, scores, classes=[2])
    chosen = bootstrap(truth, mask, scores, classes=[1], n_resamples=64)
    np.testing.assert_array_equal(chosen.estimate, result.class_estimate[:, 1])


def test_refusals():
    truth, mask, scores = make()
    for message, change in (
        ("no class can be scored", {"y_positive": truth & False}),
        ("y_positive must be bool", {"y_positive": truth.astype(float)}),
        ("y_positive has shape", {"y_positive": truth[:, :2]}),
        ("scores of model 0 must have shape", {"scores": scores[:, :, :-1]}),
        ("scores of model 1 hold NaN", {"scores": [scores[0], scores[1] * np.nan]}),
        ("there is no model", {"scores": []}),
        ("groups must have shape", {"groups": np.arange(3)}),
        ("unknown metric 'map'", {"metric": "map"}),
        ("needs thresholds", {"metric": "f1"}),
        ("thresholds for 3 models", {"metric": "f1", "thresholds": [0.5] * 3}),
        ("there is no class 3", {"classes": [3]}),
        ("there is no class to score", {"classes": []}),
        ("n_resamples must be at least 1", {"n_resamples": 0}),
    ):
        arguments = {"y_positive": truth, "y_mask": mask, "scores": scores, **change}
        with pytest.raises(ProtocolError, match=message):
            bootstrap(**arguments)


def test_intervals_are_reverse_percentiles_and_in_range():
    values = np.arange(1.0, 1000.0)  # 999 of them: the 25th and the 975th
    assert basic_interval(600.0, values) == (1200 - 975, 1200 - 25)
    # without the guard against rounding, 2,000 * 0.025 would be seen as 49.99...
    assert basic_interval(0.0, np.arange(1.0, 2000.0)) == (-1950, -50)
    with pytest.raises(ProtocolError, match="it takes 39"):
        basic_interval(0.0, values[:38])
    basic_interval(0.0, values[:39])
    with pytest.raises(ProtocolError, match="0 resamples with a value are too few"):
        basic_interval(np.zeros(2), np.zeros((0, 2)))
    with pytest.raises(ProtocolError, match="level"):
        basic_interval(0.0, values, 95)
    truth, mask, scores = make(seeds=1)
    perfect = bootstrap(truth, mask, [truth.astype(float), scores[0]], n_resamples=99)
    lower, upper = perfect.interval()
    assert lower[0] == upper[0] == 1.0
    assert ((lower >= 0) & (upper <= 1)).all()


@given(st.integers(0, 2**32 - 1), st.integers(100, 500), st.sampled_from([0.8, 0.9, 0.95]))
@settings(max_examples=100, deadline=None)
def test_an_interval_excludes_zero_exactly_where_the_test_rejects(seed, n, level):
    rng = np.random.default_rng(seed)
    estimate = rng.normal(0, 2, 20)
    values = estimate + rng.normal(0, 1, (n, 20)).round(1)
    values[rng.random((n, 20)) < 0.05] = np.nan
    lower, upper = basic_interval(estimate, values, level)
    rejected = p_value(estimate, values) <= 1 - level + 1e-12
    np.testing.assert_array_equal(rejected, (lower > 0) | (upper < 0))


def test_p_values_stay_in_range():
    assert p_value(0.0, np.zeros(99)) == 1.0
    assert p_value(10.0, 10 + np.linspace(-1, 1, 99)) == 2 / 100


@pytest.mark.parametrize("n_seeds", [2, 3, 5])
def test_seed_weights_spread_a_mean_as_students_t(n_seeds):
    values = np.random.default_rng(0).normal(size=n_seeds)
    weights = np.concatenate([seed_weights(n_seeds, 0, b, 0) for b in range(400)], axis=1)
    np.testing.assert_allclose(weights.sum(axis=0), 1)
    standard_error = values.std(ddof=1) / np.sqrt(n_seeds)
    t = (values @ weights - values.mean()) / standard_error
    assert stats.kstest(t, stats.t(n_seeds - 1).cdf).statistic < 0.01
    assert (seed_weights(1, 0, 0, 0) == 1).all()


def test_seeds_widen_the_interval_and_their_spread_is_told_apart():
    truth, mask, scores = make(seeds=1)
    rng = np.random.default_rng(3)
    noisy = scores[0] + rng.normal(0, [[[0.2]], [[1.0]], [[3.0]]], (3, *truth.shape))
    result = bootstrap(truth, mask, [scores[0], noisy], n_resamples=1999)
    assert np.isnan(result.seed_sd[0])
    np.testing.assert_array_equal(result.values[:, 0], result.clip_values[:, 0])
    seeds_alone = stats.t.ppf(0.75, 2) * result.seed_sd[1] / np.sqrt(3)
    low, high = np.quantile(result.values[:, 1], [0.25, 0.75])
    clips_alone = stats.norm.ppf(0.75) * result.sampling_sd[1]
    assert (high - low) / 2 == pytest.approx(np.hypot(seeds_alone, clips_alone), rel=0.1)


def test_the_interval_of_a_class_stays_in_range_and_widens_with_seeds():
    truth, mask, scores = make(n=150, c=4, prevalence=0.08, seeds=4)
    still = np.repeat(scores[0][:1], 4, axis=0)  # four seeds alike
    perfect = truth.astype(float)
    result = bootstrap(truth, mask, [still, scores[1], perfect], n_resamples=499)
    lower, upper = result.class_interval()
    assert ((lower > 0) & (upper < 1))[:2].all()
    assert (lower[2] == upper[2]).all()
    assert (lower[2] == 1).all()
    one = bootstrap(truth, mask, [still[0]], n_resamples=499).class_interval()
    np.testing.assert_allclose([lower[0], upper[0]], [one[0][0], one[1][0]])
    inner, outer = result.class_interval(0.8)
    assert ((lower < inner) & (outer < upper))[:2].all()
    narrow = Bootstrap("average_precision", *(getattr(result, name) for name in (
        "scored", "run_values", "class_values", "clip_values", "class_bias")),
        result.class_clip_sd / 2).class_interval()  # fmt: skip
    assert (narrow[1] - narrow[0] < upper - lower)[:2].all()


def test_bias_and_standard_error_of_clips_are_those_of_the_resamples():
    truth, mask, scores = make(n=80, prevalence=0.1, seeds=1)
    result = bootstrap(truth, mask, scores, n_resamples=BLOCK + 5)
    drawn = result.class_values
    np.testing.assert_allclose(
        result.class_bias, np.nanmean(drawn, axis=0) - result.class_estimate, atol=1e-12
    )
    np.testing.assert_allclose(result.class_clip_sd, np.nanstd(drawn, axis=0, ddof=1), atol=1e-12)
    np.testing.assert_allclose(result.corrected, 2 * result.estimate - result.values.mean(axis=0))


def test_effective_number_of_groups():
    assert effective_groups(np.array(["a", "b", "c", "c", "b", "a"])) == pytest.approx(3)
    assert effective_groups(np.repeat(["a", "b", "c"], [98, 1, 1])) == pytest.approx(
        1.041, abs=1e-3
    )
