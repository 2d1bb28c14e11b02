"""Write the tables of what each rule of early stopping gives on *select* into models/README.md.

``pytest tests/simulations/test_stopping.py -s -o addopts= -k rendered`` writes one of them (some
ten minutes); ``$POLYTIMBRE_SEEDS`` says of how many seeds.
A model is fitted once a seed, to the end, and scored on *select* after each stage. What a rule
keeps is read off that fit: up to where it stops, a fit is the same whatever the rule.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from simulated_tables import MODELS, write

from benchmark.bases.stopping import kept, worn_out
from benchmark.contracts.model import History
from benchmark.plugins import registry
from benchmark.protocol import divide
from benchmark.runs.request import DataRequest, load
from benchmark.scoring.metrics import mean_average_precision

ROOTS = {"rendered": None, "audioset20": "audioset"}
#: The most stages of each model, beyond its default.
LONGEST = {
    "xgboost": {"n_rounds": 500},
    "hist_gradient_boosting": {"max_iter": 200},
    "attention": {"epochs": 60},
    "cnn": {"epochs": 40},
}
SEEDS = range(int(os.environ.get("POLYTIMBRE_SEEDS", "3")))


def divided(name):
    """Return a data set divided by the protocol, its test part sealed."""
    if ROOTS[name] and not os.environ.get("POLYTIMBRE_DATA"):
        pytest.skip(f"the data of {name} are not here: POLYTIMBRE_DATA is not set")
    root = ROOTS[name] and Path(os.environ["POLYTIMBRE_DATA"]) / ROOTS[name]
    return divide(load(DataRequest(name, root))).sealed()


def fitted(model, division, seed):
    """Fit to the end; return the history and, for each stage, mAP on *select*."""
    fit, stop, select = (division.part(name) for name in ("fit", "stop", "select"))
    found = []

    def look(stage):
        scores = model.predict_proba(select.X)
        found.append(mean_average_precision(select.y_positive, scores, select.y_mask))

    return model.fit(fit, stop, seed=seed, report=look), found


def stands(history, stop_on, patience):
    """Return the numbers of the stage that a rule keeps and of the one that it stops at."""
    seen = History(history.unit)
    for stage in history.stages:
        seen.stages.append(stage)
        if worn_out(seen, stop_on, patience):
            break
    return kept(seen, stop_on).number, seen.stages[-1].number


def rows_of(division, name):
    """Yield, for each rule, the cells of its row."""
    cls = registry.models().get(name)
    fits = []
    for seed in SEEDS:
        # watched, so that every stage is seen, but without an end to patience
        model = cls.from_params(stop_on="loss", patience=10_000, **LONGEST[name])
        fits.append(fitted(model, division, seed))
    assert all(0 < value <= 1 for _, found in fits for value in found)
    default, unit = cls(), fits[0][0].unit
    usual = getattr(default, next(iter(LONGEST[name])))
    rules = [("loss", default.patience), ("mAP", default.patience), ("mAP", 2 * default.patience)]
    rows = [(f"{what}, patience {p}", [stands(h, what, p) for h, _ in fits]) for what, p in rules]
    for number in sorted({usual, next(iter(LONGEST[name].values()))}):
        rows.append((f"none, {number} {unit}s", [(number, number)] * len(fits)))
    for rule, ends in rows:
        mAP = []
        for (history, found), (best, _) in zip(fits, ends, strict=True):
            numbers = [stage.number for stage in history.stages]
            mAP.append(found[numbers.index(best)])
        best, last = (", ".join(str(end[i]) for end in ends) for i in (0, 1))
        yield [name, rule, f"{np.mean(mAP):.4f}", f"{min(mAP):.4f} to {max(mAP):.4f}", best, last]


@pytest.mark.parametrize("dataset", ROOTS)
def test_table_of_stopping_rules(dataset):
    division = divided(dataset)
    rows = [row for name in LONGEST for row in rows_of(division, name)]
    columns = ("model", "stops on", "mAP on select", f"of {len(SEEDS)} seeds", "kept", "last")
    write(f"stopping on {dataset}", columns, rows, MODELS)
