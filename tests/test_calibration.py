"""Reliability bins, expected calibration error and Brier score over observed labels."""

from types import SimpleNamespace

import numpy as np
import pytest

from benchmark.analysis import calibration
from benchmark.analysis.calibration import reliability
from benchmark.errors import ProtocolError
from benchmark.runs.reading import StoredLabels
from reports.tables import calibration as calibration_tables


def made(n_clips=400, n_classes=4, seed=0, dtype=np.float32):
    """Labels, scores and a mask; the last class is never positive."""
    rng = np.random.default_rng(seed)
    score = rng.random((n_clips, n_classes)).astype(dtype)
    positive = rng.random(score.shape) < score**2
    positive[:, -1] = False
    return positive, score, rng.random(score.shape) < 0.7


@pytest.mark.parametrize("n_bins", [1, 5, 15])
def test_bins_are_those_of_scikit_learn(n_bins):
    from sklearn.calibration import calibration_curve

    positive, score, mask = made()
    score[:60] = np.round(score[:60] * n_bins) / n_bins  # on the edges of bins
    found = reliability(positive, score, mask, n_bins)
    for c in range(3):
        rows = mask[:, c]
        share, mean = calibration_curve(positive[rows, c], score[rows, c], n_bins=n_bins)
        filled = found.count[c] > 0
        np.testing.assert_allclose(found.positive_share[c][filled], share, atol=1e-6)
        np.testing.assert_allclose(found.mean_score[c][filled], mean, atol=1e-6)
        assert np.isnan(found.mean_score[c][~filled]).all()
    assert found.count.sum() == mask.sum()


def test_errors_and_brier_agree_with_their_definitions():
    from sklearn.metrics import brier_score_loss

    positive, score, mask = made()
    found = reliability(positive, score, mask)
    for c in range(3):
        y, s = positive[mask[:, c], c], score[mask[:, c], c].astype(np.float64)
        bins = np.ceil(s * 15).clip(1)
        gaps = [
            abs(y[bins == b].mean() - s[bins == b].mean()) * (bins == b).mean() for b in set(bins)
        ]
        assert found.expected_calibration_error[c] == pytest.approx(sum(gaps))
        assert found.brier[c] == pytest.approx(brier_score_loss(y, s))
    assert np.isnan(found.expected_calibration_error[3])  # no positive: not scorable
    assert np.isnan(found.brier[3])
    weight = found.count.sum(axis=1) / found.count.sum()
    error = np.nan_to_num(found.expected_calibration_error[:3])
    assert found.pooled.expected_calibration_error[0] <= weight[:3] @ error + weight[3]


def test_unobserved_entries_change_no_bit():
    positive, score, mask = made()
    found = reliability(positive, score, mask)
    hidden_score = np.where(mask, score, np.float32("nan"))
    other = reliability(np.where(mask, positive, ~positive), hidden_score, mask)
    for name in ("count", "score_sum", "positive", "brier", "expected_calibration_error"):
        np.testing.assert_array_equal(getattr(found, name), getattr(other, name))


def test_a_prior_is_calibrated_and_a_constant_yes_is_not():
    positive, _, mask = made()
    mask[:] = True
    prior = np.tile(positive.mean(axis=0), (len(positive), 1))
    assert reliability(positive, prior, mask).expected_calibration_error[:3].max() < 1e-12
    yes = reliability(positive, np.ones_like(prior), mask)
    np.testing.assert_allclose(yes.expected_calibration_error[:3], 1 - prior[0, :3])


def test_refusals():
    positive, score, mask = made()
    with pytest.raises(ProtocolError, match="at least 1 bin"):
        reliability(positive, score, mask, 0)
    with pytest.raises(ProtocolError, match=r"in \[0, 1\]"):
        reliability(positive, score + 1, mask)
    with pytest.raises(ProtocolError, match=r"in \[0, 1\]"):
        reliability(positive, score * np.float32("nan"), mask)


def test_a_model_is_averaged_over_its_seeds_and_put_into_tables():
    positive, score, mask = made()
    keys = np.array([f"clip{i}" for i in range(len(mask))])
    labels = {
        "test": StoredLabels(
            positive.astype(np.float32), mask, keys, keys, classes=("a", "b", "c", "d")
        )
    }
    other = made(seed=1)[1]
    store = SimpleNamespace(scores=lambda record: {"test": record})
    found = calibration.measure([SimpleNamespace(label="m", records=[score, other])], store, labels)
    each = [reliability(positive, s, mask) for s in (score, other)]
    np.testing.assert_allclose(found[0].class_brier, (each[0].brier + each[1].brier) / 2)
    assert calibration_tables.calibration(found)["ECE"][0] == pytest.approx(
        np.nanmean(found[0].class_ece)
    )
    assert calibration_tables.calibration_per_class(found)["class"].tolist() == ["a", "b", "c", "d"]
    bins = calibration_tables.reliability(found)
    assert bins.loc[bins["class"] == "all", "labels"].sum() == 2 * mask.sum()
    assert bins["share of positives"].between(0, 1).all()
