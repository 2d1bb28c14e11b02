"""Paired tests of models with few seeds keep their level, however much one of them varies."""

import numpy as np
import pytest
import simulated_tables
from simulated import LEVELS, rejected

from benchmark.scoring.bootstrap import Bootstrap
from benchmark.scoring.ranking import pairwise


@pytest.mark.parametrize(
    ("n_seeds", "seed_sd", "both"), [(3, 4.5, False), (5, 4.5, False), (6, 1, True)]
)
def test_equal_models_are_told_apart_no_more_often_than_promised(n_seeds, seed_sd, both):
    found = rejected(n_seeds, seed_sd, both, 0.0, n_repetitions=4000)
    # a test that is right on the spot has a standard error of 0.07 and 0.6 of the levels here
    assert (found <= [1.3, 3] * LEVELS).all()
    case = ["both" if both else "one", str(n_seeds), f"{seed_sd:g}"]
    (told,) = (row for row in TOLD if list(row.values())[:3] == case)
    assert found[0] == pytest.approx(float(told["error at .05"]), abs=0.01)


#: What benchmark/README.md says, row by row.
TOLD = simulated_tables.read("paired tests")


def test_the_errors_that_the_page_tells_are_as_few_as_promised():
    assert len(TOLD) == 18
    assert max(float(row["error at .05"]) for row in TOLD) <= 1.3 * 0.05
    assert max(float(row["error at .05 / 78, times nominal"]) for row in TOLD) <= 3


def test_seeds_that_agree_cost_no_power():
    found = rejected(5, 0.5, True, 6.0, n_repetitions=1000)
    assert (found > [0.99, 0.9]).all()


def normal_models(values, clip_sd, n_resamples=1999, seed=0):
    """Models of one seed whose values vary normally over clips, with errors of their own."""
    rng = np.random.default_rng(seed)
    drawn = values + clip_sd * rng.standard_normal((n_resamples, len(values)))
    one_class = tuple(np.full((1, 1), value) for value in values)
    return Bootstrap("f1", np.array([True]), one_class, drawn[:, :, None], drawn)


def test_the_truly_best_model_is_among_the_best():
    """Also of many equal ones, where the tests against the best reject too often."""
    rng = np.random.default_rng(0)
    missed, wrong = 0, 0
    for repetition in range(300):
        true = np.array([0.02, *[0.0] * 7])
        models = normal_models(true + 0.01 * rng.standard_normal(8), 0.01, 1199, repetition)
        missed += not pairwise(models).among_best[0]
        models = normal_models(0.01 * rng.standard_normal(8), 0.01, 1199, repetition)
        wrong += not pairwise(models).among_best[0]
    assert max(missed, wrong) <= 0.05 * 300
