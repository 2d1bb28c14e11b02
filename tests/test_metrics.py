"""Metrics and thresholds agree with scikit-learn, ties and masks included."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from benchmark.errors import ProtocolError
from benchmark.scoring import metrics, thresholds


@st.composite
def masked_scores(draw):
    n, c = draw(st.integers(2, 40)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.sampled_from([2, 5, 1000]))  # few levels: many ties
    score = (rng.integers(0, levels + 1, (n, c)) / levels).astype(np.float32)
    truth = rng.random((n, c)) < draw(st.sampled_from([0.1, 0.5]))
    mask = rng.random((n, c)) < draw(st.sampled_from([0.3, 0.8, 1.0]))
    return truth & mask, score, mask


def by_class(function, truth, score, mask):
    """Call a scikit-learn metric a class; NaN where a class can't be scored."""
    values = []
    for t, s, m in zip(truth.T, score.T, mask.T, strict=True):
        t, s = t[m], s[m]
        values.append(function(t, s) if t.any() and not t.all() else np.nan)
    return np.array(values, dtype=float)


@given(masked_scores())
@settings(max_examples=150, deadline=None)
def test_ranking_metrics_agree_with_scikit_learn(data):
    ranking = metrics.Ranking.of(*data)
    for ours, theirs in (
        (ranking.average_precision(), sk.average_precision_score),
        (ranking.roc_auc(), sk.roc_auc_score),
    ):
        np.testing.assert_allclose(ours, by_class(theirs, *data), atol=1e-12, rtol=0)


@given(masked_scores())
@settings(max_examples=100, deadline=None)
def test_decisions_agree_with_scikit_learn(data):
    truth, score, mask = data
    pred = score >= 0.5
    ours = metrics.decisions(truth, pred, mask)

    def prf(average, index, **extra):
        return lambda t, p: sk.precision_recall_fscore_support(
            t, p, average=average, zero_division=0, **extra
        )[index]

    for i, name in enumerate(("precision", "recall", "f1")):
        expected = by_class(prf("binary", i), truth, pred, mask)
        np.testing.assert_allclose(getattr(ours, name), expected, atol=1e-12, rtol=0)
        expected = by_class(prf("weighted", i), truth, pred, mask)
        np.testing.assert_allclose(getattr(ours, f"weighted_{name}"), expected, atol=1e-12, rtol=0)
    expected = by_class(prf("macro", 2, labels=[False, True]), truth, pred, mask)
    np.testing.assert_allclose(ours.two_class_f1, expected, atol=1e-12, rtol=0)


@given(masked_scores())
@settings(max_examples=60, deadline=None)
def test_loss_and_brier_agree_with_scikit_learn(data):
    truth, score, mask = data
    if mask.any():
        clipped = np.clip(score[mask].astype(np.float64), 1e-7, 1 - 1e-7)
        expected = sk.log_loss(truth[mask], clipped, labels=[False, True])
        assert metrics.log_loss(truth.astype(np.float32), score, mask) == pytest.approx(
            expected, abs=1e-12
        )
    expected = by_class(lambda t, s: sk.brier_score_loss(t, s.astype(float)), *data)
    ours = np.where(np.isnan(expected), np.nan, metrics.brier(*data))
    np.testing.assert_allclose(ours, expected, atol=1e-12, rtol=0)


def best_by_trying(truth, score, mask, candidates):
    """Highest macro F1 and its highest threshold, by trying every candidate."""
    best = (-1.0, None)
    for threshold in candidates:
        f1 = metrics.decisions(truth, score >= threshold, mask).f1
        value = metrics.macro(f1)
        if value >= best[0] - 1e-12:
            best = (max(value, best[0]), threshold)
    return best


@given(masked_scores())
@settings(max_examples=60, deadline=None)
def test_thresholds_are_the_exact_maximum(data):
    truth, score, mask = data
    ranking = metrics.Ranking.of(*data)
    scorable = np.flatnonzero(ranking.scorable)
    chosen = thresholds.choose(ranking)
    assert (chosen["per_class"][~ranking.scorable] == 0.5).all()
    for c in scorable:
        column = [a[:, [c]] for a in (truth, score, mask)]
        value, threshold = best_by_trying(*column, np.unique(score[mask[:, c], c]))
        got = metrics.decisions(column[0], column[1] >= chosen["per_class"][c], column[2])
        assert metrics.macro(got.f1) == pytest.approx(value, abs=1e-12)
        assert chosen["per_class"][c] == threshold
    if scorable.size:
        candidates = np.unique(score[:, scorable][mask[:, scorable]])
        value, threshold = best_by_trying(truth, score, mask, candidates)
        got = metrics.decisions(truth, score >= chosen["global"], mask).f1
        assert metrics.macro(got) == pytest.approx(value, abs=1e-12)


@given(masked_scores(), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_unobserved_entries_change_nothing(data, seed):
    truth, score, mask = data
    rng = np.random.default_rng(seed)
    other_truth = np.where(mask, truth, rng.random(truth.shape) < 0.5)
    other_score = np.where(mask, score, rng.random(score.shape)).astype(np.float32)
    ours, other = (
        metrics.Ranking.of(t, s, mask) for t, s in ((truth, score), (other_truth, other_score))
    )
    np.testing.assert_array_equal(ours.average_precision(), other.average_precision())
    np.testing.assert_array_equal(thresholds.per_class(ours), thresholds.per_class(other))
    assert thresholds.global_(ours) == thresholds.global_(other)


def test_no_scorable_class_is_an_error():
    truth = np.zeros((3, 2), bool)
    mask = np.ones((3, 2), bool)
    with pytest.raises(ProtocolError, match="no class can be scored"):
        metrics.mean_average_precision(truth, np.zeros((3, 2)), mask)


def test_a_class_that_cannot_be_scored_is_left_out():
    truth = np.array([[1, 0], [0, 0]], bool)
    score = np.array([[0.9, 0.1], [0.2, 0.3]])
    mask = np.ones((2, 2), bool)
    assert np.isnan(metrics.average_precision(truth, score, mask)[1])
    assert metrics.mean_average_precision(truth, score, mask) == 1.0
