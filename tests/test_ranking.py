"""Comparison of models: corrections, ranks, critical difference, wins."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from benchmark.errors import ProtocolError
from benchmark.scoring.bootstrap import Bootstrap, bootstrap
from benchmark.scoring.ranking import critical_difference, holm, pairwise, win_tie_loss


@pytest.fixture(scope="module")
def result():
    """Four models: two good and alike, a poor one, and one of pure noise with three seeds."""
    rng = np.random.default_rng(0)
    truth = rng.random((1500, 4)) < 0.15
    good = 2 * truth + rng.normal(size=truth.shape)
    scores = [
        truth + rng.normal(size=truth.shape),
        good,
        good + rng.normal(0, 0.05, truth.shape),
        rng.normal(size=(3, *truth.shape)),
    ]
    return bootstrap(truth, np.ones_like(truth), scores, n_resamples=1999)


def test_holm_on_a_worked_example():
    # 0.01 * 4, 0.03 * 3, then 0.04 * 2 is raised to what came before it
    np.testing.assert_allclose(holm([0.03, 0.01, 0.9, 0.04]), [0.09, 0.04, 0.9, 0.09])
    assert holm([]).size == 0


@given(hnp.arrays(float, st.integers(1, 12), elements=st.floats(0, 1)), st.floats(0.001, 0.2))
@settings(max_examples=100, deadline=None)
def test_holm_rejects_what_the_stepwise_procedure_rejects(p, alpha):
    rejected = np.zeros(len(p), bool)
    for k, i in enumerate(np.argsort(p, kind="stable")):
        if p[i] * (len(p) - k) > alpha:
            break
        rejected[i] = True
    np.testing.assert_array_equal(holm(p) <= alpha, rejected)
    assert (holm(p) >= p).all()


def test_pairs_are_antisymmetric_and_tests_agree_with_intervals(result):
    pairs = pairwise(result)
    np.testing.assert_array_equal(pairs.difference, -pairs.difference.T)
    np.testing.assert_array_equal(pairs.lower, -pairs.upper.T)
    np.testing.assert_array_equal(pairs.p, pairs.p.T)
    np.testing.assert_array_equal(pairs.p <= 0.05, (pairs.lower > 0) | (pairs.upper < 0))
    assert (np.diag(pairs.p_holm) == 1).all()
    above = np.triu_indices(4, 1)
    np.testing.assert_array_equal(pairs.p_holm[above], holm(pairs.p[above]))


def test_ranks_admit_ties(result):
    assert pairwise(result).rank.tolist() == [3, 1, 1, 4]


def test_a_family_is_corrected_for_its_own_tests_alone(result):
    pairs = pairwise(result)
    best = pairs.against_best
    assert pairs.best == result.estimate.argmax()
    assert [i for i, _ in best.pairs] == [pairs.best] * 3
    np.testing.assert_array_equal(best.p_holm, holm(best.p))
    assert (best.p_holm <= [pairs.p_holm[pair] for pair in best.pairs]).all()
    assert (best.difference >= 0).all()
    assert pairs.among_best.tolist() == [False, True, True, False]
    one = pairs.family([(3, 1)])
    assert one.p_holm == one.p == pairs.p[3, 1]
    assert one.upper[0] == pairs.upper[3, 1] == -pairs.lower[1, 3]
    assert pairs.family([]).p_holm.size == 0


def test_a_p_value_at_the_resolution_of_the_resamples_is_marked(result):
    pairs = pairwise(result)
    assert pairs.floor == 2 / 2000
    assert pairs.at_floor[0, 3]  # noise against a model: no resample shows it the better one
    assert pairs.p_holm[0, 3] == pytest.approx(6 * 2 / 2000)
    assert not pairs.at_floor[1, 2]
    one = pairs.family([(0, 3), (1, 2)])
    assert one.at_floor.tolist() == [True, False]
    assert one.p_holm[0] == pytest.approx(2 * 2 / 2000)


def test_more_seeds_narrow_the_interval_down_to_what_clips_leave(result):
    pairs = pairwise(result)
    now = (pairs.upper - pairs.lower) / 2
    np.testing.assert_array_equal(pairs.endless_seeds, pairs.endless_seeds.T)
    # models of one seed have nothing to gain
    np.testing.assert_allclose(pairs.twice_the_seeds[:3, :3], now[:3, :3], atol=1e-12)
    assert (pairs.endless_seeds[3, :3] < pairs.twice_the_seeds[3, :3]).all()
    assert (pairs.twice_the_seeds[3, :3] < now[3, :3]).all()


def test_a_better_rank_of_a_lower_value_is_an_inversion():
    """A model whose value is hardly known is surpassed by none, and not better for it."""
    rng = np.random.default_rng(0)
    spread = [0.001, 0.001, 0.2]
    values = np.array([0.9, 0.8, 0.79])
    drawn = values + spread * rng.standard_normal((999, 3))
    runs = tuple(np.full((1, 1), value) for value in values)
    pairs = pairwise(Bootstrap("f1", np.array([True]), runs, drawn[:, :, None], drawn), 0.9)
    assert pairs.rank.tolist() == [1, 2, 1]
    assert pairs.inversions == ((2, 1),)


def test_models_that_score_alike_do_not_differ():
    """Their seeds had the same luck, so that no resample may set one above the other."""
    rng = np.random.default_rng(0)
    truth = rng.random((300, 3)) < 0.3
    runs = [truth + rng.normal(0, noise, (4, 300, 3)) for noise in (0.7, 0.8, 0.8, 0.9)]
    result = bootstrap(truth, np.ones_like(truth), [*runs, runs[1].copy()], n_resamples=1999)
    np.testing.assert_array_equal(result.values[:, 1], result.values[:, 4])
    pairs = pairwise(result)
    assert (result.values[:, 1] != result.values[:, 2]).all()
    for matrix in (pairs.difference, pairs.lower, pairs.upper, pairs.twice_the_seeds):
        assert matrix[1, 4] == 0
        np.testing.assert_allclose(matrix[1, :4], matrix[4, :4], rtol=0, atol=1e-15)
    assert pairs.p[1, 4] == 1
    assert pairs.rank[1] == pairs.rank[4]


def test_differences_to_the_best_and_spreads(result):
    pairs, best = pairwise(result), int(result.estimate.argmax())
    assert np.argsort(-result.estimate, kind="stable")[2:].tolist() == [0, 3]
    for matrix in (pairs.difference, pairs.lower, pairs.upper):
        assert matrix[best, best] == 0
    assert pairs.p_holm[best, best] == 1
    second = int(np.argsort(-result.estimate, kind="stable")[1])
    assert pairs.lower[second, best] <= pairs.difference[second, best] <= 0
    assert pairs.upper[second, best] >= 0
    assert [len(values) for values in result.run_values] == [1, 1, 1, 3]
    assert np.isnan(result.seed_sd[:3]).all()
    assert result.seed_sd[3] > 0
    lower, upper = result.interval()
    assert ((lower < result.estimate) & (result.estimate < upper)).all()
    assert (result.sampling_sd > 0).all()


def test_wins_ties_and_losses(result):
    wins = win_tie_loss(result)
    assert wins.counts[1, 0].tolist() == [4, 0, 0]
    assert wins.counts[0, 1].tolist() == [0, 0, 4]
    assert wins.counts[1, 2].tolist() == [0, 4, 0]
    assert (wins.counts.sum(axis=2) == 4).all()
    np.testing.assert_array_equal(wins.outcome, -wins.outcome.transpose(1, 0, 2))
    won = wins.outcome == 1  # corrected, so every win's plain interval lies above 0 too
    assert (wins.lower[won] > 0).all()


def test_a_class_that_is_not_scored_is_no_tie():
    rng = np.random.default_rng(0)
    truth = rng.random((200, 3)) < 0.2
    truth[:, 1] = False
    scores = truth + rng.normal(size=(2, *truth.shape))
    wins = win_tie_loss(bootstrap(truth, np.ones_like(truth), scores, n_resamples=199))
    assert wins.counts[0, 1].sum() == 2
    assert np.isnan(wins.difference[0, 1, 1])


def test_tests_refuse_too_few_runs_and_too_few_resamples():
    rng = np.random.default_rng(0)
    truth = rng.random((100, 2)) < 0.3
    scores = truth + rng.normal(size=(5, *truth.shape))
    mask = np.ones_like(truth)
    alone = bootstrap(truth, mask, scores[:1], n_resamples=99)
    for test in (pairwise, win_tie_loss):
        with pytest.raises(ProtocolError, match="at least 2 runs"):
            test(alone)
    with pytest.raises(ProtocolError, match="correct for 10 tests .* it takes 399"):
        pairwise(bootstrap(truth, mask, scores, n_resamples=398))
    pairwise(bootstrap(truth, mask, scores, n_resamples=399))


#: q of the two-tailed Nemenyi test at 0.05 for 3 to 10 models (Demšar, 2006, table 5).
NEMENYI = {3: 2.343, 4: 2.569, 5: 2.728, 6: 2.850, 7: 2.949, 8: 3.031, 9: 3.102, 10: 3.164}


@pytest.mark.parametrize("n_models", NEMENYI)
def test_critical_difference_agrees_with_demsar(n_models):
    values = np.random.default_rng(0).random((14, n_models))
    expected = NEMENYI[n_models] * np.sqrt(n_models * (n_models + 1) / (6 * 14))
    result = critical_difference(values)
    assert result.critical_difference == pytest.approx(expected, abs=1e-3)
    gaps = np.abs(result.average_rank[:, None] - result.average_rank)
    np.testing.assert_array_equal(result.p < 0.05, gaps > result.critical_difference)


def test_friedman_by_its_formula_and_bars():
    # ranks are 1, 2, 3, 4 in 10 classes and 1, 3, 2, 4 in 2, in a shuffled order of models
    values = np.array([[1, 4, 3, 2]] * 10 + [[1, 4, 2, 3]] * 2)
    values = np.vstack([values, [np.nan, 1, 1, 1]])  # left out
    result = critical_difference(values)
    ranks = np.array([4, 1, 26 / 12, 34 / 12])
    np.testing.assert_allclose(result.average_rank, ranks)
    chi_squared = 12 * 12 / (4 * 5) * ((ranks**2).sum() - 4 * 5**2 / 4)
    assert result.statistic == pytest.approx(chi_squared)
    assert result.p_friedman < 1e-4
    assert 1.2 < result.critical_difference < 1.4
    assert result.groups == ((1, 2), (2, 3), (3, 0))


def test_critical_difference_of_equals_and_refusals():
    equal = critical_difference(np.ones((5, 3)))
    assert equal.p_friedman == 1
    assert equal.groups == ((0, 1, 2),)
    with pytest.raises(ProtocolError, match="at least 3 runs"):
        critical_difference(np.random.default_rng(0).random((5, 2)))
    with pytest.raises(ProtocolError, match="at least 2 classes"):
        critical_difference(np.full((5, 3), np.nan))
